"""Go's string, character and number literals, to and from values.

A Go string is bytes, a Python string is not: a byte that is not part of UTF-8 text is kept as the surrogate that
Python's `surrogateescape` gives it, and `clean` turns those into U+FFFD when text leaves the engine.
"""

import re
from itertools import pairwise

_SIMPLE_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "\\": 92}
_ESCAPE_OF = {7: "\\a", 8: "\\b", 12: "\\f", 10: "\\n", 13: "\\r", 9: "\\t", 11: "\\v"}
_HEX_DIGITS = {"x": 2, "u": 4, "U": 8}
_ESCAPE = re.compile(
    r"""\\(?:(?P<simple>[abfnrtv\\'"])|(?P<octal>[0-7]{3})|x(?P<x>[0-9a-fA-F]{2})"""
    r"""|u(?P<u>[0-9a-fA-F]{4})|U(?P<U>[0-9a-fA-F]{8}))"""
)
_PLAIN = re.compile(r"[ !#-&(-\[\]-~]*")
_HALF_SURROGATE = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # that no raw byte is kept as
_PREFIX = re.compile(r"[+-]?(?:0(?P<base>[bBoOxX]))?")
_FLOAT = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?", re.ASCII)
_HEX_FLOAT = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+", re.ASCII)
_INTEGER = re.compile(r"([+-]?)(0[bB][01]+|0[oO]?[0-7]*|0[xX][0-9a-fA-F]+|[1-9][0-9]*)", re.ASCII)

MIN_INT, MAX_INT, MAX_UINT = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1


def to_bytes(text: str) -> bytes:
    """The bytes of a Go string."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return _HALF_SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text).encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """The string that holds these bytes."""
    return data.decode("utf-8", "surrogateescape")


def joined(text: str) -> str:
    """`text` with raw bytes that stand side by side and form a character turned into that character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return from_bytes(to_bytes(text))
    return text


def clean(text: str) -> str:
    """`text` fit to be encoded: what is not UTF-8 becomes U+FFFD, one for each byte."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return re.sub("[\ud800-\udfff]", "\N{REPLACEMENT CHARACTER}", joined(text))
    return text


def num_bytes(text: str) -> int:
    """Go's `len` of a string."""
    return len(text) if text.isascii() else len(to_bytes(text))


def unquote(literal: str) -> str:
    """The value of a `"…"` or a raw literal. Raises ValueError."""
    body = literal[1:-1]
    if literal[0] == "`":
        return body.replace("\r", "")
    if "\\" not in body:
        return body
    parts, position = [], 0
    while position < len(body):
        code, is_byte, position = _character(body, position, '"')
        parts.append(bytes([code]) if is_byte else chr(code).encode("utf-8", "surrogateescape"))
    return from_bytes(b"".join(parts))


def unquote_character(literal: str) -> int:
    """The code point of a `'x'` literal. Raises ValueError."""
    code, _, end = _character(literal, 1, "'")
    if literal[end:] != "'":
        raise ValueError(f"malformed character constant: {literal}")
    return code


def _character(text: str, position: int, quote: str) -> tuple[int, bool, int]:
    """The code at `position`, whether it is a bare byte, and where the next one starts."""
    if text[position] == quote:
        raise ValueError("invalid syntax")
    if text[position] != "\\":
        return ord(text[position]), False, position + 1
    match = _ESCAPE.match(text, position)
    if not match:
        raise ValueError("invalid syntax")
    return (*_escaped(match, quote), match.end())


def _escaped(match: re.Match[str], quote: str) -> tuple[int, bool]:
    if simple := match["simple"]:
        if simple in "'\"" and simple != quote:
            raise ValueError("invalid syntax")
        return _SIMPLE_ESCAPES.get(simple, ord(simple)), False
    if match["octal"] or match["x"]:
        code = int(match["octal"], 8) if match["octal"] else int(match["x"], 16)
        if code > 255:
            raise ValueError("invalid syntax")
        return code, True
    code = int(match["u"] or match["U"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise ValueError("invalid syntax")
    return code, False


def is_plain(text: str) -> bool:
    """True when `quote` only puts marks around `text`."""
    return _PLAIN.fullmatch(text) is not None


def quote(text: str, mark: str = '"', *, only_ascii: bool = False) -> str:
    """Go's `strconv.Quote`: the literal of a string, or with `mark` `'` of a character."""
    if is_plain(text):
        return mark + text + mark
    return mark + "".join(_quoted(character, mark, only_ascii) for character in text) + mark


def _quoted(character: str, mark: str, only_ascii: bool) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if character in (mark, "\\"):
        return "\\" + character
    if is_printable(character) and (code < 0x80 or not only_ascii):
        return character
    if code in _ESCAPE_OF:
        return _ESCAPE_OF[code]
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def can_backquote(text: str) -> bool:
    """True when a raw literal can hold `text`."""
    return not re.search("[\x00-\x08\x0a-\x1f`\x7f\ufeff\ud800-\udfff]", text)


def is_printable(character: str) -> bool:
    """Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the space."""
    return character.isprintable()


def code_point(character: str) -> str:
    """Go's `%#U`: `U+0041 'A'`."""
    shown = f" '{character}'" if is_printable(character) else ""
    return f"U+{ord(character):04X}{shown}"


def parse_integer(text: str) -> int | None:
    """The integer that Go's base 0 reads in `text`, of any size."""
    text = _without_underscores(text)
    match = _INTEGER.fullmatch(text)
    if not match:
        return None
    sign, digits = match.groups()
    if len(digits) > 1 and digits[0] == "0" and digits[1] in "01234567":
        digits = "0o" + digits[1:]
    if len(digits) == 2 and digits[1] in "oO":
        return None
    if len(digits) > 80:  # no 64-bit number is longer, whatever its base
        return -(1 << 80) if sign == "-" else 1 << 80
    return -int(digits, 0) if sign == "-" else int(digits, 0)


def parse_float(text: str) -> float | None:
    """The float that Go reads in `text`; None when it is none, or too large."""
    text = _without_underscores(text)
    value: float | None = None
    if _FLOAT.fullmatch(text):
        value = float(text)
    elif _HEX_FLOAT.fullmatch(text):
        try:
            value = float.fromhex(text)
        except OverflowError:
            return None
    return value if value is not None and abs(value) != float("inf") else None


def _without_underscores(text: str) -> str:
    """`text` without the underscores between its digits; as it was when one stands elsewhere. A prefix is a digit."""
    if "_" not in text:
        return text
    prefix = _PREFIX.match(text)
    assert prefix
    digits = "0123456789abcdefABCDEF" if (prefix["base"] or "") in ("x", "X") else "0123456789"
    body = ("0" if prefix["base"] else "") + text[prefix.end() :]
    parts = body.split("_")
    is_separating = all(left[-1:] in (*digits,) and right[:1] in (*digits,) for left, right in pairwise(parts))
    return text.replace("_", "") if is_separating else text
