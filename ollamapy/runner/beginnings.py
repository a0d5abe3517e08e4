"""Leaves out tokens that a grammar must refuse, because it refuses a shorter token that they begin with. Pure.

A grammar asked about a few hundred short tokens need not be asked about the tens of thousands that begin like them.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Tokens = npt.NDArray[np.int64]

_SIZES = (1, 2)
"""Bytes of the short tokens; longer ones leave out too few to be worth the question."""


class Beginnings:
    """For each token the shorter ones that it begins with. `pieces` are the bytes of all tokens of a vocabulary."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        known = {piece: token for token, piece in enumerate(pieces)}
        self._heads = [
            np.array([known.get(piece[:size], -1) if len(piece) > size else -1 for piece in pieces], np.int64)
            for size in _SIZES
        ]

    def narrowed(self, tokens: Tokens, permitted: Callable[[Tokens], Tokens]) -> Tokens:
        """Those of `tokens` that may be permitted still. `permitted` answers which of the tokens given to it are."""
        for heads in self._heads:
            is_asked, is_fine = np.zeros((2, len(heads) + 1), np.bool_)
            is_asked[heads[tokens]] = True
            is_fine[-1] = True  # where -1 points to: a token without a shorter one
            is_fine[permitted(np.flatnonzero(is_asked[:-1]))] = True
            tokens = tokens[is_fine[heads[tokens]]]
        return tokens
