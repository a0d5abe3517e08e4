"""`run`: one answer to a prompt, a vector for a text, or a conversation.

1. Check the flags; nothing has been sent yet.
2. The prompt is stdin, read to its end if it is not a terminal, and the arguments.
3. Ask the daemon about the model; pull it when it is not there.
4. Think as the flag says, else when the model can.
5. A model of embeddings answers with a vector.
6. A conversation when stdin and stdout are terminals and no prompt was given.
7. Else one answer; without a prompt the model is only loaded.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ollamapy import units
from ollamapy.cli import argv
from ollamapy.cli.answer import View, show
from ollamapy.cli.daemon import connect
from ollamapy.cli.loading import find, load, think_as
from ollamapy.client import Client
from ollamapy.errors import InvalidInput
from ollamapy.settings import Settings
from ollamapy.wire.native import EmbedRequest, GenerateRequest, ShowResponse, Think

THINK: dict[str, Think] = {
    "true": True,
    "false": False,
    "high": "high",
    "medium": "medium",
    "low": "low",
    "max": "max",
}


@dataclass(frozen=True, slots=True)
class Flags:
    """The flags of `run` as they were typed; empty means not given."""

    keep_alive: str = ""
    is_verbose: bool = False
    insecure: bool = False
    word_wrap: bool = True
    format: str = ""
    think: str = ""
    hide_thinking: bool = False
    truncate: str = ""
    dimensions: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags ask for, checked. None is "not given"."""

    keep_alive: str | None
    format: Any
    think: Think
    truncate: bool | None
    dimensions: int
    insecure: bool
    is_verbose: bool
    word_wrap: bool
    hide_thinking: bool


def check(flags: Flags) -> Wishes:
    """The meaning of the flags. Raises InvalidInput for the first that has none."""
    if flags.keep_alive:
        units.parse_duration(flags.keep_alive)
    return Wishes(
        keep_alive=flags.keep_alive or None,
        format=_format(flags.format),
        think=_think(flags.think),
        truncate=argv.parse_bool(flags.truncate, "--truncate") if flags.truncate else None,
        dimensions=_dimensions(flags.dimensions),
        insecure=flags.insecure,
        is_verbose=flags.is_verbose,
        word_wrap=flags.word_wrap,
        hide_thinking=flags.hide_thinking,
    )


def run(settings: Settings, model: str, words: Sequence[str], flags: Flags) -> None:
    """Runs `model` on the prompt, or talks with the user until they leave."""
    wishes = check(flags)
    is_conversation = _is_terminal(sys.stdin) and _is_terminal(sys.stdout) and not words
    prompt = join_prompt(_piped(), words)
    with connect(settings) as client:
        shown = find(client, model, wishes.insecure)
        if "embedding" in shown.capabilities:
            embed(client, model, prompt, wishes)
        elif is_conversation:
            converse(client, settings, model, shown, wishes)
        else:
            answer_once(client, model, prompt, wishes, think_as(wishes.think, shown))


def join_prompt(piped: str, words: Sequence[str]) -> str:
    """Stdin and the arguments, joined by one space; empty stdin adds nothing."""
    return " ".join([piped, *words] if piped else words)


def embed(client: Client, model: str, text: str, wishes: Wishes) -> None:
    """Prints the vector of `text` as one line of JSON."""
    if not text:
        raise InvalidInput(f'embedding models require input text. Usage: ollamapy run {model} "your text here"')
    request = EmbedRequest(
        model=model,
        input=text,
        truncate=wishes.truncate,
        dimensions=wishes.dimensions,
        keep_alive=wishes.keep_alive,
    )
    print(json.dumps(client.embed(request).embeddings[0], separators=(",", ":")))


def converse(client: Client, settings: Settings, model: str, shown: ShowResponse, wishes: Wishes) -> None:
    """Talks with the user until they leave."""
    from ollamapy.cli import repl
    from ollamapy.cli.session import Session

    session = Session(
        model=model,
        shown=shown,
        think=think_as(wishes.think, shown),
        think_is_chosen=wishes.think is not None,
        keep_alive=wishes.keep_alive,
        format=wishes.format,
        is_verbose=wishes.is_verbose,
        word_wrap=wishes.word_wrap,
        hide_thinking=wishes.hide_thinking,
        writes_history=not settings.nohistory,
    )
    repl.converse(client, settings, session)


def answer_once(client: Client, model: str, prompt: str, wishes: Wishes, think: Think) -> None:
    """Streams the answer to stdout; Ctrl-C ends it. Without a prompt the model is loaded and nothing is printed."""
    request = GenerateRequest(
        model=model, prompt=prompt, format=wishes.format, keep_alive=wishes.keep_alive, think=think
    )
    try:
        if prompt:
            view = View(sys.stdout.isatty(), wishes.word_wrap, wishes.hide_thinking)
            show(client.generate(request), view, wishes.is_verbose)
        else:
            load(client, request)
    except KeyboardInterrupt:
        pass  # Stopping an answer is no failure.


def _format(text: str) -> Any:
    if text in ("", "json"):
        return text or None
    try:
        return json.loads(text)
    except ValueError as error:
        raise InvalidInput('invalid value for --format: it must be "json" or a JSON schema', hint=str(error)) from error


def _think(text: str) -> Think:
    if text and text not in THINK:
        raise InvalidInput(f'invalid value for --think: "{text}" (must be true, false, high, medium, low, or max)')
    return THINK.get(text)


def _dimensions(text: str) -> int:
    try:
        return max(0, int(text or "0"))
    except ValueError as error:
        raise InvalidInput(
            f'invalid argument "{text}" for "--dimensions" flag: strconv.ParseInt: parsing "{text}": invalid syntax'
        ) from error


def _is_terminal(stream: Any) -> bool:
    return stream is not None and bool(stream.isatty())


def _piped() -> str:
    """All of stdin, unless it is a terminal or closed."""
    if sys.stdin is None or sys.stdin.isatty():
        return ""
    return sys.stdin.buffer.read().decode("utf-8", "replace")
