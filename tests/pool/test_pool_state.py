"""Which runner serves a request: events in, actions out, no process and no clock."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.errors import Busy, LoadFailed, OutOfMemory
from ollamapy.pool.state import Action, Demand, Fail, Grant, Phase, PoolState, Start, Stop
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Load

FOREVER = float("inf")


def load(key: str, num_ctx: int = 4096, **fields: object) -> Load:
    return Load(engine="echo", path=key, num_ctx=num_ctx, pool_tokens=8192, num_parallel=64, **fields)  # type: ignore[arg-type]


def demand(key: str, keep_alive: float | None = None, **fields: object) -> Demand:
    return Demand(load(key, **fields), Options(), keep_alive)  # type: ignore[arg-type]


def state(max_loaded: int = 3, max_queue: int = 512) -> PoolState:
    return PoolState(max_loaded=max_loaded, max_queue=max_queue, default_keep_alive=300.0)


def with_loaded(pool: PoolState, *keep_alives: tuple[str, float], now: float = 0.0) -> PoolState:
    """Loads a model per pair and lets it go idle at `now`."""
    for ticket, (key, keep_alive) in enumerate(keep_alives, start=1000):
        pool.on_request(ticket, demand(key, keep_alive), now)
        pool.on_started(key, 8192, now)
        pool.on_release(ticket, now)
    return pool


def test_first_request_starts_the_runner_and_is_granted_when_it_is_ready() -> None:
    pool = state()

    assert pool.on_request(1, demand("a"), 0) == [Start("a", load("a"))]
    assert pool.on_started("a", 8192, 1) == [Grant(1, "a")]


def test_two_requests_for_an_unloaded_model_share_one_load() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)

    assert pool.on_request(2, demand("a"), 0) == []
    assert pool.on_started("a", 8192, 1) == [Grant(1, "a"), Grant(2, "a")]


def test_a_ready_runner_serves_past_the_queue() -> None:
    pool = with_loaded(state(), ("a", 300))
    pool.on_request(1, demand("b"), 0)

    assert pool.on_request(2, demand("a"), 0) == [Grant(2, "a")]


def test_loads_go_one_at_a_time() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)

    assert pool.on_request(2, demand("b"), 0) == []
    assert pool.on_started("a", 8192, 1) == [Grant(1, "a"), Start("b", load("b"))]


def test_behind_the_head_a_full_queue_refuses_at_once() -> None:
    pool = state(max_queue=1)
    pool.on_request(1, demand("a"), 0)
    pool.on_request(2, demand("b"), 0)

    [action] = pool.on_request(3, demand("c"), 0)

    assert isinstance(action, Fail)
    assert isinstance(action.error, Busy)
    assert action.error.message == "server busy, please try again.  maximum pending requests exceeded"


def test_the_idle_runner_goes_when_the_limit_is_reached() -> None:
    pool = with_loaded(state(max_loaded=1), ("a", 300))

    assert pool.on_request(1, demand("b"), 1) == [Stop("a")]
    assert pool.on_stopped("a", 2) == [Start("b", load("b"))]


def test_a_busy_runner_is_not_stopped_until_its_answer_ends() -> None:
    pool = state(max_loaded=1)
    pool.on_request(1, demand("a"), 0)
    pool.on_started("a", 8192, 0)

    assert pool.on_request(2, demand("b"), 1) == []
    assert pool.on_release(1, 2) == [Stop("a")]


def test_a_request_for_the_busy_runner_is_served_although_another_model_waits() -> None:
    pool = state(max_loaded=1)
    pool.on_request(1, demand("a"), 0)
    pool.on_started("a", 8192, 0)
    pool.on_request(2, demand("b"), 1)

    assert pool.on_request(3, demand("a"), 1) == [Grant(3, "a")]
    assert pool.on_release(1, 2) == []
    assert pool.on_release(3, 3) == [Stop("a")]


@pytest.mark.parametrize(
    ("first", "second", "victim"),
    [(("a", 60), ("b", 600), "a"), (("a", FOREVER), ("b", 300), "b")],
)
def test_the_shortest_keep_alive_goes_first(first: tuple[str, float], second: tuple[str, float], victim: str) -> None:
    pool = with_loaded(state(max_loaded=2), first, second)

    assert pool.on_request(1, demand("c"), 1) == [Stop(victim)]


def test_an_idle_runner_goes_before_a_busy_one_with_a_shorter_keep_alive() -> None:
    pool = with_loaded(state(max_loaded=2), ("a", 600))
    pool.on_request(1, demand("b", 60), 0)
    pool.on_started("b", 8192, 0)

    assert pool.on_request(2, demand("c"), 1) == [Stop("a")]


def test_the_last_keep_alive_stays_when_a_request_gives_none() -> None:
    pool = with_loaded(state(), ("a", 3600))
    pool.on_request(1, demand("a"), 10)
    pool.on_release(1, 20)

    assert pool.entries["a"].expires_at == 20 + 3600


def test_keep_alive_zero_unloads_after_the_answer() -> None:
    pool = state()
    pool.on_request(1, demand("a", 0), 0)
    pool.on_started("a", 8192, 0)

    assert pool.on_release(1, 1) == [Stop("a")]


def test_an_unload_waits_for_the_running_answer() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_started("a", 8192, 0)

    assert pool.on_expire("a", 5) == []
    assert pool.entries["a"].expires_at == 5
    assert pool.on_release(1, 6) == [Stop("a")]


def test_an_unload_of_a_model_that_is_not_loaded_does_nothing() -> None:
    assert state().on_expire("a", 0) == []


def test_a_new_keep_alive_takes_an_unload_back() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_started("a", 8192, 0)
    pool.on_expire("a", 1)
    pool.on_request(2, demand("a", 60), 2)
    pool.on_release(1, 3)

    assert pool.on_release(2, 4) == []
    assert pool.entries["a"].expires_at == 64


def test_an_idle_runner_stops_when_its_time_is_over_and_not_before() -> None:
    pool = with_loaded(state(), ("a", 300), now=100)

    assert pool.next_deadline == 400
    assert pool.on_tick(399) == []
    assert pool.on_tick(400) == [Stop("a")]


def test_a_runner_that_is_kept_for_ever_has_no_deadline() -> None:
    assert with_loaded(state(), ("a", FOREVER)).next_deadline is None


def test_a_context_that_fits_the_pool_is_no_reason_to_reload() -> None:
    pool = with_loaded(state(), ("a", 300))

    assert pool.on_request(1, demand("a", num_ctx=8192), 0) == [Grant(1, "a")]


def test_a_larger_context_than_the_pool_reloads() -> None:
    pool = with_loaded(state(), ("a", 300))

    assert pool.on_request(1, demand("a", num_ctx=8193), 0) == [Stop("a")]
    assert pool.on_stopped("a", 1) == [Start("a", load("a", 8193))]


@pytest.mark.parametrize(
    ("loaded", "wanted", "reloads"),
    [
        ({"num_gpu": 10}, {}, False),
        ({}, {"num_gpu": 0}, True),
        ({"num_thread": 4}, {}, True),
        ({"adapters": ("x",)}, {}, True),
        ({"use_mmap": True}, {}, True),
        ({"use_mmap": True}, {"use_mmap": False}, True),
        ({}, {"use_mmap": False}, True),
        ({"main_gpu": 1}, {}, True),
        ({"num_batch": 256}, {}, True),
        ({"num_batch": 256}, {"num_batch": 256}, False),
    ],
)
def test_load_options_that_differ_reload(loaded: dict[str, object], wanted: dict[str, object], reloads: bool) -> None:
    pool = state()
    pool.on_request(1, demand("a", **loaded), 0)
    pool.on_started("a", 8192, 0)
    pool.on_release(1, 0)

    actions = pool.on_request(2, demand("a", **wanted), 1)

    assert actions == ([Stop("a")] if reloads else [Grant(2, "a")])


def test_a_failed_load_fails_its_request_and_the_next_one_tries_again() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_request(2, demand("a"), 0)
    error = LoadFailed("no")

    assert pool.on_start_failed("a", error, 1) == [Fail(1, error), Start("a", load("a"))]


def test_a_load_that_lacks_memory_is_tried_once_more_when_all_others_are_gone() -> None:
    pool = with_loaded(state(), ("a", 300), ("b", FOREVER))
    pool.on_request(1, demand("c"), 1)
    error = OutOfMemory("no")

    assert pool.on_start_failed("c", error, 2) == [Stop("a"), Stop("b")]
    assert pool.on_stopped("a", 3) == []
    assert pool.on_stopped("b", 4) == [Start("c", load("c"))]
    assert pool.on_start_failed("c", error, 5) == [Fail(1, error)]


def test_a_load_that_lacks_memory_waits_for_the_answers_of_others() -> None:
    pool = with_loaded(state(), ("a", 300))
    pool.on_request(1, demand("b"), 0)
    pool.on_started("b", 8192, 0)
    pool.on_request(2, demand("c"), 1)

    assert pool.on_start_failed("c", OutOfMemory("no"), 2) == [Stop("a")]
    assert pool.on_stopped("a", 3) == []
    assert pool.on_request(3, demand("b", 60), 4) == [Grant(3, "b")]
    assert pool.on_release(1, 5) == []
    assert pool.on_release(3, 6) == [Stop("b")]
    assert pool.on_stopped("b", 7) == [Start("c", load("c"))]
    assert pool.on_started("c", 8192, 8) == [Grant(2, "c")]


def test_a_load_that_lacks_memory_although_it_is_alone_fails() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    error = OutOfMemory("no")

    assert pool.on_start_failed("a", error, 1) == [Fail(1, error)]


def test_a_client_that_leaves_while_others_make_room_lets_the_queue_go_on() -> None:
    pool = with_loaded(state(), ("a", 300))
    pool.on_request(1, demand("b"), 1)
    pool.on_start_failed("b", OutOfMemory("no"), 2)

    assert pool.on_request(2, demand("c"), 3) == []
    assert pool.on_release(1, 4) == [Start("c", load("c"))]


def test_a_client_that_leaves_during_the_load_stops_it() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)

    assert pool.on_release(1, 1) == [Stop("a")]
    assert pool.on_stopped("a", 2) == []
    assert not pool.entries


def test_a_load_that_ends_although_it_was_stopped_is_stopped_again() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_release(1, 1)

    assert pool.on_started("a", 8192, 2) == [Stop("a")]


def test_a_load_goes_on_while_somebody_else_waits_for_it() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_request(2, demand("a"), 0)

    assert pool.on_release(1, 1) == []
    assert pool.on_started("a", 8192, 2) == [Grant(2, "a")]


def test_a_runner_that_died_is_started_again_by_the_next_request() -> None:
    pool = state()
    pool.on_request(1, demand("a"), 0)
    pool.on_started("a", 8192, 0)
    pool.on_stopped("a", 1)

    assert pool.on_request(2, demand("a"), 2) == [Start("a", load("a"))]
    assert pool.on_release(1, 3) == []
    assert pool.on_started("a", 8192, 4) == [Grant(2, "a")]


LOAD_ENDS = {"started": None, "failed": LoadFailed("x"), "memory": OutOfMemory("x")}
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["request", "release", "started", "failed", "memory", "stopped", "died", "expire", "tick"]),
        st.integers(0, 3),
        st.sampled_from([None, 0.0, 1.0, 5.0, FOREVER]),
    ),
    max_size=60,
)


@given(EVENTS, st.integers(1, 3))
def test_the_books_balance_and_everybody_is_served_whatever_happens(
    events: list[tuple[str, int, float | None]], max_loaded: int
) -> None:
    """Drives the state as `Pool` would; at the end every process does what it was told and nobody waits."""
    driver = _Driver(state(max_loaded=max_loaded))
    for now, (event, which, keep_alive) in enumerate(events):
        driver.step(event, which, keep_alive, float(now))
        driver.pool.check()
    driver.finish(float(len(events)))

    assert not driver.pool.queue
    assert not driver.open


class _Driver:
    """Plays the part of Pool and of the processes."""

    def __init__(self, pool: PoolState) -> None:
        self.pool = pool
        self.next_ticket = 1
        self.open: set[int] = set()
        self.granted: set[int] = set()

    def step(self, event: str, which: int, keep_alive: float | None, now: float) -> None:
        key = "abcd"[which]
        if event == "request":
            ticket, self.next_ticket = self.next_ticket, self.next_ticket + 1
            self.open.add(ticket)
            self.act(self.pool.on_request(ticket, demand(key, keep_alive), now))
        elif event == "release" and self.open:
            ticket = sorted(self.open)[which % len(self.open)]
            self.close(ticket, now)
        elif event in LOAD_ENDS:
            self.end_load(LOAD_ENDS[event], now)
        elif event == "stopped":
            self.end_stops(now)
        elif event == "died" and self.phase(key) is Phase.READY:
            self.act(self.pool.on_stopped(key, now))
        elif event == "expire":
            self.act(self.pool.on_expire(key, now))
        elif event == "tick":
            self.act(self.pool.on_tick(now))

    def phase(self, key: str) -> Phase | None:
        entry = self.pool.entries.get(key)
        return entry.phase if entry else None

    def end_load(self, error: LoadFailed | None, now: float) -> None:
        for key in [k for k, e in self.pool.entries.items() if e.phase is Phase.STARTING]:
            failed = self.pool.on_start_failed(key, error, now) if error else None
            self.act(self.pool.on_started(key, 8192, now) if failed is None else failed)

    def end_stops(self, now: float) -> None:
        for key in [k for k, e in self.pool.entries.items() if e.phase is Phase.STOPPING]:
            self.act(self.pool.on_stopped(key, now))

    def close(self, ticket: int, now: float) -> None:
        self.open.discard(ticket)
        self.granted.discard(ticket)
        self.act(self.pool.on_release(ticket, now))

    def act(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Grant(ticket, key):
                    assert self.phase(key) is Phase.READY
                    assert ticket not in self.granted, "granted twice"
                    self.granted.add(ticket)
                case Fail(ticket, _):
                    self.open.discard(ticket)
                case Stop(key):
                    entry = self.pool.entries[key]
                    assert not entry.tickets, "stopped while serving"

    def finish(self, now: float) -> None:
        """Every load succeeds, every stop ends, every granted request is released, until nobody is left."""
        for _ in range(1000):
            if not self.open:
                return
            self.end_load(None, now)
            self.end_stops(now)
            for ticket in sorted(self.granted):
                self.close(ticket, now)
        raise AssertionError(f"stuck: {self.pool!r}")
