"""Who runs next: decided by counting alone."""

from fakes.sequences import sequence
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.sequence import Sequence
from ollamapy.runner.waiting import WaitingList


def waiting(*sequences: Sequence) -> WaitingList:
    new = WaitingList()
    for one in sequences:
        new.arrive(one)
    return new


def ids(some: WaitingList) -> list[int]:
    return [one.id for one in some]


def test_equals_run_in_the_order_of_arrival() -> None:
    assert ids(waiting(*(sequence(n) for n in (3, 1, 2)))) == [3, 1, 2]


def test_a_higher_priority_goes_first() -> None:
    assert ids(waiting(sequence(1), sequence(2, priority=5), sequence(3, priority=-1), sequence(4))) == [2, 1, 4, 3]


def test_who_has_run_goes_before_all_others() -> None:
    some = waiting(sequence(1, priority=9))
    some.send_back(sequence(2))
    some.send_back(sequence(3))

    assert ids(some) == [3, 2, 1]


def test_the_client_that_had_less_goes_first() -> None:
    greedy, modest = sequence(1, client="greedy"), sequence(9, client="modest")
    some = waiting(greedy, *(sequence(n, client="greedy") for n in (2, 3)), modest)
    some.take(greedy)
    some.charge(greedy, 100)

    assert ids(some) == [9, 2, 3]


def test_two_clients_take_turns() -> None:
    some = waiting(*(sequence(n, client="many") for n in range(4)), *(sequence(10 + n, client="few") for n in range(2)))
    order = []
    while some:
        first = next(iter(some))
        some.take(first)
        some.charge(first, 10)
        order.append(first.id)

    assert order == [0, 10, 1, 11, 2, 3]


def test_a_client_that_comes_back_has_no_credit_from_before() -> None:
    """Else it could save its share up and then keep everybody else waiting."""
    early, other = sequence(1, client="early"), sequence(2, client="other")
    some = waiting(early, other)
    some.take(other)
    some.charge(other, 1000)
    some.take(early)
    some.leave(early)

    some.arrive(sequence(3, client="other"))
    some.arrive(sequence(4, client="early"))

    assert ids(some) == [3, 4]


def test_nobody_waits_for_ever() -> None:
    low = sequence(0, priority=-2)
    some = waiting(low)
    for n in range(1, 100):
        some.arrive(sequence(n))
        first = next(iter(some))
        if first is low:
            break
        some.take(first)

    assert 32 <= n <= 50


@given(st.lists(st.tuples(st.integers(-3, 3), st.sampled_from("abc"), st.booleans()), max_size=20))
def test_everybody_is_in_the_list_once(asked: list[tuple[int, str, bool]]) -> None:
    sequences = [sequence(n, priority=priority, client=client) for n, (priority, client, _) in enumerate(asked)]
    some = waiting(*sequences)
    for one, (_, _, is_gone) in zip(sequences, asked, strict=True):
        if is_gone:
            some.discard(one)
            some.leave(one)

    assert sorted(ids(some)) == [one.id for one, (_, _, is_gone) in zip(sequences, asked, strict=True) if not is_gone]
    assert len(some) == len(ids(some))
