"""The parser against the contract's numbered cases, and against a reader that goes character by character."""

from enum import Enum, auto

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.parse import BAD_COMMAND, BAD_ROLE, INSTRUCTIONS, ROLES, Command, Modelfile, parse

CASES: list[tuple[int, str | bytes, str | list[str]]] = [
    (1, "FROM a\n", ["from=a"]),
    (2, "from a\n", ["from=a"]),
    (3, "FrOm a\n", ["from=a"]),
    (4, "FROM   a b  \n", ["from=a b"]),
    (5, "FROM a", ["from=a"]),
    (6, "\tFROM a\n", ["from=a"]),
    (7, "\n\n  FROM a\n", ["from=a"]),
    (8, 'FROM "a b"\n', ["from=a b"]),
    (9, 'FROM "  a  "\n', ["from=  a  "]),
    (10, "FROM 'a'\n", ["from='a'"]),
    (11, 'FROM """a"""\n', ["from=a"]),
    (12, "FROM a # c\n", ["from=a # c"]),
    (13, "# c\nFROM a\n", ["from=a"]),
    (14, "  # c\nFROM a\n", ["from=a"]),
    (15, "#c", "no FROM line"),
    (16, "", "no FROM line"),
    (17, "FROM", "unexpected EOF"),
    (18, "FROM\n", f"(line 2): {BAD_COMMAND}"),
    (19, "FROM \n", ["from="]),
    (20, "FROM ", ["from="]),
    (21, "SYSTEM x\n", "no FROM line"),
    (22, "FROM a\nFROM b\n", ["from=a", "from=b"]),
    (23, "FOO a\nFROM b\n", f"(line 1): {BAD_COMMAND}"),
    (24, "FROM a\nFOO b\n", f"(line 2): {BAD_COMMAND}"),
    (25, "FROM a\nFROM1 b\n", f"(line 2): {BAD_COMMAND}"),
    (26, "FROM:a\n", f"(line 1): {BAD_COMMAND}"),
    (27, "FROM a\n= b\n", f"(line 2): {BAD_COMMAND}"),
    (28, "FROM a\nPARAMETERS x 1\n", f"(line 2): {BAD_COMMAND}"),
    (29, "FROM a\nPARAMETER temperature 0.5\n", ["from=a", "PARAMETER temperature=0.5"]),
    (30, "FROM a\nparameter TOP_K 5\n", ["from=a", "PARAMETER TOP_K=5"]),
    (31, "FROM a\nPARAMETER stop\n", "unexpected EOF: stop"),
    (32, "FROM a\nPARAMETER stop", "unexpected EOF"),
    (33, "FROM a\nPARAMETER stop \n", ["from=a", "PARAMETER stop="]),
    (34, "FROM a\nPARAMETER\n", f"(line 3): {BAD_COMMAND}"),
    (35, "FROM a\nPARAMETER ", "unexpected EOF"),
    (36, "FROM a\nPARAMETER top-k 1\n", "unexpected EOF: top"),
    (37, "FROM a\nPARAMETER  stop x\n", ["from=a", "PARAMETER =stop x"]),
    (38, 'FROM a\nPARAMETER stop " x "\n', ["from=a", "PARAMETER stop= x "]),
    (39, "FROM a\nPARAMETER stop a b\n", ["from=a", "PARAMETER stop=a b"]),
    (40, "FROM a\nPARAMETER stop x\nPARAMETER stop y\n", ["from=a", "PARAMETER stop=x", "PARAMETER stop=y"]),
    (41, 'FROM a\nPARAMETER stop "\\n"\n', ["from=a", "PARAMETER stop=\\n"]),
    (42, 'FROM a\nSYSTEM """\nx\ny\n"""\n', ["from=a", "system=\nx\ny\n"]),
    (43, 'FROM a\nSYSTEM "x\ny"\n', ["from=a", "system=x\ny"]),
    (44, 'FROM a\nSYSTEM "x" y\nLICENSE "z"\n', ["from=a", 'system=x" y\nLICENSE "z']),
    (45, 'FROM a\nSYSTEM """x""" y\nLICENSE z\n', "unexpected EOF"),
    (46, 'FROM a\nSYSTEM """x""\n', "unexpected EOF"),
    (47, 'FROM a\nSYSTEM "\n', "unexpected EOF"),
    (48, 'FROM a\nSYSTEM ""\n', ["from=a", "system="]),
    (49, 'FROM a\nSYSTEM """"""\n', ["from=a", "system="]),
    (50, 'FROM a\nSYSTEM """"\n', "unexpected EOF"),
    (51, 'FROM a\nSYSTEM """a "q" b"""\n', ["from=a", 'system=a "q" b']),
    (52, 'FROM a\nSYSTEM say "hi"\n', ["from=a", 'system=say "hi"']),
    (53, "FROM a\nSYSTEM it's\n", ["from=a", "system=it's"]),
    (54, "FROM a\nSYSTEM \n", ["from=a", "system="]),
    (55, "FROM a\nSYSTEM", "unexpected EOF"),
    (56, "FROM a\nSYSTEM x\\\ny\n", f"(line 4): {BAD_COMMAND}"),
    (57, "FROM a\nMESSAGE user hi\n", ["from=a", "message user=hi"]),
    (58, "FROM a\nMESSAGE user: hi\n", "unexpected EOF: user"),
    (59, "FROM a\nMESSAGE User hi\n", f"(line 2): {BAD_ROLE}"),
    (60, "FROM a\nMESSAGE tool hi\n", f"(line 2): {BAD_ROLE}"),
    (61, "FROM a\nMESSAGE user\n", "unexpected EOF: user"),
    (62, "FROM a\nMESSAGE user", "unexpected EOF"),
    (63, "FROM a\nMESSAGE user \n", ["from=a", "message user="]),
    (64, 'FROM a\nMESSAGE system """\nx\n"""\n', ["from=a", "message system=\nx\n"]),
    (65, "FROM a\nMESSAGE assistant a: b: c\n", ["from=a", "message assistant=a: b: c"]),
    (66, "FROM a\nmessage user hi\n", ["from=a", "message user=hi"]),
    (67, "FROM a\r\nSYSTEM x\r\n", ["from=a", "system=x"]),
    (68, "FROM a\r\nFOO x\r\n", f"(line 3): {BAD_COMMAND}"),
    (69, 'FROM a\r\nSYSTEM """x\r\ny"""\r\n', ["from=a", "system=x\r\ny"]),
    (70, "FROM a\rSYSTEM x\r", ["from=a", "system=x"]),
    (71, "FROM a\nSYSTEM x\ty\n", ["from=a", "system=x\ty"]),
    (72, 'FROM a\nSYSTEM "\tx"\n', ["from=a", "system=\tx"]),
    (73, "FROM a\nSYSTEM a\xa0b\u200bc\u200dd\n", ["from=a", "system=abcd"]),
    (74, "FROM a\nSYSTEM a\x07b\n", ["from=a", "system=ab"]),
    (75, "FROM a\nSYSTEM 你好👋\n", ["from=a", "system=你好👋"]),
    (76, "\ufeffFROM a\n", ["from=a"]),
    (77, b"\xff\xfeF\x00R\x00O\x00M\x00 \x00a\x00\n\x00", ["from=a"]),
    (78, b"\xfe\xff\x00F\x00R\x00O\x00M\x00 \x00a\x00\n", ["from=a"]),
    (79, b"FROM a\xff\n", ["from=a�"]),
    (80, b"F\x00R\x00O\x00M\x00 \x00a\x00\n\x00", f"(line 1): {BAD_COMMAND}"),
    (81, "FROM a\nREQUIRES 0.14.0\n", ["from=a", "requires=0.14.0"]),
    (
        82,
        "FROM a\nRENDERER r\nPARSER p\nDRAFT ./d\nADAPTER ./l\nLICENSE MIT\n",
        ["from=a", "renderer=r", "parser=p", "draft=./d", "adapter=./l", "license=MIT"],
    ),
    (83, "FROM a\nTEMPLATE {{ .Prompt }}\n", ["from=a", "template={{ .Prompt }}"]),
    (84, 'FROM a\nTEMPLATE """{{ .System }}\n{{ .Prompt }}"""\n', ["from=a", "template={{ .System }}\n{{ .Prompt }}"]),
    (85, "FROM a\nLICENSE x\nLICENSE y\n", ["from=a", "license=x", "license=y"]),
    (86, 'FROM a\nSYSTEM " lead"\n', ["from=a", "system= lead"]),
    (87, 'FROM a\nSYSTEM "trail "\n', ["from=a", "system=trail "]),
    (88, 'FROM a\nSYSTEM """ "q" """\n', ["from=a", 'system= "q" ']),
    (89, "FROM a\n\n\n\nSYSTEM   x   \n\n", ["from=a", "system=x"]),
    (90, "SYSTEM x\nFROM a\n", ["system=x", "from=a"]),
    (91, 'FROM a\nTEMPLATE """a"""\nSYSTEM """b"""', ["from=a", "template=a", "system=b"]),
    (92, "FROM a SYSTEM x\n", ["from=a SYSTEM x"]),
    (93, 'FROM a\nSYSTEM """\nx\n', "unexpected EOF"),
    (94, 'FROM a\n"x\n', f"(line 3): {BAD_COMMAND}"),
]
"""Number, input, and the commands (`name=value`, `PARAMETER name=value`, `message role=value`) or the error's text."""


def told(command: Command) -> str:
    name = f"PARAMETER {command.name}" if command.is_parameter else f"{command.name} {command.role}".strip()
    return f"{name}={command.value}"


def outcome(data: str | bytes) -> str | list[str]:
    try:
        return [told(command) for command in parse(data).commands]
    except InvalidInput as error:
        return str(error)


@pytest.mark.parametrize(("data", "expected"), [case[1:] for case in CASES], ids=[str(case[0]) for case in CASES])
def test_a_numbered_case_gives_its_commands_or_its_error(data: str | bytes, expected: str | list[str]) -> None:
    assert outcome(data) == expected


@pytest.mark.parametrize("data", [data for _, data, _ in CASES if isinstance(data, str)])
def test_bytes_and_text_are_read_alike(data: str) -> None:
    assert outcome(data.encode()) == outcome(data)


def test_every_numbered_case_is_here() -> None:
    assert [number for number, _, _ in CASES] == list(range(1, 95))


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"FROM a\xe4\xbd", "a\ufffd\ufffd"),
        (b"FROM a\xed\xa0\x80", "a\ufffd\ufffd\ufffd"),
        (b"\xef\xbb\xbfFROM a\xff", "a\ufffd"),
        (b"\xff\xfeF\x00R\x00O\x00M\x00 \x00a\x00\x00\xd8", "a\ufffd"),
    ],
    ids=["cut character", "surrogate", "after a mark", "UTF-16"],
)
def test_each_byte_that_is_not_text_becomes_a_replacement_character(data: bytes, value: str) -> None:
    assert parse(data).commands == (Command("from", value),)


def test_a_lone_surrogate_in_text_becomes_a_replacement_character() -> None:
    assert parse("FROM a\ud800").commands == (Command("from", "a\ufffd"),)


def test_only_the_first_byte_order_mark_is_removed_and_later_ones_do_not_print() -> None:
    assert outcome("\ufeff\ufeffFROM a\ufeffb") == ["from=ab"]


def test_a_character_that_does_not_print_before_a_name_is_dropped() -> None:
    assert outcome("\u200bFROM a") == ["from=a"]


def test_a_character_that_does_not_print_inside_a_name_is_an_error() -> None:
    assert outcome("FR\u200bOM a") == f"(line 1): {BAD_COMMAND}"


def test_characters_that_do_not_print_are_dropped_before_the_opening_quote_is_looked_for() -> None:
    assert outcome('FROM a\nSYSTEM \u200b"\u00ad""x\ny"\u200d""\n') == ["from=a", "system=x\ny"]


def test_the_ideographic_space_does_not_print() -> None:
    assert outcome("FROM a\nSYSTEM 你\u3000好") == ["from=a", "system=你好"]


def test_a_missing_role_is_told_by_what_stands_in_its_place() -> None:
    assert outcome("FROM a\nMESSAGE  user hi\n") == f"(line 2): {BAD_ROLE}"
    assert outcome("FROM a\nMESSAGE \n") == "unexpected EOF: "


def test_a_parameter_called_from_is_not_a_from_line() -> None:
    assert outcome("PARAMETER from x\n") == "no FROM line"


def test_a_file_without_from_says_how_to_write_one() -> None:
    with pytest.raises(InvalidInput) as caught:
        parse("SYSTEM x\n")

    assert "FROM starter" in caught.value.hint


def test_a_long_open_quote_is_read_in_linear_time() -> None:
    """Trimming and testing the whole text at every line end would take minutes here."""
    lines = 'he said "no"\n' * 200_000

    commands = parse(f'FROM a\nLICENSE """{lines}"""\n').commands

    assert commands[1].value == lines


class State(Enum):
    NIL = auto()
    NAME = auto()
    PARAMETER = auto()
    ROLE = auto()
    VALUE = auto()
    COMMENT = auto()


class SlowReader:
    """The grammar as a state machine fed one character at a time: the slow and obvious way."""

    def __init__(self) -> None:
        self.state, self.line, self.buffer, self.role = State.NIL, 1, "", ""
        self.name, self.is_parameter = "", False
        self.commands: list[Command] = []

    def read(self, text: str) -> Modelfile:
        for char in text:
            self.line += char in "\r\n"
            getattr(self, f"on_{self.state.name.lower()}")(char)
        if self.state is State.VALUE:
            self.finish()
        elif self.state not in (State.NIL, State.COMMENT):
            raise InvalidInput("unexpected EOF")
        if not Modelfile(tuple(self.commands)).has_from:
            raise InvalidInput("no FROM line")
        return Modelfile(tuple(self.commands))

    def keep(self, char: str) -> None:
        if char.isprintable() or char in "\t\r\n":
            self.buffer += char

    def go(self, state: State) -> None:
        self.state, self.buffer = state, ""

    def on_nil(self, char: str) -> None:
        if char not in " \t\r\n":
            self.go(State.COMMENT if char == "#" else State.NAME)
            self.keep(char)

    def on_comment(self, char: str) -> None:
        if char in "\r\n":
            self.go(State.NIL)

    def on_name(self, char: str) -> None:
        name = self.buffer.lower()
        if char.isascii() and char.isalpha():
            self.keep(char)
        elif char not in " \t" or name not in INSTRUCTIONS:
            raise InvalidInput(f"(line {self.line}): {BAD_COMMAND}")
        else:
            self.name, self.role, self.is_parameter = name, "", name == "parameter"
            self.go({"parameter": State.PARAMETER, "message": State.ROLE}.get(name, State.VALUE))

    def on_parameter(self, char: str) -> None:
        if char.isascii() and (char.isalnum() or char == "_"):
            self.keep(char)
        elif char not in " \t":
            raise InvalidInput(f"unexpected EOF: {self.buffer}")
        else:
            self.name = self.buffer
            self.go(State.VALUE)

    def on_role(self, char: str) -> None:
        if char.isascii() and char.isalpha():
            self.keep(char)
        elif char not in " \t":
            raise InvalidInput(f"unexpected EOF: {self.buffer}")
        elif self.buffer not in ROLES:
            raise InvalidInput(f"(line {self.line}): {BAD_ROLE}")
        else:
            self.role = self.buffer
            self.go(State.VALUE)

    def on_value(self, char: str) -> None:
        if char in "\r\n" and self.unquoted() is not None:
            self.finish()
            self.go(State.NIL)
        else:
            self.keep(char)

    def finish(self) -> None:
        value = self.unquoted()
        if value is None:
            raise InvalidInput("unexpected EOF")
        self.commands.append(Command(self.name, value, self.is_parameter, self.role))

    def unquoted(self) -> str | None:
        text = self.buffer.strip(" \t\r\n")
        for quote in ('"""', '"'):
            if text.startswith(quote):
                is_closed = text.endswith(quote) and len(text) >= 2 * len(quote)
                return text[len(quote) : -len(quote)] if is_closed else None
        return text


words = st.sampled_from(["FROM ", "system ", "MESSAGE ", "PARAMETER ", "LICENSE\t", "user ", "stop ", "x", "9", "é"])
signs = st.sampled_from(['"', '"""', " ", "\t", "\n", "\r", "\r\n", ":", "#", "\u200b", "\x85", "\u2028", "\u3000"])


def slow_outcome(text: str) -> str | list[str]:
    try:
        return [told(command) for command in SlowReader().read(text).commands]
    except InvalidInput as error:
        return str(error)


@given(st.one_of(st.lists(words | signs).map("".join), st.text(alphabet=' \t\n\r"#aFROM')))
def test_the_parser_reads_as_the_character_by_character_reader_does(text: str) -> None:
    assert outcome(text) == slow_outcome(text)
    assert outcome("FROM a\nSYSTEM " + text) == slow_outcome("FROM a\nSYSTEM " + text)


@given(st.binary())
def test_any_bytes_are_a_modelfile_or_an_invalid_input(data: bytes) -> None:
    outcome(data)
