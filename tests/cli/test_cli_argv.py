"""The grammar of the command line, on a table of its own."""

import pytest

from ollamapy.cli.argv import Command, Flag, Program, Takes, normalise, parse_bool
from ollamapy.errors import InvalidInput

SHOW = Command(
    "show",
    (Flag("--verbose", Takes.SWITCH, "-v"), Flag("--json", Takes.SWITCH), Flag("--file", Takes.VALUE, "-f")),
    min_args=1,
    max_args=1,
)
RUN = Command("run", (Flag("--think", Takes.OPTIONAL), Flag("--format", Takes.VALUE)), min_args=1, max_args=None)
PROGRAM = Program(
    Command("prog", (Flag("--version", Takes.SWITCH, "-v"),)),
    {"show": SHOW, "run": RUN, "list": Command("list", (), 0, None)},
    {"ls": "list"},
)


def words(line: str) -> str:
    return " ".join(normalise(line.split(), PROGRAM))


@pytest.mark.parametrize(
    ("line", "normal"),
    [
        ("", ""),
        ("-v", "--version"),
        ("--version=false", ""),
        ("--help", "--help"),
        ("-h show", "--help"),
        ("help", "--help"),
        ("help show", "show --help"),
        ("help ls", "list --help"),
        ("show -h", "show --help"),
        ("show --help a b c", "show --help"),
        ("ls", "list --"),
        ("ls a b", "list -- a b"),
        ("show m", "show -- m"),
        ("show m -v", "show --verbose -- m"),
        ("show -v m --json", "show --verbose --json -- m"),
        ("show m --verbose=1", "show --verbose -- m"),
        ("show m --verbose --verbose=F", "show -- m"),
        ("show m -v=false", "show -- m"),
        ("show m --file x", "show --file=x -- m"),
        ("show m --file=x=y", "show --file=x=y -- m"),
        ("show m --file=", "show --file= -- m"),
        ("show m -f x", "show --file=x -- m"),
        ("show m -fx", "show --file=x -- m"),
        ("show m -f=x", "show --file=x -- m"),
        ("show m -vfx", "show --verbose --file=x -- m"),
        ("show m -f a --file b", "show --file=b -- m"),
        ("show m --file --json", "show --file=--json -- m"),
        ("show -- --json", "show -- --json"),
        ("show -", "show -- -"),
        ("run m --think high", "run --think=true -- m high"),
        ("run m --think=high why", "run --think=high -- m why"),
        ("run m --think=x --think", "run --think=true -- m"),
        ("run m -- --think", "run -- m --think"),
    ],
)
def test_what_people_type_becomes_one_form(line: str, normal: str) -> None:
    assert words(line) == normal


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("frob", 'unknown command "frob" for "prog"'),
        ("help frob", 'unknown command "frob" for "prog"'),
        ("--foo", "unknown flag: --foo"),
        ("show", "accepts 1 arg(s), received 0"),
        ("show a b", "accepts 1 arg(s), received 2"),
        ("run", "requires at least 1 arg(s), only received 0"),
        ("show m --foo", "unknown flag: --foo"),
        ("show m --foo=1", "unknown flag: --foo"),
        ("show m -x", "unknown shorthand flag: 'x' in -x"),
        ("show m -vxy", "unknown shorthand flag: 'x' in -xy"),
        ("show m --=x", "bad flag syntax: --=x"),
        ("show m ---x", "bad flag syntax: ---x"),
        ("run m --format", "flag needs an argument: --format"),
        ("show m -f", "flag needs an argument: 'f' in -f"),
        (
            "show m --verbose=yes",
            'invalid argument "yes" for "-v, --verbose" flag: strconv.ParseBool: parsing "yes": invalid syntax',
        ),
        (
            "show m --json=",
            'invalid argument "" for "--json" flag: strconv.ParseBool: parsing "": invalid syntax',
        ),
        ("show m --foo --help", "unknown flag: --foo"),
    ],
)
def test_a_mistake_is_named_in_the_words_of_the_contract(line: str, text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        words(line)

    assert error.value.message == text


def test_an_empty_word_is_no_command() -> None:
    with pytest.raises(InvalidInput, match='unknown command "" for "prog"'):
        normalise([""], PROGRAM)


def test_a_command_that_was_almost_right_is_suggested() -> None:
    with pytest.raises(InvalidInput) as error:
        words("lst")

    assert error.value.hint == "did you mean 'list'?"


@pytest.mark.parametrize(("text", "value"), [("1", True), ("T", True), ("True", True), ("f", False), ("FALSE", False)])
def test_truth_values_have_the_spellings_of_go(text: str, value: bool) -> None:
    assert parse_bool(text, "--x") is value
