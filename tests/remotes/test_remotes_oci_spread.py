"""Which connection takes which part, and who sent which bytes: values only."""

from hypothesis import given
from hypothesis import strategies as st

from ollamapy.remotes.oci.origins import Origins
from ollamapy.remotes.oci.spread import MIN_LEASE_BYTES, Lane, assign, lease_bytes

MB = 1 << 20


def test_equal_lanes_take_a_part_each() -> None:
    assert assign([10, 10, 10], [Lane(5), Lane(5)]) == [(0, 0), (1, 1)]


def test_the_faster_of_two_free_lanes_takes_the_only_part() -> None:
    assert assign([10], [Lane(1), Lane(9)]) == [(0, 1)]


def test_a_slow_lane_waits_when_a_busy_one_will_be_through_with_the_part_before() -> None:
    assert assign([100], [Lane(1), Lane(100, left=100)]) == []


def test_a_slow_lane_helps_when_the_fast_ones_have_more_than_enough() -> None:
    assert (99, 0) not in assign([100] * 100, [Lane(10), Lane(100, left=100)])
    assert [lane for _, lane in assign([100] * 100, [Lane(10), Lane(100, left=100)])] == [0]


def test_a_lane_that_nobody_measured_is_tried() -> None:
    assert assign([10, 10], [Lane(0), Lane(50)]) == [(0, 0), (1, 1)]


def test_nobody_takes_anything_where_nothing_is_left_or_nobody_is_free() -> None:
    assert assign([], [Lane(1)]) == []
    assert assign([10], [Lane(1, left=5)]) == []


@given(
    st.lists(st.integers(0, 1000), max_size=30),
    st.lists(st.tuples(st.floats(0, 1e9), st.integers(0, 1000)), min_size=1, max_size=20),
)
def test_a_part_and_a_lane_are_given_once_and_work_goes_on(sizes: list[int], lanes: list[tuple[float, int]]) -> None:
    taken = assign(sizes, [Lane(*lane) for lane in lanes])

    assert len({part for part, _ in taken}) == len({lane for _, lane in taken}) == len(taken)
    assert all(not lanes[lane][1] for _, lane in taken)
    if sizes and not any(left for _, left in lanes):
        assert taken


def test_a_lease_lasts_some_seconds_and_is_never_tiny() -> None:
    assert lease_bytes(0) == lease_bytes(10) == MIN_LEASE_BYTES
    assert lease_bytes(100 * MB) == 400 * MB


def test_bytes_belong_to_who_sent_them_last() -> None:
    origins = Origins(100)
    origins.note(0, 40, "a")
    origins.note(40, 60, "a")
    origins.note(50, 80, "b")
    origins.note(10, 20, "b")

    assert origins.of("a") == [(0, 10), (20, 50)]
    assert origins.of("b") == [(10, 20), (50, 80)]
    assert origins.of(None) == [(80, 100)]
    assert origins.senders() == ["a", "b"]
    assert not origins.is_all("a")


@given(st.lists(st.tuples(st.integers(0, 49), st.integers(1, 50), st.sampled_from("abc"))))
def test_every_byte_has_one_sender(notes: list[tuple[int, int, str]]) -> None:
    origins, wanted = Origins(100), dict.fromkeys(range(100))
    for start, count, who in notes:
        origins.note(start, start + count, who)
        wanted |= dict.fromkeys(range(start, start + count), who)

    found = {
        at: who for who in [None, *origins.senders()] for start, end in origins.of(who) for at in range(start, end)
    }
    assert found == wanted
    assert sum(end - start for who in [None, *"abc"] for start, end in origins.of(who)) == 100
    assert all(origins.is_all(who) == (set(wanted.values()) == {who}) for who in "abc")
