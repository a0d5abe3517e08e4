"""BERT's tokenizer: text to ids of a WordPiece vocabulary. Pure; the vocabulary comes from the model's file.

llama.cpp has one too, and it loses letters: it drops every combining mark (the vowels of Hindi, Thai, Tamil …) and
leaves Hangul whole, where the models were trained on its parts. The order here is that of the models' own tokenizer:

1. names of control tokens are cut out
2. control characters go, white space becomes a space, Chinese characters stand alone
3. accents: canonical decomposition, marks without a width of their own go
4. lower case, character by character
5. words end at white space, punctuation stands alone
6. each word is the longest piece that begins it, then the longest that goes on, …; "unknown" when there is none
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache

BEGINS = "\N{LOWER ONE EIGHTH BLOCK}"
"""Before the pieces that begin a word."""
_MAX_WORD_CHARACTERS = 100
_CHINESE = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """A vocabulary: `pieces` are the ids of ordinary tokens by their text, `control` those of the others."""

    def __init__(self, pieces: Mapping[str, int], control: Mapping[str, int], unknown: int) -> None:
        mark = len(BEGINS)
        self._first = {text[mark:]: number for text, number in pieces.items() if text.startswith(BEGINS)}
        self._later = {text: number for text, number in pieces.items() if not text.startswith(BEGINS)}
        self._control = control
        self._unknown = unknown
        self._longest = max(map(len, pieces), default=0)
        names = "|".join(re.escape(name) for name in sorted(control, key=len, reverse=True))
        self._splitter = re.compile(f"({names})" if names else "(?!)")

    def encode(self, text: str) -> list[int]:
        """The ids of `text`, nothing before it and nothing behind it."""
        ids: list[int] = []
        for part in self._splitter.split(text):
            if part in self._control:
                ids.append(self._control[part])
            else:
                ids += [number for word in words(part) for number in self._of_word(word)]
        return ids

    def _of_word(self, word: str) -> list[int]:
        if len(word) > _MAX_WORD_CHARACTERS:
            return [self._unknown]
        ids: list[int] = []
        start, pieces = 0, self._first
        while start < len(word):
            ends = range(min(len(word), start + self._longest), start, -1)
            end = next((end for end in ends if word[start:end] in pieces), None)
            if end is None:
                return [self._unknown]
            ids.append(pieces[word[start:end]])
            start, pieces = end, self._later
        return ids


def words(text: str) -> Iterator[str]:
    """The words of `text`, as the vocabulary spells them: steps 2 to 5."""
    cleaned = "".join(map(_cleaned, text))
    decomposed = unicodedata.normalize("NFD", cleaned)
    bare = "".join(char for char in decomposed if unicodedata.category(char) != "Mn")
    lowered = "".join(map(str.lower, bare))
    for chunk in lowered.split():
        yield from _at_punctuation(chunk)


@lru_cache(4096)
def _cleaned(char: str) -> str:
    """What stands for one character after step 2."""
    if char in "\t\n\r" or (char.isspace() and unicodedata.category(char) != "Cc"):
        return " "
    if char == "\N{REPLACEMENT CHARACTER}" or unicodedata.category(char) in ("Cc", "Cf", "Co"):
        return ""
    number = ord(char)
    return f" {char} " if any(first <= number <= last for first, last in _CHINESE) else char


def _at_punctuation(chunk: str) -> Iterator[str]:
    start = 0
    for at, char in enumerate(chunk):
        if _is_punctuation(char):
            if start < at:
                yield chunk[start:at]
            yield char
            start = at + 1
    if start < len(chunk):
        yield chunk[start:]


@lru_cache(4096)
def _is_punctuation(char: str) -> bool:
    """In Unicode's sense, and all of ASCII that is neither letter nor digit."""
    return unicodedata.category(char).startswith("P") or char in "$+<=>^`|~"
