"""Asking about short tokens first leaves out many and never one that is permitted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.runner.beginnings import Beginnings, Tokens

PIECES = st.lists(st.binary(max_size=4).map(lambda data: bytes(byte % 3 + 97 for byte in data)), min_size=1)


def permitted_by(pieces: list[bytes], texts: set[bytes], asked: list[int] | None = None) -> Tokens:
    """The tokens that `texts` can begin with; an empty piece never."""
    tokens = range(len(pieces)) if asked is None else asked
    fine = [token for token in tokens if pieces[token] and any(text.startswith(pieces[token]) for text in texts)]
    return np.array(fine, np.int64)


@given(PIECES, st.sets(st.binary(max_size=5).map(lambda data: bytes(byte % 3 + 97 for byte in data))))
def test_no_permitted_token_is_left_out(pieces: list[bytes], texts: set[bytes]) -> None:
    everything = np.arange(len(pieces))

    left = Beginnings(pieces).narrowed(everything, lambda asked: permitted_by(pieces, texts, asked.tolist()))

    assert set(permitted_by(pieces, texts).tolist()) <= set(left.tolist())


def test_what_begins_with_a_refused_token_is_left_out_unasked() -> None:
    pieces = [b"a", b"b", b"abc", b"bcd", b"b\xc3", b"xyz", b""]
    asked: list[int] = []

    def permitted(tokens: Tokens) -> Tokens:
        asked.extend(tokens.tolist())
        return tokens[tokens == 0]

    left = Beginnings(pieces).narrowed(np.array([0, 2, 3, 4, 5, 6]), permitted)

    assert left.tolist() == [0, 2, 5, 6]
    assert asked == [0, 1]


def test_two_bytes_decide_where_one_does_not() -> None:
    pieces = [b" ", b" a", b' "', b" and", b' "no']

    left = Beginnings(pieces).narrowed(np.arange(5), lambda asked: asked[asked != 1])

    assert left.tolist() == [0, 1, 2, 4]
