"""Whether a draft model pays: steps with it and without it are measured in turns.

Pure: time comes in.
"""

from enum import Enum

_NUM_TRIED, _NUM_COMPARED, _NUM_USED = 8, 4, 64
"""Steps of a trial, of a comparison, and from one comparison to the next while drafts pay."""
_FIRST_REST, _LAST_REST = 16, 256


class _Turn(Enum):
    DRAFTS = "drafts"
    COMPARISON = "comparison"
    REST = "rest"


class Payoff:
    """Decides by the tokens that a second gives.

    1. Some steps have drafts, first a few as a trial.
    2. A few have none, to compare.
    3. Drafts were faster: more steps have them, and 2. again. They were not: there are none for a while, longer each
       time, and then a trial.
    """

    def __init__(self) -> None:
        self._rest = _FIRST_REST
        self._drafted_pace = 0.0
        self._begin(_Turn.DRAFTS, _NUM_TRIED)

    @property
    def is_on(self) -> bool:
        """True when the next step should have drafts."""
        return self._turn is _Turn.DRAFTS

    def observe(self, is_drafted: bool, seconds: float, num_tokens: int) -> None:
        """A step with drafts, or without, took so long for so many tokens of answers."""
        if is_drafted != self.is_on:  # it had none although it could
            return
        self._seconds += seconds
        self._num_tokens += num_tokens
        self._num_left -= 1
        if not self._num_left:
            self._end(self._seconds / max(self._num_tokens, 1))

    def _end(self, pace: float) -> None:
        """A turn is over; its steps took `pace` seconds for a token."""
        match self._turn:
            case _Turn.DRAFTS:
                self._drafted_pace = pace
                self._begin(_Turn.COMPARISON, _NUM_COMPARED)
            case _Turn.COMPARISON if self._drafted_pace < pace:
                self._rest = _FIRST_REST
                self._begin(_Turn.DRAFTS, _NUM_USED)
            case _Turn.COMPARISON:
                self._begin(_Turn.REST, self._rest)
                self._rest = min(4 * self._rest, _LAST_REST)
            case _Turn.REST:
                self._begin(_Turn.DRAFTS, _NUM_TRIED)

    def _begin(self, turn: _Turn, num_steps: int) -> None:
        self._turn, self._num_left = turn, num_steps
        self._seconds, self._num_tokens = 0.0, 0

    def __repr__(self) -> str:
        return f"<Payoff {self._turn.value}, {self._num_left} steps to go>"
