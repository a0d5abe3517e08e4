"""Reads a Modelfile: bytes or text in, commands out. Never touches the disk, never judges what a value means.

1. Decode: UTF-8, or UTF-16 behind a byte order mark; a byte that is not UTF-8 becomes U+FFFD.
2. Skip white space, line ends and comments up to the next instruction.
3. Read its name, after PARAMETER the parameter's name, after MESSAGE the role.
4. Read its value: to the end of the line, or to the line end at which an opened quote is closed.

Characters that do not print (see `printable`) are dropped from names and values.
"""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from dataclasses import dataclass

from ollamapy.errors import InvalidInput

INSTRUCTIONS = (
    "from",
    "license",
    "template",
    "system",
    "adapter",
    "draft",
    "renderer",
    "parser",
    "parameter",
    "message",
    "requires",
)
ROLES = ("system", "user", "assistant")

BAD_COMMAND = (
    'command must be one of "from", "license", "template", "system", "adapter", "draft", "renderer", "parser", '
    '"parameter", "message", or "requires"'
)
BAD_ROLE = 'message role must be one of "system", "user", or "assistant"'
NO_FROM = "no FROM line"
UNEXPECTED_END = "unexpected EOF"

_BLANKS = " \t"
_LINE_END = re.compile(r"[\r\n]")
_BETWEEN = re.compile(r"(?:[ \t\r\n]++|#[^\r\n]*+)*+")
_LETTERS = re.compile(r"[A-Za-z]*")
_PARAMETER = re.compile(r"[A-Za-z0-9_]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Command:
    """One instruction. `name` is lower case; of a PARAMETER it is the parameter's name, as it was written."""

    name: str
    value: str
    is_parameter: bool = False
    role: str = ""


@dataclass(frozen=True, slots=True)
class Modelfile:
    """The commands of a file, in order."""

    commands: tuple[Command, ...]

    @property
    def has_from(self) -> bool:
        """Whether there is a FROM, without which a file is refused."""
        return any(command.name == "from" and not command.is_parameter for command in self.commands)


def parse(data: bytes | str) -> Modelfile:
    """The Modelfile in `data`. Raises InvalidInput; a text with a place in the file begins with `(line N): `."""
    modelfile = Modelfile(tuple(_Reader(_decode(data)).commands()))
    if not modelfile.has_from:
        raise InvalidInput(NO_FROM, hint="a Modelfile starts from a model or a file: FROM starter")
    return modelfile


def printable(text: str) -> str:
    """`text` without the characters that a Modelfile cannot hold: all but tab, space and what prints.

    Letters, marks, numbers, punctuation and symbols print. Controls, joiners and spaces other than U+0020 do not.
    """
    if text.isprintable():
        return text
    return "".join(char for char in text if char.isprintable() or char == "\t")


def _decode(data: bytes | str) -> str:
    if isinstance(data, str):
        text = data
    elif data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return data.decode("utf-16", errors="replace")
    else:
        text = data.decode("utf-8", errors="surrogateescape")  # One surrogate for each bad byte.
    return _SURROGATE.sub("\ufffd", text).removeprefix("\ufeff")


class _Reader:
    """The place reached in `text`."""

    __slots__ = ("position", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def commands(self) -> Iterator[Command]:
        while self._find_instruction():
            yield self._command()

    def _find_instruction(self) -> bool:
        between = _BETWEEN.match(self.text, self.position)
        assert between is not None, "the pattern matches the empty string"
        self.position = between.end()
        return self.position < len(self.text)

    def _command(self) -> Command:
        name = self._instruction()
        if name == "parameter":
            parameter = self._word(_PARAMETER)
            return Command(parameter, self._value(), is_parameter=True)
        if name == "message":
            role = self._role()
            return Command(name, self._value(), role=role)
        return Command(name, self._value())

    def _instruction(self) -> str:
        """The first character, whatever it is, then letters, then one blank. The position moves past the blank."""
        start = self.position
        end = self._span(_LETTERS, start + 1)
        if end == len(self.text):
            raise InvalidInput(UNEXPECTED_END)
        name = printable(self.text[start:end]).lower()
        if self.text[end] not in _BLANKS or name not in INSTRUCTIONS:
            raise self._error(end, BAD_COMMAND)
        self.position = end + 1
        return name

    def _word(self, pattern: re.Pattern[str]) -> str:
        """What `pattern` matches, which may be nothing, then one blank. The position moves past the blank."""
        start = self.position
        end = self._span(pattern, start)
        if end == len(self.text):
            raise InvalidInput(UNEXPECTED_END)
        word = self.text[start:end]
        if self.text[end] not in _BLANKS:
            raise InvalidInput(f"{UNEXPECTED_END}: {word}")
        self.position = end + 1
        return word

    def _role(self) -> str:
        role = self._word(_LETTERS)
        if role not in ROLES:
            raise self._error(self.position - 1, BAD_ROLE)
        return role

    def _value(self) -> str:
        """The text up to the line end that closes it, trimmed and without its quotes."""
        line = self._line()
        quote = _opening(line)
        lines = [line]
        is_closed = _closes_first(line, quote)
        while not is_closed:
            if self.position == len(self.text):
                raise InvalidInput(UNEXPECTED_END)
            lines.append(self.text[self.position])
            self.position += 1
            lines.append(self._line())
            is_closed = lines[-1].rstrip(_BLANKS).endswith(quote)
        return "".join(lines).strip(_BLANKS + "\r\n")[len(quote) :].removesuffix(quote)

    def _line(self) -> str:
        """The printable rest of the line. The position moves to its line end."""
        line_end = _LINE_END.search(self.text, self.position)
        end = line_end.start() if line_end else len(self.text)
        line = printable(self.text[self.position : end])
        self.position = end
        return line

    def _span(self, pattern: re.Pattern[str], start: int) -> int:
        match = pattern.match(self.text, start)
        return match.end() if match else start

    def _error(self, position: int, text: str) -> InvalidInput:
        line_ends = _LINE_END.findall(self.text, 0, position + 1)
        return InvalidInput(f"(line {1 + len(line_ends)}): {text}")


def _opening(line: str) -> str:
    """The quote that opens a value, or nothing."""
    start = line.lstrip(_BLANKS)
    return '"""' if start.startswith('"""') else start[:1] if start.startswith('"') else ""


def _closes_first(line: str, quote: str) -> bool:
    """Whether the value ends on the line on which it starts: the closing quote is not the opening one."""
    value = line.strip(_BLANKS)
    return len(value) >= 2 * len(quote) and value.endswith(quote)
