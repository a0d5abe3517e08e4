"""Reads the little-endian values of a GGUF header from a file that may lie. Must never trust a number.

Every length and count is compared with the bytes that are left before anything is allocated, and a header may
take at most `MAX_HEADER_BYTES` and `MAX_ARRAY_ITEMS`; so the worst file costs bounded memory and time.
"""

import struct
from dataclasses import dataclass
from itertools import repeat
from operator import length_hint
from typing import Any, BinaryIO, NoReturn

from ollamapy.errors import ModelFileError

MAX_HEADER_BYTES = 256 << 20
"""Real headers reach about 20 MiB (a vocabulary of 262k tokens with merges)."""
MAX_ARRAY_ITEMS = 1 << 23
"""Members of all arrays of a header together; real headers reach about a million."""
_FIRST_READ_BYTES = 1 << 20
NOT_WHOLE = "the file is not whole: copy or download it again"
"""The hint for a file that ends too early."""

STRING, ARRAY = 8, 9
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_NAMES = ("u8", "i8", "u16", "i16", "u32", "i32", "f32", "bool", "string", "array", "u64", "i64", "f64")
_CODES = {kind: struct.Struct("<" + code) for kind, code in _NUMBERS.items()}
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class ArrayInfo:
    """Stands for an array whose members were not read."""

    type: str
    count: int


class HeaderReader:
    """Walks forward through the first bytes of `file`; `position` is the offset of the next unread byte."""

    __slots__ = ("_data", "_file", "_items", "_limit", "name", "position", "size_bytes")

    def __init__(self, file: BinaryIO, name: str, size_bytes: int) -> None:
        self.name = name
        self.size_bytes = size_bytes
        self.position = 0
        self._file = file
        self._data = b""
        self._limit = min(size_bytes, MAX_HEADER_BYTES)
        self._items = 0

    @property
    def left(self) -> int:
        """Bytes that the header may still take."""
        return self._limit - self.position

    def fail(self, problem: str, *, hint: str = "") -> NoReturn:
        """Raises ModelFileError: names the file, the problem and the place."""
        place = f"at byte {self.position} of {self.size_bytes}"
        raise ModelFileError(f"{self.name}: {problem} ({place})", hint=hint)

    def fail_at_end(self, problem: str) -> NoReturn:
        """As `fail`, for something that reaches past the end of what may be read: file or header."""
        if self._limit < self.size_bytes:
            self.fail(f"{problem}, in a header of at most {MAX_HEADER_BYTES} bytes")
        self.fail(problem, hint=NOT_WHOLE)

    def number(self, kind: int, what: str) -> Any:
        """A number of type `kind`. A 32-bit float comes as the shortest decimal for it: 1e-05, not 9.99…e-06."""
        code = _CODES[kind]
        self._load(code.size, what)
        value = code.unpack_from(self._data, self.position)[0]
        self.position += code.size
        return _shortest(value) if kind == 6 else value

    def fields(self, layout: str, what: str) -> tuple[Any, ...]:
        """Several numbers in a row, `layout` as the struct module writes it."""
        size = struct.calcsize(f"<{layout}")
        self._load(size, what)
        values = struct.unpack_from(f"<{layout}", self._data, self.position)
        self.position += size
        return values

    def count(self, what: str, least_bytes: int, most: int) -> int:
        """A 64-bit count, refused above `most` or when the file is too short for so many of `least_bytes` each."""
        value: int = self.number(10, f"the number of {what}")
        if value > (room := self.left // least_bytes):
            self.position -= 8
            self.fail_at_end(f"the rest of the file has room for {room} {what}, found a count of {value}")
        if value > most:
            self.fail(f"wanted at most {most} {what}, found a count of {value}")
        return value

    def string(self, what: str, most_bytes: int = 2**64) -> str:
        """A string that must be UTF-8."""
        length: int = self.number(10, f"the length of {what}")
        if length > most_bytes:
            self.fail(f"{what} can have at most {most_bytes} bytes, found a length of {length}")
        self._load(length, what)
        data = self._data[self.position : self.position + length]
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            self.fail(f"{what} is not UTF-8: {error.reason} in {data[:32]!r}")
        self.position += length
        return text

    def value(self, what: str, *, arrays: bool) -> Any:
        """A typed value; an array is a list, or an ArrayInfo unless `arrays`."""
        kind = self._kind(what)
        if kind == STRING:
            return self.string(what)
        return self._array(what, keep=arrays) if kind == ARRAY else self.number(kind, what)

    def _kind(self, what: str) -> int:
        kind: int = self.number(4, f"the type of {what}")
        if kind >= len(_NAMES):
            self.position -= 4
            self.fail(f"{what} should have a type from 0 to 12, found {kind}")
        return kind

    def _array(self, what: str, *, keep: bool) -> Any:
        kind = self._kind(f"the members of {what}")
        if kind == ARRAY:
            self.fail(f"{what} is an array of arrays, which no GGUF reader supports")
        member_bytes = 8 if kind == STRING else _CODES[kind].size
        count = self.count(f"members of {what}", member_bytes, MAX_ARRAY_ITEMS)
        self._spend(count, what)
        if keep:
            return self._strings(count, what) if kind == STRING else self._numbers(kind, count, what)
        if kind == STRING:
            self._skip_strings(count, what)
        else:
            self.position += count * member_bytes
        return ArrayInfo(_NAMES[kind], count)

    def _spend(self, count: int, what: str) -> None:
        self._items += count
        if self._items > MAX_ARRAY_ITEMS:
            self.fail(f"wanted at most {MAX_ARRAY_ITEMS} array members, found {self._items} up to {what}")

    def _numbers(self, kind: int, count: int, what: str) -> list[Any]:
        size = count * _CODES[kind].size
        self._load(size, what)
        members = struct.unpack_from(f"<{count}{_NUMBERS[kind]}", self._data, self.position)
        self.position += size
        return list(members)

    def _strings(self, count: int, what: str) -> list[str]:
        """The strings of an array. Tokens may be torn characters: bad UTF-8 is replaced here, not refused."""
        members: list[str] = []
        while len(members) < count:
            self._load(8, what)
            length = _LENGTH.unpack_from(self._data, self.position)[0]
            self._load(8 + length, f"member {len(members)} of {what}")
            self.position = _take_strings(self._data, self.position, count, members)
        return members

    def _skip_strings(self, count: int, what: str) -> None:
        done = 0
        while done < count:
            self._load(8, what)
            passed, position = _pass_strings(self._data, self.position, count - done)
            done += passed
            if position > self._limit:
                self.fail_at_end(f"member {done - 1} of {what} would end at byte {position}")
            self.position = position

    def _load(self, count: int, what: str) -> None:
        """Makes `count` bytes from `position` on available."""
        end = self.position + count
        if end <= len(self._data):
            return
        if end > self._limit:
            self.fail_at_end(f"wanted {count} bytes for {what}, found {max(0, self.left)} in the rest of the file")
        have = len(self._data)
        wanted = min(self._limit, max(end, 2 * have, _FIRST_READ_BYTES))
        self._file.seek(have)
        self._data += self._file.read(wanted - have)
        if len(self._data) < end:
            self.fail(f"the file shrank while it was read: {what} is gone")


def _take_strings(data: bytes, position: int, count: int, members: list[str]) -> int:
    """Appends strings until there are `count` or `data` ends inside one; answers where the next one begins."""
    unpack = _LENGTH.unpack_from
    while len(members) < count and position + 8 <= len(data):
        start = position + 8
        end = start + unpack(data, position)[0]
        if end > len(data):
            break
        members.append(data[start:end].decode("utf-8", "replace"))
        position = end
    return position


def _pass_strings(data: bytes, position: int, count: int) -> tuple[int, int]:
    """Steps over up to `count` strings as far as their lengths lie in `data`: how many, and where they end.

    The hot loop of a header without arrays: nothing is compared on the way, the last end may lie anywhere.
    """
    unpack = _LENGTH.unpack_from
    rest = repeat(None, count)
    try:
        for _ in rest:
            position += 8 + unpack(data, position)[0]
    except (struct.error, OverflowError):
        return count - 1 - length_hint(rest), position
    return count, position


def _shortest(value: float) -> float:
    for digits in range(6, 9):
        text = f"{value:.{digits}g}"
        if _CODES[6].unpack(_pack(float(text)))[0] == value:
            return float(text)
    return value


def _pack(value: float) -> bytes:
    try:
        return _CODES[6].pack(value)
    except OverflowError:
        return _CODES[6].pack(float("inf"))
