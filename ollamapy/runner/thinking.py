"""The reasoning at the start of an answer: held to no grammar, and closed by the runner when its budget is spent.

`ThinkingGate` decides and knows bytes only; `ThinkingSampler` puts it before a sampler. Neither splits any text off:
the daemon does that.
"""

from collections import deque
from collections.abc import Callable, Sequence
from enum import Enum

from ollamapy.runner.model import Sampler
from ollamapy.wire.runner import Thinking

_MAX_SPACES = 4
"""Tokens of white space that may come before the tag, and again before what a grammar holds."""


class Verdict(Enum):
    """What to do with a token that was chosen without the grammar."""

    TAKE = "take"
    CLOSE = "close"
    """Write `ThinkingGate.ending` instead of it."""
    LEAVE = "leave"
    """The reasoning is over, or never was: choose again under the grammar."""


class _Place(Enum):
    BEFORE = "before"
    INSIDE = "inside"
    AFTER = "after"
    OVER = "over"


class ThinkingGate:
    """Follows an answer through its reasoning. `is_held` says that a grammar waits behind it.

    1. White space and `opening` come first; anything else means that there is no reasoning. An opening that has been
       begun is ended by the gate, since nothing can be taken back.
    2. Reasoning goes on to `closing`. At the budget, or when the model would end the answer with a grammar waiting,
       the gate closes it.
    3. White space, then the answer.
    """

    def __init__(self, thinking: Thinking, *, is_held: bool) -> None:
        self._opening = thinking.opening.encode()
        self._closing = thinking.closing.encode()
        self._ending = (thinking.ending or thinking.closing).encode()
        self._budget = thinking.budget
        self._is_held = is_held
        self._place = _Place.INSIDE if thinking.is_open else _Place.BEFORE
        self._written = b""
        self._num_inside = 0
        self._num_spaces = 0
        self.is_cut = False
        """The gate has closed the reasoning, not the model."""

    @property
    def is_over(self) -> bool:
        return self._place is _Place.OVER

    @property
    def is_spent(self) -> bool:
        """True when the reasoning has taken its budget and must be closed before another token."""
        return self._place is _Place.INSIDE and 0 <= self._budget <= self._num_inside

    @property
    def ending(self) -> str:
        """What to write in order to get past the present tag; whatever part of it stands there is left out."""
        if self._place is _Place.BEFORE:
            return self._opening[len(self._written.lstrip()) :].decode()
        start = _overlap(self._written, self._closing)
        whole = self._closing + self._ending.partition(self._closing)[2] if start else self._ending
        return whole[start:].decode()

    def weigh(self, piece: bytes, is_end: bool) -> Verdict:
        """What to do with a token of these bytes. Changes nothing."""
        match self._place:
            case _Place.BEFORE:
                return self._weigh_opening(piece, is_end)
            case _Place.INSIDE if self._is_held:
                _, tag, rest = (self._written + piece).partition(self._closing)
                return Verdict.CLOSE if is_end or (tag and rest.strip()) else Verdict.TAKE
            case _Place.AFTER:
                is_space = not is_end and not piece.strip() and self._num_spaces < _MAX_SPACES
                return Verdict.TAKE if is_space or not self._is_held else Verdict.LEAVE
        return Verdict.TAKE

    def _weigh_opening(self, piece: bytes, is_end: bool) -> Verdict:
        start = (self._written + piece).lstrip()
        is_tag = self._opening.startswith(start) or start.startswith(self._opening)
        if not self._is_held or (is_tag and not is_end and (start or self._num_spaces < _MAX_SPACES)):
            return Verdict.TAKE
        return Verdict.CLOSE if self._written.strip() else Verdict.LEAVE

    def take(self, piece: bytes) -> None:
        """Remembers a token that was taken."""
        self._written += piece
        if self._place is _Place.BEFORE:
            self._take_opening()
        elif self._place is _Place.INSIDE:
            self._take_inside()
        elif self._place is _Place.AFTER:
            self._count_space(piece)

    def _take_opening(self) -> None:
        start = self._written.lstrip()
        if start.startswith(self._opening):
            self._place, self._written = _Place.INSIDE, start.removeprefix(self._opening)
        elif not self._opening.startswith(start):
            self._place = _Place.OVER
        elif not start:
            self._num_spaces += 1

    def _take_inside(self) -> None:
        self._num_inside += 1
        if self._closing in self._written:
            self._place, self._num_spaces = _Place.AFTER if self._is_held else _Place.OVER, 0
        else:
            self._written = self._written[-len(self._closing) :]

    def _count_space(self, piece: bytes) -> None:
        self._num_spaces += 1
        if piece.strip():
            self._place = _Place.OVER

    def close(self) -> None:
        """Remembers that `ending` has been written."""
        if self._place is _Place.BEFORE:
            self._place, self._written = _Place.INSIDE, b""
            return
        self.is_cut = True
        self._place = _Place.OVER

    def leave(self) -> None:
        """The answer goes on under the grammar."""
        self._place = _Place.OVER


class ThinkingSampler:
    """A sampler behind a gate. `encode` gives the tokens of a text, `piece` the bytes that a token adds."""

    def __init__(
        self,
        inner: Sampler,
        gate: ThinkingGate,
        encode: Callable[[str], Sequence[int]],
        piece: Callable[[int], bytes],
        is_end: Callable[[int], bool],
    ) -> None:
        self._inner = inner
        self._gate = gate
        self._encode = encode
        self._piece = piece
        self._is_end = is_end
        self._forced: deque[int] = deque()

    def sample(self, row: int) -> int:
        if self._forced:
            return self._accept(self._forced.popleft())
        if self._gate.is_over:
            return self._inner.sample(row)
        if self._gate.is_spent:
            return self._close()
        token = self._inner.choose_free(row)
        piece = self._piece(token)
        match self._gate.weigh(piece, self._is_end(token)):
            case Verdict.TAKE:
                self._gate.take(piece)
                return self._accept(token)
            case Verdict.CLOSE:
                return self._close()
            case Verdict.LEAVE:
                self._gate.leave()
        return self._inner.sample(row)

    def _close(self) -> int:
        self._forced.extend(self._encode(self._gate.ending))
        self._gate.close()
        return self._accept(self._forced.popleft())

    def _accept(self, token: int) -> int:
        self._inner.accept_free(token)
        return token

    def choose_free(self, row: int) -> int:
        return self._inner.choose_free(row)

    def accept_free(self, token: int) -> None:
        self._inner.accept_free(token)

    def close(self) -> None:
        self._inner.close()


def _overlap(text: bytes, tag: bytes) -> int:
    """Length of the longest end of `text` that `tag` begins with."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
