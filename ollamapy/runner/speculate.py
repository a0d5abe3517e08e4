"""Guesses at the next tokens of one sequence: those that followed its last few tokens when they stood there before.

Pure. Whoever computes a guess samples every token of the answer as ever and keeps of the guess what was right, so a
guess can cost time and never changes a token. It must never look at another sequence.
"""

from collections.abc import Sequence
from itertools import takewhile

MOST_SEQUENCES = 4
"""With more in a step the machine has nothing left for guesses."""
MOST_ROWS = 32
"""Tokens of a step with guesses, those that are known counted in."""
_LENGTHS = (8, 4)
"""Of the endings that are looked for, the longest first. Shorter ones are wrong too often to pay on a CPU."""
_LEAST, _MOST = 3, 31
"""Tokens of a guess: with the one before, a multiple of what matrix kernels take at a time."""
_MOST_DRAFTED = 7
"""The same for a guess of a draft model, whose every token costs something."""
_FIRST_REST, _LAST_REST = 8, 128


class Speculation:
    """The tokens of one sequence, where each ending stood last, and whether guessing pays.

    `most` bounds a guess; -1 leaves that to what pays. It counts the guesses of a draft model too.
    """

    def __init__(self, tokens: Sequence[int], most: int = -1) -> None:
        self.num_drafted = 0
        self.num_accepted = 0
        self._most = _MOST if most < 0 else min(most, _MOST)
        self._most_drafted = _MOST_DRAFTED if most < 0 else self._most
        self._tokens = list(tokens)
        self._after: dict[tuple[int, ...], int] = {}
        self._num_indexed = 0
        self._size = _LEAST
        self._rest = _FIRST_REST
        self._num_resting = 0
        self._num_barred = 0
        self._has_guessed = False

    def append(self, token: int) -> None:
        """The sequence has one more token."""
        self._tokens.append(token)
        self._num_resting = max(self._num_resting - 1, 0)
        self._num_barred = max(self._num_barred - 1, 0)

    def guess(self, limit: int) -> tuple[int, ...]:
        """The next tokens, `limit` at most; none when nothing is like the end, or while guesses do not pay."""
        found = self._continued(min(self._size, self._most, limit))
        self._has_guessed = bool(found)
        return found

    def num_draftable(self, limit: int) -> int:
        """How many tokens a draft model may guess, `limit` at most."""
        return 0 if self._num_barred else max(min(self._most_drafted, limit), 0)

    def _continued(self, count: int) -> tuple[int, ...]:
        """What followed the end of the tokens the last time, up to `count` tokens."""
        at = self._find() if count > 0 and not (self._num_resting or self._num_barred) else 0
        if not at:
            return ()
        period = len(self._tokens) - at  # a text that repeats itself goes on to do so
        found = (self._tokens[at + k % period] for k in range(count))
        return tuple(takewhile(lambda token: token >= 0, found))

    def drafted(self, count: int) -> None:
        """So many tokens of a guess were computed."""
        self.num_drafted += count

    def accepted(self) -> None:
        """One of them is the answer's next token; told at once, because it may end the answer."""
        self.num_accepted += 1

    def learn(self, num_drafted: int, num_accepted: int) -> None:
        """A guess of so many tokens had so many right.

        1. All right: the next guess is twice as long.
        2. Less than half: it is half as long; at the least there is none for a while, longer each time.
        3. It was a draft model's: that is measured elsewhere.
        """
        if not self._has_guessed:
            return
        if num_accepted == num_drafted:
            self._size, self._rest = min(2 * self._size + 1, _MOST), _FIRST_REST
        elif 2 * num_accepted < num_drafted:
            if self._size == _LEAST:
                self._num_resting, self._rest = self._rest, min(2 * self._rest, _LAST_REST)
            self._size = max(self._size // 2, _LEAST)

    def rest(self) -> None:
        """No guesses for a while, of nobody: there was no room for them."""
        self._num_barred = _LAST_REST

    def _find(self) -> int:
        """Where that stands which followed the end of the tokens the last time; 0 when they never ended so."""
        for at in range(self._num_indexed, len(self._tokens)):
            for length in _LENGTHS:
                if at >= length:
                    self._after[tuple(self._tokens[at - length : at])] = at
        self._num_indexed = len(self._tokens)
        endings = (tuple(self._tokens[-length:]) for length in _LENGTHS if len(self._tokens) > length)
        return next((self._after[ending] for ending in endings if ending in self._after), 0)

    def __repr__(self) -> str:
        return f"<Speculation {self.num_accepted} of {self.num_drafted} right, {self._size} at a time>"
