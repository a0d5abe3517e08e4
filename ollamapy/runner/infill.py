"""The prompt of a gap in a file: which tokens stand for what is before it, behind it, and in other files. Pure.

    BOS [repository] name [file] name text … [file] name [prefix] … [suffix] … [middle]

A vocabulary without tokens for repository and file has files apart by a line of text. What does not fit goes first from
the oldest of the other files, then from what is far from the gap.
"""

from collections.abc import Callable
from dataclasses import dataclass

from ollamapy.errors import InvalidInput, Unsupported
from ollamapy.wire.runner import Fill

_REPOSITORY = "myproject\n"
_THIS_FILE = "filename\n"
"""Names that llama.cpp's server gives, as nobody tells it better ones."""
_OTHER_FILE = "tmp"
_BETWEEN_FILES = "\n\n--- snippet ---\n\n"

Tokenize = Callable[[str], list[int]]
"""A text's tokens, where nothing in it counts as a control token."""


@dataclass(frozen=True, slots=True)
class Marks:
    """The tokens that a vocabulary has for gaps; -1 is none."""

    prefix: int = -1
    suffix: int = -1
    middle: int = -1
    repository: int = -1
    file: int = -1
    beginning: tuple[int, ...] = ()
    """What stands before every prompt."""

    @property
    def missing(self) -> list[str]:
        """What it lacks to fill gaps at all."""
        needed = {"prefix": self.prefix, "suffix": self.suffix, "middle": self.middle}
        return [name for name, token in needed.items() if token < 0]


@dataclass(frozen=True, slots=True)
class Filled:
    """A prompt, and how many tokens were left out to make it fit."""

    tokens: list[int]
    num_dropped: int = 0


def assemble(fill: Fill, marks: Marks, tokenize: Tokenize, num_ctx: int, num_predict: int) -> Filled:
    """The prompt for a context of `num_ctx` tokens that has room for an answer of `num_predict`, or of half of it.

    Raises Unsupported for a vocabulary without the tokens, InvalidInput for a context that holds nothing.
    """
    if marks.missing:
        raise Unsupported(f"the model cannot fill gaps: its vocabulary has no token for {', '.join(marks.missing)}")
    head = [*marks.beginning, *_named(marks.repository, _REPOSITORY, tokenize)]
    files = [token for file in fill.files for token in _file(file.filename, file.text, marks, tokenize)]
    this = _named(marks.file, _THIS_FILE, tokenize)
    before, behind = tokenize(fill.prefix), tokenize(fill.suffix)

    room = num_ctx - 1 - min(max(num_predict, 0), num_ctx // 2) - len(head) - len(this) - 3
    if room < 1:
        raise InvalidInput(f"a context of {num_ctx} tokens is too small to fill gaps", hint="raise num_ctx")
    num_behind = min(len(behind), max(room // 4, room - len(before)))
    num_before = min(len(before), room - num_behind)
    num_files = min(len(files), room - num_behind - num_before)
    tokens = [
        *head,
        *_last(files, num_files),
        *this,
        marks.prefix,
        *_last(before, num_before),
        marks.suffix,
        *behind[:num_behind],
        marks.middle,
    ]
    return Filled(tokens, len(files) + len(before) + len(behind) - num_files - num_before - num_behind)


def _file(filename: str, text: str, marks: Marks, tokenize: Tokenize) -> list[int]:
    if marks.file < 0:
        return [*tokenize(_BETWEEN_FILES), *tokenize(text)]
    return [*_named(marks.file, f"{filename or _OTHER_FILE}\n", tokenize), *tokenize(text)]


def _named(mark: int, name: str, tokenize: Tokenize) -> list[int]:
    return [mark, *tokenize(name)] if mark >= 0 else []


def _last(tokens: list[int], count: int) -> list[int]:
    return tokens[len(tokens) - count :]
