"""Go's `fmt.Sprintf`: verbs, flags, widths, and what it prints for a mistake (`%!d(string=x)`).

A format is read once from left to right. Each verb goes:

1. flags `- + # 0 space`
2. an argument's number `[n]`
3. a width, digits or `*`
4. a precision, `.` and digits or `*`
5. the verb

Before padding or digits are made, the budget is told how many characters that will be, and may refuse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollamapy.modelfile.gotemplate import floats, quoting
from ollamapy.modelfile.gotemplate.budget import Budget
from ollamapy.modelfile.gotemplate.text import own_text
from ollamapy.modelfile.gotemplate.values import Byte, Record, is_list, is_nothing, type_name

_MAX_NUMBER = 1_000_000
_STEPS_PER_VERB = 10
_STEPS_PER_VALUE = 4
_MAX_RUNE = 0x10FFFF
_TEXT_VERBS = "vsxXq"
_BASES = {"v": 10, "d": 10, "b": 2, "o": 8, "O": 8, "x": 16, "X": 16}
_DIGITS = {10: "d", 2: "b", 8: "o", 16: "x"}
_FLOAT_PRECISION = {"v": -1, "b": -1, "g": -1, "G": -1, "x": -1, "X": -1, "f": 6, "e": 6, "E": 6, "F": 6}


def sprintf(form: str, arguments: Sequence[Any], budget: Budget) -> str:
    """`form` with its verbs replaced."""
    return quoting.joined(_Printer(form, arguments, budget).run())


@dataclass(slots=True)
class _Flags:
    minus: bool = False
    plus: bool = False
    sharp: bool = False
    space: bool = False
    zero: bool = False
    plus_v: bool = False
    sharp_v: bool = False
    width: int | None = None
    precision: int | None = None

    @property
    def pads_with_zeros(self) -> bool:
        return self.zero and not self.minus


_FLAG_NAMES = {"-": "minus", "+": "plus", "#": "sharp", "0": "zero", " ": "space"}


class _Printer:
    def __init__(self, form: str, arguments: Sequence[Any], budget: Budget) -> None:
        self.form = form
        self.arguments = arguments
        self.budget = budget
        self.position = 0
        self.index = 0
        self.is_reordered = False
        self.has_good_index = True
        self.is_after_index = False
        self.is_erring = False
        self.flags = _Flags()
        self.parts: list[str] = []

    def run(self) -> str:
        form = self.form
        while self.position < len(form):
            percent = form.find("%", self.position)
            end = percent if percent >= 0 else len(form)
            self.parts.append(form[self.position : end])
            self.position = end + 1
            if percent >= 0:
                self.verb()
        if not self.is_reordered and self.index < len(self.arguments):
            self.extra()
        return "".join(self.parts)

    def extra(self) -> None:
        self.flags = _Flags()
        shown = []
        for argument in self.arguments[self.index :]:
            nothing = is_nothing(argument)
            shown.append("<nil>" if nothing else f"{type_name(argument)}={self.value(argument, 'v')}")
        self.parts.append(f"%!(EXTRA {', '.join(shown)})")

    # Reading a verb.

    def verb(self) -> None:
        self.budget.spend(_STEPS_PER_VERB)
        self.flags = _Flags()
        self.has_good_index = True
        self.read_flags()
        self.read_index()
        self.read_width()
        self.read_precision()
        if not self.is_after_index:
            self.read_index()
        if self.position >= len(self.form):
            self.parts.append("%!(NOVERB)")
            return
        verb = self.form[self.position]
        self.position += 1
        self.parts.append(self.formatted(verb))

    def formatted(self, verb: str) -> str:
        if verb == "%":
            return "%"
        if not self.has_good_index:
            return f"%!{verb}(BADINDEX)"
        if self.index >= len(self.arguments):
            return f"%!{verb}(MISSING)"
        if verb in "vw":
            flags = self.flags
            flags.sharp_v, flags.sharp, flags.plus_v, flags.plus = flags.sharp, False, flags.plus, False
        self.index += 1
        return self.argument(self.arguments[self.index - 1], verb)

    def read_flags(self) -> None:
        while name := _FLAG_NAMES.get(self.form[self.position : self.position + 1]):
            setattr(self.flags, name, True)
            self.position += 1

    def read_index(self) -> None:
        """`[n]`: the argument to take next."""
        self.is_after_index = False
        if not self.form.startswith("[", self.position):
            return
        self.is_reordered = True
        end = self.form.find("]", self.position) if len(self.form) - self.position >= 3 else -1
        digits = self.form[self.position + 1 : end] if end >= 0 else ""
        self.position = end + 1 if end >= 0 else self.position + 1
        self.is_after_index = digits.isascii() and digits.isdigit() and len(digits) < 8
        number = int(digits) if self.is_after_index else 0
        if 1 <= number <= len(self.arguments):
            self.index = number - 1
        else:
            self.has_good_index = False

    def read_width(self) -> None:
        flags = self.flags
        if self.form.startswith("*", self.position):
            flags.width = self.star("%!(BADWIDTH)")
            if flags.width is not None and flags.width < 0:
                flags.width, flags.minus, flags.zero = -flags.width, True, False
            self.is_after_index = False
            return
        flags.width = self.read_number()
        if self.is_after_index and flags.width is not None:
            self.has_good_index = False

    def read_precision(self) -> None:
        if self.position + 1 >= len(self.form) or self.form[self.position] != ".":
            return
        self.position += 1
        if self.is_after_index:
            self.has_good_index = False
        self.read_index()
        if not self.form.startswith("*", self.position):
            self.flags.precision = self.read_number() or 0
            return
        precision = self.star("")
        if precision is None or precision < 0:
            precision = None
            self.parts.append("%!(BADPREC)")
        self.flags.precision = precision
        self.is_after_index = False

    def star(self, mistake: str) -> int | None:
        """The width or precision that an argument gives; appends `mistake` when it is no good number."""
        self.position += 1
        value = self.arguments[self.index] if self.index < len(self.arguments) else None
        self.index += self.index < len(self.arguments)
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _MAX_NUMBER:
            return int(value)
        self.parts.append(mistake)
        return None

    def read_number(self) -> int | None:
        start, number = self.position, 0
        while self.position < len(self.form) and self.form[self.position] in "0123456789":
            if number > _MAX_NUMBER:
                self.position = len(self.form)
                return None
            number = number * 10 + int(self.form[self.position])
            self.position += 1
        return number if self.position > start else None

    # Values.

    def argument(self, value: Any, verb: str) -> str:
        if is_nothing(value):
            return self.padded("<nil>") if verb in "Tv" else f"%!{verb}(<nil>)"
        if verb == "T":
            return self.string(type_name(value), "s")
        return self.value(value, verb)

    def value(self, value: Any, verb: str) -> str:
        self.budget.spend(_STEPS_PER_VALUE)
        own = self.own(value, verb)
        if own is not None:
            return own
        if isinstance(value, str):
            return self.string(value, verb)
        if isinstance(value, bool):
            return self.padded("true" if value else "false") if verb in "tv" else self.mistake(value, verb)
        if isinstance(value, int):
            return self.integer(value, verb)
        if isinstance(value, float):
            return self.float(value, verb)
        return self.composite(value, verb)

    def own(self, value: Any, verb: str) -> str | None:
        """What a type that prints itself says; also `%w`, which such types and composites refuse."""
        if self.is_erring or isinstance(value, str | int | float):
            return None
        if verb == "w":
            return self.mistake(value, verb)
        text = None if self.flags.sharp_v or verb not in _TEXT_VERBS else own_text(value)
        return None if text is None else self.string(text, verb)

    def mistake(self, value: Any, verb: str) -> str:
        self.is_erring = True
        shown = self.value(value, "v")
        self.is_erring = False
        return f"%!{verb}({type_name(value)}={shown})"

    def composite(self, value: Any, verb: str) -> str:
        if verb == "p":
            return self.mistake(value, verb)  # Go prints an address
        separator, is_syntax = (", ", True) if self.flags.sharp_v else (" ", False)
        name = type_name(value) if is_syntax else ""
        opening, closing = ("{", "}") if is_syntax or isinstance(value, Record) else ("[", "]")
        if isinstance(value, dict) and not is_syntax:
            name = "map"
        return f"{name}{opening}{separator.join(self.members(value, verb))}{closing}"

    def members(self, value: Any, verb: str) -> list[str]:
        if isinstance(value, dict):
            return [f"{self.value(key, verb)}:{self.element(value[key], verb)}" for key in sorted(value)]
        if is_list(value):
            return [self.element(item, verb) for item in value]
        is_named = self.flags.sharp_v or self.flags.plus_v
        fields = [member.field for member in value.shape.members]
        return [(f"{name}:" if is_named else "") + self.element(value.fields[name], verb) for name in fields]

    def element(self, value: Any, verb: str) -> str:
        if is_nothing(value):
            return "interface {}(nil)" if self.flags.sharp_v else "<nil>"
        return self.value(value, verb)

    # Strings.

    def string(self, text: str, verb: str) -> str:
        if verb == "s" or (verb == "v" and not self.flags.sharp_v):
            return self.padded(text[: self.flags.precision])
        if verb in "qv":
            return self.quoted(text[: self.flags.precision])
        if verb in "xX":
            return self.hex_bytes(text, verb)
        return self.mistake(text, verb)

    def quoted(self, text: str) -> str:
        if not quoting.is_plain(text):
            self.budget.spend(len(text))
        if self.flags.sharp and quoting.can_backquote(text):
            return self.padded(f"`{text}`")
        return self.padded(quoting.quote(text, only_ascii=self.flags.plus))

    def hex_bytes(self, text: str, verb: str) -> str:
        data = quoting.to_bytes(text)[: self.flags.precision]
        prefix = "0x" if self.flags.sharp else ""
        self.budget.make(2 * len(data))
        shown = f" {prefix}".join(f"{byte:02x}" for byte in data) if self.flags.space else data.hex()
        shown = prefix + shown if data else ""
        return self.padded(shown.upper() if verb == "X" else shown)

    def padded(self, text: str) -> str:
        width = (self.flags.width or 0) - len(text)
        if width <= 0:
            return text
        self.budget.make(width)
        if self.flags.minus:
            return text + " " * width
        return ("0" if self.flags.zero else " ") * width + text

    def padded_with_spaces(self, text: str) -> str:
        zero, self.flags.zero = self.flags.zero, False
        text = self.padded(text)
        self.flags.zero = zero
        return text

    # Numbers.

    def integer(self, value: int, verb: str) -> str:
        if verb == "v" and isinstance(value, Byte) and self.flags.sharp_v:
            self.flags.sharp = True
            shown = self.digits(value, "x")
            self.flags.sharp = False
            return shown
        if verb in _BASES:
            return self.digits(int(value), verb)
        if verb == "U":
            return self.unicode(value % (1 << 64))
        if verb in "cq":
            return self.character(value, verb)
        return self.mistake(value, verb)

    def character(self, value: int, verb: str) -> str:
        is_valid = 0 <= value <= _MAX_RUNE and not 0xD800 <= value <= 0xDFFF
        rune = chr(value) if is_valid else "\N{REPLACEMENT CHARACTER}"
        return self.padded(rune if verb == "c" else quoting.quote(rune, "'", only_ascii=self.flags.plus))

    def digits(self, value: int, verb: str) -> str:
        flags, base = self.flags, _BASES[verb]
        sign = "-" if value < 0 else "+" if flags.plus else " " if flags.space else ""
        precision = flags.precision or 0
        if flags.precision == 0 and value == 0:
            return self.padded_with_spaces("")
        if flags.precision is None and flags.pads_with_zeros and flags.width is not None:
            precision = flags.width - len(sign)
        self.budget.make(precision)
        shown = format(abs(value), _DIGITS[base]).rjust(precision, "0")
        shown = self.with_prefix(shown, base, verb)
        return self.padded_with_spaces(sign + (shown.upper() if verb == "X" else shown))

    def with_prefix(self, shown: str, base: int, verb: str) -> str:
        if self.flags.sharp:
            prefix = {2: "0b", 16: "0x", 8: "" if shown.startswith("0") else "0"}.get(base, "")
            shown = prefix + shown
        return "0o" + shown if verb == "O" else shown

    def unicode(self, value: int) -> str:
        precision = max(self.flags.precision or 0, 4)
        self.budget.make(precision)
        shown = f"U+{format(value, 'X').rjust(precision, '0')}"
        is_valid = value <= _MAX_RUNE and not 0xD800 <= value <= 0xDFFF
        if self.flags.sharp and is_valid and quoting.is_printable(chr(value)):
            shown += f" '{chr(value)}'"
        return self.padded_with_spaces(shown)

    def float(self, value: float, verb: str) -> str:
        if verb not in _FLOAT_PRECISION:
            return self.mistake(value, verb)
        flags = self.flags
        precision = _FLOAT_PRECISION[verb] if flags.precision is None else flags.precision
        self.budget.make(max(precision, 0))
        number = _float_digits(value, verb, precision)
        sign, number = (number[0], number[1:]) if number[0] == "-" else ("+", number)
        if flags.space and sign == "+" and not flags.plus:
            sign = " "
        if flags.sharp and verb != "b":
            number = _with_point(number, verb, precision)
        if not flags.plus and sign == "+":
            return self.padded(number)
        missing = (flags.width or 0) - len(number) - 1
        if flags.pads_with_zeros and missing > 0:
            self.budget.make(missing)
            return sign + "0" * missing + number
        return self.padded(sign + number)


def _float_digits(value: float, verb: str, precision: int) -> str:
    if verb in "xX":
        text = floats.hexadecimal(value, precision)
        return text.upper() if verb == "X" else text
    if verb == "b":
        return floats.binary(value)
    if precision < 0:
        text = floats.shortest(value)
        return text.upper() if verb == "G" else text
    if verb in "vg":
        return f"{value:.{precision}g}"
    return f"{value:.{precision}{verb}}"


def _with_point(number: str, verb: str, precision: int) -> str:
    """`#`: a decimal point always, and for `%g` the zeros that it had cut off."""
    mark = next((mark for mark in "pPeE" if mark in number and (mark in "pP" or verb not in "xX")), "")
    body, tail = (number.split(mark)[0], mark + number.split(mark)[1]) if mark else (number, "")
    wanted = (6 if precision < 0 else precision) if verb in "vgGx" else 0
    significant = body.replace(".", "").lstrip("0")
    wanted -= len(significant)
    if "." not in body:
        wanted -= body == "0"
        body += "."
    return body + "0" * max(wanted, 0) + tail
