"""Decides which runner serves a request. Plain state: no clock, no process, no await; `Pool` carries it out.

Events go in as method calls, a list of actions comes out: `Start`, `Stop`, `Grant`, `Fail`.

    absent ──Start──> STARTING ──on_started──> READY ──Stop──> STOPPING ──on_stopped──> absent

The path of a request (contract: scheduler.md section 2):
1. its runner is ready and fits: Grant, past the queue,
2. else it waits in the queue; a full queue is Fail(Busy),
3. the head of the queue is handled alone: a runner that does not fit is expired, a runner too many evicted, then
   Start; it stays head until its model is loaded or has failed. One load at a time.
"""

from collections import deque
from dataclasses import dataclass, field
from enum import Enum

from ollamapy.errors import Busy, Error, OutOfMemory
from ollamapy.pool.memory import needs_reload
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Load

BUSY = "server busy, please try again.  maximum pending requests exceeded"
FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Start:
    key: str
    load: Load


@dataclass(frozen=True, slots=True)
class Stop:
    key: str


@dataclass(frozen=True, slots=True)
class Grant:
    ticket: int
    key: str


@dataclass(frozen=True, slots=True)
class Fail:
    ticket: int
    error: Error


Action = Start | Stop | Grant | Fail


class Phase(Enum):
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request wants: a runner of the weights at `load.path` in this mode, loaded at least like this."""

    load: Load
    options: Options = field(default_factory=Options)
    keep_alive: float | None = None
    """Seconds, infinity for ever; None leaves the runner's own."""

    @property
    def key(self) -> str:
        return self.load.key


@dataclass(slots=True)
class Entry:
    """A runner as the state sees it. `expires_at` is set when it goes idle."""

    load: Load
    keep_alive: float
    phase: Phase = Phase.STARTING
    pool_tokens: int = 0
    tickets: set[int] = field(default_factory=set)
    expires_at: float | None = None
    is_expiring: bool = False
    """It is to be unloaded as soon as its running requests end."""

    @property
    def is_idle(self) -> bool:
        return self.phase is Phase.READY and not self.tickets

    def fits(self, demand: Demand) -> bool:
        """True when the demand can be granted now."""
        return self.phase is Phase.READY and not needs_reload(self.load, self.pool_tokens, demand.load, demand.options)


class PoolState:
    """All runners and the queue. `max_loaded` bounds the runners, `max_queue` the waiting requests."""

    def __init__(self, *, max_loaded: int, max_queue: int, default_keep_alive: float) -> None:
        self._max_loaded = max_loaded
        self._max_queue = max_queue
        self._default_keep_alive = default_keep_alive
        self.entries: dict[str, Entry] = {}
        self.queue: deque[tuple[int, Demand]] = deque()
        self._granted: dict[int, str] = {}
        self._alone = 0
        """The request whose load lacked memory: it is tried once more, when nothing else is loaded."""

    # Events

    def on_request(self, ticket: int, demand: Demand, now: float) -> list[Action]:
        """A request arrives."""
        entry = self.entries.get(demand.key)
        if entry and entry.fits(demand):
            return [self._grant(ticket, demand)]
        if len(self.queue) > self._max_queue:  # the head is being handled, and does not wait
            return [Fail(ticket, Busy(BUSY))]
        self.queue.append((ticket, demand))
        return self._advance(now)

    def on_release(self, ticket: int, now: float) -> list[Action]:
        """A request ends, whichever way; a waiting one leaves the queue."""
        key = self._granted.pop(ticket, None)
        if key is None:
            return self._leave_queue(ticket, now)
        entry = self.entries.get(key)
        if entry is None or ticket not in entry.tickets:
            return []  # its runner died and may be another one by now
        entry.tickets.discard(ticket)
        actions: list[Action] = []
        if not entry.tickets:
            entry.expires_at = now + entry.keep_alive
            if entry.is_expiring or entry.keep_alive <= 0:
                actions.append(self._stop(key))
        return actions + self._advance(now)

    def on_started(self, key: str, pool_tokens: int, now: float) -> list[Action]:
        """A runner is ready: everybody who waits for it and fits is granted.

        One that was told to stop while it started did so too late: it is told again.
        """
        entry = self.entries[key]
        if entry.phase is Phase.STOPPING:
            return [Stop(key)]
        entry.phase, entry.pool_tokens = Phase.READY, pool_tokens
        actions: list[Action] = []
        for ticket, demand in list(self.queue):
            if demand.key == key and entry.fits(demand):
                self.queue.remove((ticket, demand))
                actions.append(self._grant(ticket, demand))
        return actions + self._advance(now)

    def on_start_failed(self, key: str, error: Error, now: float) -> list[Action]:
        """A load failed: the request that caused it fails; the next one tries again.

        For lack of memory the same one tries again, once, when all other runners have made room for it.
        """
        self.entries.pop(key, None)
        actions: list[Action] = []
        if self.queue and self.queue[0][1].key == key:
            ticket = self.queue[0][0]
            if isinstance(error, OutOfMemory) and self.entries and ticket != self._alone:
                self._alone = ticket
            else:
                actions.append(Fail(self.queue.popleft()[0], error))
        return actions + self._advance(now)

    def on_stopped(self, key: str, now: float) -> list[Action]:
        """A runner has ended, asked or not. Its requests hear it from the runner itself."""
        self.entries.pop(key, None)
        return self._advance(now)

    def on_expire(self, key: str, now: float) -> list[Action]:
        """Somebody asks for the unload: now, or when the running requests have ended."""
        entry = self.entries.get(key)
        if entry is None or entry.phase is Phase.STOPPING:
            return []
        entry.keep_alive, entry.expires_at, entry.is_expiring = 0.0, now, True
        return [self._stop(key)] if entry.is_idle else []

    def on_tick(self, now: float) -> list[Action]:
        """Time has passed: idle runners whose time is over stop."""
        due = [key for key, entry in self.entries.items() if entry.is_idle and _is_due(entry, now)]
        return [self._stop(key) for key in due]

    # Questions

    def keys_of(self, path: str) -> list[str]:
        """The runners of the weights at `path`: one for each mode, at most."""
        return [key for key, entry in self.entries.items() if entry.load.path == path]

    def ready_load(self, path: str) -> Load | None:
        """How a runner of the weights at `path` that is ready was loaded; None when there is none."""
        entries = (self.entries[key] for key in self.keys_of(path))
        return next((entry.load for entry in entries if entry.phase is Phase.READY), None)

    @property
    def next_deadline(self) -> float | None:
        """When `on_tick` has something to do next, if ever."""
        times = [e.expires_at for e in self.entries.values() if e.is_idle and e.expires_at is not None]
        return min((t for t in times if t < FOREVER), default=None)

    def check(self) -> None:
        """Raises AssertionError if the books do not balance."""
        held = {ticket for entry in self.entries.values() for ticket in entry.tickets}
        assert held <= set(self._granted), "a runner is held by nobody"
        assert not {ticket for ticket, _ in self.queue} & set(self._granted), "a request waits and runs"
        assert len(self.entries) <= self._max_loaded, "more runners than allowed"
        assert sum(e.phase is Phase.STARTING for e in self.entries.values()) <= 1, "two loads at once"
        for entry in self.entries.values():
            assert entry.phase is Phase.READY or not entry.tickets, "a runner that is not ready serves"

    def __repr__(self) -> str:
        phases = [entry.phase for entry in self.entries.values()]
        counts = ", ".join(f"{phases.count(phase)} {phase.value}" for phase in Phase)
        return f"<PoolState {counts}, {len(self.queue)} waiting>"

    # Decisions

    def _grant(self, ticket: int, demand: Demand) -> Grant:
        entry = self.entries[demand.key]
        entry.tickets.add(ticket)
        self._granted[ticket] = demand.key
        if demand.keep_alive is not None:
            entry.keep_alive = demand.keep_alive
            entry.is_expiring = False
        return Grant(ticket, demand.key)

    def _stop(self, key: str) -> Stop:
        self.entries[key].phase = Phase.STOPPING
        return Stop(key)

    def _expire(self, key: str, now: float) -> list[Action]:
        """Lets a runner go as soon as it is idle."""
        return self.on_expire(key, now)

    def _advance(self, now: float) -> list[Action]:
        """Handles the head of the queue as far as possible."""
        actions: list[Action] = []
        while self.queue:
            ticket, demand = self.queue[0]
            entry = self.entries.get(demand.key)
            if entry and entry.fits(demand):
                self.queue.popleft()
                actions.append(self._grant(ticket, demand))
                continue
            if entry:
                return actions + (self._expire(demand.key, now) if entry.phase is Phase.READY else [])
            if any(e.phase is Phase.STARTING for e in self.entries.values()):
                return actions
            if ticket == self._alone and self.entries:
                return actions + [action for key in self.entries for action in self._expire(key, now)]
            if len(self.entries) >= self._max_loaded:
                return actions + self._evict(now)
            keep_alive = self._default_keep_alive if demand.keep_alive is None else demand.keep_alive
            self.entries[demand.key] = Entry(demand.load, keep_alive)
            return [*actions, Start(demand.key, demand.load)]
        return actions

    def _evict(self, now: float) -> list[Action]:
        """Expires one runner, idle ones first, then the shortest keep-alive; none while one is stopping already."""
        if any(entry.phase is Phase.STOPPING for entry in self.entries.values()):
            return []
        ready = [(e.tickets != set(), e.keep_alive, key) for key, e in self.entries.items() if e.phase is Phase.READY]
        return self._expire(min(ready)[2], now) if ready else []

    def _leave_queue(self, ticket: int, now: float) -> list[Action]:
        found = next((item for item in self.queue if item[0] == ticket), None)
        if found is None:
            return []
        self.queue.remove(found)
        key = found[1].key
        entry = self.entries.get(key)
        actions: list[Action] = []
        if entry and entry.phase is Phase.STARTING and not any(d.key == key for _, d in self.queue):
            actions.append(self._stop(key))
        return actions + self._advance(now)


def _is_due(entry: Entry, now: float) -> bool:
    return entry.expires_at is not None and entry.expires_at <= now
