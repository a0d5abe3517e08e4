"""Cuts the text of a template into tokens, as Go's `text/template/parse` does. It knows nothing of what they mean.

States, each a function that reads from a position:

1. text up to `{{`, with the white space before `{{- ` cut off
2. a comment
3. what stands inside an action, up to `}}`

A mistake ends the list of tokens with an ERROR token that holds Go's words for it: the parser may find an earlier one.
"""

import re
from enum import Enum
from typing import NamedTuple

from ollamapy.errors import TemplateError
from ollamapy.modelfile.gotemplate.limits import MAX_SOURCE_CHARS, MAX_TOKENS
from ollamapy.modelfile.gotemplate.quoting import code_point, quote


class Kind(Enum):
    """What a token is."""

    ERROR = "error"
    END_OF_FILE = "EOF"
    TEXT = "text"
    LEFT = "{{"
    RIGHT = "}}"
    SPACE = " "
    OPEN = "("
    CLOSE = ")"
    PIPE = "|"
    ASSIGN = "="
    DECLARE = ":="
    CHARACTER = "!"
    DOT = "."
    FIELD = ".field"
    VARIABLE = "$name"
    IDENTIFIER = "name"
    KEYWORD = "keyword"
    BOOL = "bool"
    NIL = "nil"
    NUMBER = "number"
    CHARACTER_CONSTANT = "'c'"
    STRING = '"string"'
    RAW_STRING = "`string`"


class Token(NamedTuple):
    """A piece of the text, or the message of an ERROR; `position` counts characters."""

    kind: Kind
    position: int
    text: str

    def __str__(self) -> str:
        if self.kind is Kind.END_OF_FILE:
            return "EOF"
        if self.kind is Kind.ERROR:
            return self.text
        if self.kind in (Kind.KEYWORD, Kind.NIL) or self.text == ".":
            return f"<{self.text}>"
        return quote(self.text) if len(self.text) <= 10 else quote(self.text[:10]) + "..."


KEYWORDS = frozenset({"block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"})
_SPACES = " \t\r\n"
_RIGHT = re.compile(r"(?P<trims>[ \t\r\n]-)?\}\}")
_SPACE_RUN = re.compile(r"[ \t\r\n]+")
_STRING = re.compile(r'"(?:[^"\\\n]|\\[^\n])*(?P<end>")?')
_RAW_STRING = re.compile(r"`[^`]*(?P<end>`)?")
_CHARACTER_CONSTANT = re.compile(r"'(?:[^'\\\n]|\\[^\n])*(?P<end>')?")
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?"
    r"|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_PUNCTUATION = {"=": Kind.ASSIGN, "|": Kind.PIPE}
_QUOTED = {
    '"': (_STRING, Kind.STRING, "unterminated quoted string"),
    "`": (_RAW_STRING, Kind.RAW_STRING, "unterminated raw quoted string"),
    "'": (_CHARACTER_CONSTANT, Kind.CHARACTER_CONSTANT, "unterminated character constant"),
}


class _Mistake(Exception):
    """Ends the tokens; its argument is the message."""


def tokenize(source: str) -> list[Token]:
    """The tokens of `source`; the last is END_OF_FILE or ERROR. Raises TemplateError when there are too many."""
    if len(source) > MAX_SOURCE_CHARS:
        raise TemplateError(f"template: the text is longer than {MAX_SOURCE_CHARS} characters")
    lexer = _Lexer(source)
    try:
        lexer.read_all()
        lexer.emit(Kind.END_OF_FILE, len(source), len(source))
    except _Mistake as mistake:
        lexer.tokens.append(Token(Kind.ERROR, min(lexer.position, len(source)), mistake.args[0]))
    return lexer.tokens


class _Lexer:
    def __init__(self, source: str) -> None:
        self.source = source
        self.position = 0
        self.paren_depth = 0
        self.tokens: list[Token] = []

    def emit(self, kind: Kind, start: int, end: int) -> None:
        if len(self.tokens) >= MAX_TOKENS:
            raise TemplateError(f"template: the text has more than {MAX_TOKENS} parts")
        self.tokens.append(Token(kind, start, self.source[start:end]))
        self.position = end

    def read_all(self) -> None:
        while (left := self.source.find("{{", self.position)) >= 0:
            self.read_text(left)
            self.read_left(left)
        if self.position < len(self.source):
            self.emit(Kind.TEXT, self.position, len(self.source))

    def read_text(self, left: int) -> None:
        end = left
        if _has_trim_marker(self.source, left + 2):
            end = self.position + len(self.source[self.position : left].rstrip(_SPACES))
        if end > self.position:
            self.emit(Kind.TEXT, self.position, end)

    def read_left(self, left: int) -> None:
        inside = left + (4 if _has_trim_marker(self.source, left + 2) else 2)
        if self.source.startswith("/*", inside):
            self.read_comment(inside)
            return
        self.emit(Kind.LEFT, left, left + 2)
        self.position = inside
        self.paren_depth = 0
        while not self.read_right():
            self.read_inside()

    def read_comment(self, start: int) -> None:
        end = self.source.find("*/", start + 2)
        if end < 0:
            raise _Mistake("unclosed comment")
        right = _RIGHT.match(self.source, end + 2)
        if not right:
            raise _Mistake("comment ends before closing delimiter")
        self.position = self.after_right(right)

    def read_right(self) -> bool:
        right = _RIGHT.match(self.source, self.position)
        if not right:
            return False
        if self.paren_depth:
            raise _Mistake("unclosed left paren")
        self.emit(Kind.RIGHT, right.end() - 2, right.end())
        self.position = self.after_right(right)
        return True

    def after_right(self, right: re.Match[str]) -> int:
        spaces = _SPACE_RUN.match(self.source, right.end()) if right["trims"] else None
        return spaces.end() if spaces else right.end()

    def read_inside(self) -> None:
        """One token inside an action."""
        start = self.position
        first = self.source[start : start + 1]
        if not first:
            raise _Mistake("unclosed action")
        if first in _SPACES:
            self.read_space()
        elif first in _PUNCTUATION:
            self.emit(_PUNCTUATION[first], start, start + 1)
        elif first == ":":
            self.read_declare()
        elif first in _QUOTED:
            self.read_quoted(*_QUOTED[first])
        elif first == "$" or (first == "." and self.source[start + 1 : start + 2] not in ("", *"0123456789")):
            self.read_name(Kind.VARIABLE if first == "$" else Kind.FIELD)
        elif first in "+-.0123456789":
            self.read_number()
        elif _is_alphanumeric(first):
            self.read_word()
        elif first in "()":
            self.read_paren(first)
        elif first.isascii() and first.isprintable():
            self.emit(Kind.CHARACTER, start, start + 1)
        else:
            raise _Mistake(f"unrecognized character in action: {code_point(first)}")

    def read_space(self) -> None:
        run = _SPACE_RUN.match(self.source, self.position)
        assert run
        is_before_right = self.source.startswith("-}}", run.end())  # then the last space belongs to ` -}}`
        self.emit(Kind.SPACE, self.position, run.end() - is_before_right)

    def read_declare(self) -> None:
        if not self.source.startswith(":=", self.position):
            raise _Mistake("expected :=")
        self.emit(Kind.DECLARE, self.position, self.position + 2)

    def read_quoted(self, pattern: re.Pattern[str], kind: Kind, message: str) -> None:
        match = pattern.match(self.source, self.position)
        if not match or not match["end"]:
            raise _Mistake(message)
        self.emit(kind, self.position, match.end())

    def read_name(self, kind: Kind) -> None:
        """`.name` or `$name`, or the lone `.` or `$`."""
        end = self.end_of_word(self.position + 1)
        self.expect_terminator(end)
        is_dot = kind is Kind.FIELD and end == self.position + 1
        self.emit(Kind.DOT if is_dot else kind, self.position, end)

    def read_number(self) -> None:
        start = self.position
        match = _NUMBER.match(self.source, start)
        assert match
        end = match.end()
        following = self.source[end : end + 1]
        if following and (_is_alphanumeric(following) or following in "+-"):
            raise _Mistake(f"bad number syntax: {quote(self.source[start : end + 1])}")
        self.emit(Kind.NUMBER, start, end)

    def read_word(self) -> None:
        start = self.position
        end = self.end_of_word(start)
        self.expect_terminator(end)
        word = self.source[start:end]
        if word in KEYWORDS:
            kind = Kind.KEYWORD
        elif word in ("true", "false"):
            kind = Kind.BOOL
        else:
            kind = Kind.NIL if word == "nil" else Kind.IDENTIFIER
        self.emit(kind, start, end)

    def read_paren(self, paren: str) -> None:
        self.paren_depth += 1 if paren == "(" else -1
        if self.paren_depth < 0:
            raise _Mistake("unexpected right paren")
        self.emit(Kind.OPEN if paren == "(" else Kind.CLOSE, self.position, self.position + 1)

    def end_of_word(self, position: int) -> int:
        while position < len(self.source) and _is_alphanumeric(self.source[position]):
            position += 1
        return position

    def expect_terminator(self, position: int) -> None:
        following = self.source[position : position + 1]
        if following and following not in " \t\r\n.,|:)(" and not self.source.startswith("}}", position):
            raise _Mistake(f"bad character {code_point(following)}")


def _has_trim_marker(source: str, position: int) -> bool:
    return source.startswith("-", position) and source[position + 1 : position + 2] in (*_SPACES,)


def _is_alphanumeric(character: str) -> bool:
    return character == "_" or character.isalpha() or character.isdecimal()
