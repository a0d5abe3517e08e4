"""Turns what people type after `ollamapy` into the one form that Typer reads, with the usage errors of Ollama's CLI.

Owns the grammar of flags. Pure: a table of commands and words in, words or InvalidInput out. Knows no command by name.

1. `--flag value`, `--flag=value`, `-f value`, `-fvalue`, `-f=value`; several short flags may share one dash.
2. A switch takes no value, or `=` and a truth value. An optional flag takes a value only after `=`.
3. Flags may follow arguments; `--` ends them; the last one of a name counts.
4. `help COMMAND` is `COMMAND --help`; help wins over whatever follows it and over a wrong number of arguments.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from ollamapy.errors import InvalidInput

TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_HELP = {"-h", "--help"}


class Takes(Enum):
    """What a flag does with a value."""

    SWITCH = "a truth value, after ="
    OPTIONAL = "a value, after ="
    VALUE = "a value"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its long name with dashes, and its short form, `-x` or empty."""

    name: str
    takes: Takes
    short: str = ""

    @property
    def label(self) -> str:
        """How messages name the flag."""
        return f"{self.short}, {self.name}" if self.short else self.name


@dataclass(frozen=True, slots=True)
class Command:
    """What may follow a command's name. `max_args` None means any number."""

    name: str
    flags: tuple[Flag, ...] = ()
    min_args: int = 0
    max_args: int | None = 0

    def flag(self, name: str) -> Flag | None:
        """The flag of this long or short name."""
        return next((flag for flag in self.flags if name in (flag.name, flag.short)), None)


@dataclass(frozen=True, slots=True)
class Program:
    """The whole command line: the flags before a command, the commands, and other names for them."""

    root: Command
    commands: Mapping[str, Command]
    aliases: Mapping[str, str] = field(default_factory=dict)


def parse_bool(text: str, label: str) -> bool:
    """The truth value of a flag's text. Raises InvalidInput."""
    if text in TRUE | FALSE:
        return text in TRUE
    raise InvalidInput(
        f'invalid argument "{text}" for "{label}" flag: strconv.ParseBool: parsing "{text}": invalid syntax'
    )


def normalise(argv: Sequence[str], program: Program) -> list[str]:
    """`COMMAND FLAGS -- ARGUMENTS`, each flag in its long form. Raises InvalidInput."""
    words = _Words(list(argv))
    values: dict[Flag, str] = {}
    while words.left:
        word = words.next()
        if not _is_flag(word):
            return _command(word, words, program)
        if word in _HELP:
            return ["--help"]
        values |= _flag(word, words, program.root)
    return _spelled(values)


def _command(name: str, words: "_Words", program: Program) -> list[str]:
    if name == "help":
        if not words.left:
            return ["--help"]
        return [_find(words.next(), program).name, "--help"]
    command = _find(name, program)
    arguments: list[str] = []
    values: dict[Flag, str] = {}
    while words.left:
        word = words.next()
        if word == "--":
            arguments += words.left
            break
        if word in _HELP:
            return [command.name, "--help"]
        if _is_flag(word):
            values |= _flag(word, words, command)
        else:
            arguments.append(word)
    _check_count(command, len(arguments))
    return [command.name, *_spelled(values), "--", *arguments]


def _find(name: str, program: Program) -> Command:
    command = program.commands.get(program.aliases.get(name, name))
    if command:
        return command
    from difflib import get_close_matches

    near = get_close_matches(name, [*program.commands, *program.aliases], n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"'{program.root.name} --help' lists the commands"
    raise InvalidInput(f'unknown command "{name}" for "{program.root.name}"', hint=hint)


def _check_count(command: Command, count: int) -> None:
    if command.max_args == command.min_args != count:
        raise InvalidInput(f"accepts {command.min_args} arg(s), received {count}")
    if count < command.min_args:
        raise InvalidInput(f"requires at least {command.min_args} arg(s), only received {count}")


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-"


def _flag(word: str, words: "_Words", command: Command) -> dict[Flag, str]:
    """The flags that `word` sets, with the words that belong to them taken from `words`."""
    if not word.startswith("--"):
        return _short(word, words, command)
    name, equals, text = word.partition("=")
    if len(name) < 3 or name.startswith("---"):
        raise InvalidInput(f"bad flag syntax: {word}")
    flag = command.flag(name)
    if not flag:
        raise InvalidInput(f"unknown flag: {name}")
    if flag.takes is Takes.VALUE and not equals:
        if not words.left:
            raise InvalidInput(f"flag needs an argument: {name}")
        return {flag: words.next()}
    return {flag: _checked(flag, text if equals else "true")}


def _short(word: str, words: "_Words", command: Command) -> dict[Flag, str]:
    values: dict[Flag, str] = {}
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = command.flag(f"-{letter}")
        if not flag:
            raise InvalidInput(f"unknown shorthand flag: '{letter}' in -{letter}{letters}")
        if letters.startswith("="):
            return values | {flag: _checked(flag, letters[1:])}
        if flag.takes is not Takes.VALUE:
            values[flag] = "true"
        elif letters or words.left:
            return values | {flag: letters or words.next()}
        else:
            raise InvalidInput(f"flag needs an argument: '{letter}' in {word}")
    return values


def _checked(flag: Flag, text: str) -> str:
    if flag.takes is Takes.SWITCH:
        return "true" if parse_bool(text, flag.label) else ""
    return text


def _spelled(values: Mapping[Flag, str]) -> list[str]:
    """The flags as Typer reads them; a switch that is off is left out."""
    switches = [flag.name for flag, text in values.items() if flag.takes is Takes.SWITCH and text]
    return switches + [f"{flag.name}={text}" for flag, text in values.items() if flag.takes is not Takes.SWITCH]


@dataclass(slots=True)
class _Words:
    """The words not read yet."""

    left: list[str]

    def next(self) -> str:
        return self.left.pop(0)
