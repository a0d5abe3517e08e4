"""What a conversation is, and what each thing the user types does to it.

Pure: text in, the session's new state and the actions to carry out. It prints nothing, asks no daemon, reads no key.
Whoever carries out an action tells the session how it went (`answered`, `loaded`).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ollamapy.cli import help as pages
from ollamapy.errors import InvalidInput
from ollamapy.modelfile.options import go_quote, parse_parameter, parse_parameters
from ollamapy.names import ModelName
from ollamapy.wire.native import ChatRequest, CreateRequest, Message, ShowResponse, Think

QUOTES = '"""'
_TEXT = re.compile(r"/set\S*\s+(?:system|parameter\s+grammar)\s+")
"""What comes before a text that may stand in triple quotes."""

Field = Literal["info", "license", "modelfile", "parameters", "system", "template"]
FIELDS: tuple[Field, ...] = ("info", "license", "modelfile", "parameters", "system", "template")


@dataclass(frozen=True, slots=True)
class Say:
    """Print a text and a newline, on stderr when it is talk about the program."""

    text: str
    is_talk: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """Send the messages to the model and show its answer."""


@dataclass(frozen=True, slots=True)
class Show:
    """Ask the daemon about the model and show one field of the answer."""

    field: Field


@dataclass(frozen=True, slots=True)
class List:
    """List the installed models."""

    prefix: str


@dataclass(frozen=True, slots=True)
class Load:
    """Go on with another model."""

    model: str


@dataclass(frozen=True, slots=True)
class Save:
    """Create a model from the session."""

    model: str


@dataclass(frozen=True, slots=True)
class Leave:
    """End the conversation."""


Action = Say | Ask | Show | List | Load | Save | Leave


def wants_more(text: str) -> bool:
    """True while `text` opens triple quotes that it has not closed: Enter then begins a new line."""
    start = _TEXT.match(text)
    value = text[start.end() :] if start else text
    return value.startswith(QUOTES) and not value[len(QUOTES) :].endswith(QUOTES)


def unquoted(text: str) -> str:
    """`text` without the triple quotes around it."""
    return text.removeprefix(QUOTES).removesuffix(QUOTES) if text.startswith(QUOTES) else text


@dataclass(slots=True)
class Session:
    """The state of a conversation. `system` is the message set here, not the model's own."""

    model: str
    shown: ShowResponse
    think: Think = None
    think_is_chosen: bool = False
    keep_alive: str | None = None
    format: Any = None
    is_verbose: bool = False
    word_wrap: bool = True
    hide_thinking: bool = False
    writes_history: bool = True
    system: str = ""
    messages: list[Message] = field(default_factory=list)
    options: dict[str, Any] = field(default_factory=dict)

    def on_text(self, text: str) -> list[Action]:
        """What to do about a whole message or command."""
        if not text.strip():
            return []
        if text.startswith("/"):
            return self._command(text)
        if not (message := unquoted(text)):
            return []
        self.messages.append(Message(role="user", content=message))
        return [Ask()]

    def answered(self, content: str, thinking: str) -> None:
        """The model's answer came to its end."""
        self.messages.append(Message(role="assistant", content=content, thinking=thinking))

    def loaded(self, model: str, shown: ShowResponse, think: Think) -> None:
        """Another model took over: the conversation starts again, the system message and options stay."""
        self.model, self.shown, self.think = model, shown, think
        self._forget()

    def chat_request(self) -> ChatRequest:
        """The question as the API takes it."""
        return ChatRequest(
            model=self.model,
            messages=tuple(self.messages),
            options=self.options,
            format=self.format,
            think=self.think,
            keep_alive=self.keep_alive,
        )

    def save_request(self, name: str) -> CreateRequest:
        """A model that begins where this session stands, made from the model's parent when that has a name."""
        own = [Message(role=message.role, content=message.content) for message in self.shown.messages]
        return CreateRequest(
            model=name,
            from_=_parent(self.shown.details.parent_model) or self.model,
            system=self.system,
            parameters=self.options,
            messages=(*own, *self.messages),
        )

    def described(self, name: Field, answer: ShowResponse) -> str:
        """What `/show` says for every field but `info`."""
        if name == "parameters":
            return self._parameters(answer.parameters)
        if name == "system":
            text = self.system or answer.system
            return f"{text}\n" if text else "No system message was specified for this model."
        what = {"license": "license", "template": "prompt template"}.get(name, name)
        text = getattr(answer, name)
        return text or f"No {what} was specified for this model."

    def _parameters(self, own: str) -> str:
        lines = ["Model defined parameters:"]
        lines += [
            f"  {line}" for line in (own or "No additional parameters were specified for this model.").splitlines()
        ]
        lines.append("")
        if self.options:
            lines.append("User defined parameters:")
            lines += [f"  {name:<30} {_spelled(value)}" for name, value in self.options.items()]
            lines.append("")
        return "\n".join(lines)

    def _command(self, text: str) -> list[Action]:
        """Commands are known by their beginning: `/listx` is `/list`."""
        words = text.split()
        for name, handler in _COMMANDS.items():
            if words[0].startswith(name):
                return handler(self, text, words)
        return [_unknown(words[0])]

    def _on_list(self, text: str, words: list[str]) -> list[Action]:
        return [List("".join(words[1:2]))]

    def _on_load(self, text: str, words: list[str]) -> list[Action]:
        return [Load(words[1])] if len(words) == 2 else [Say("Usage:\n  /load <modelname>")]

    def _on_save(self, text: str, words: list[str]) -> list[Action]:
        return [Save(words[1])] if len(words) == 2 else [Say("Usage:\n  /save <modelname>")]

    def _on_clear(self, text: str, words: list[str]) -> list[Action]:
        self._forget()
        return [Say("Cleared session context")]

    def _forget(self) -> None:
        self.messages = [Message(role="system", content=self.system)] if self.system else []

    def _on_show(self, text: str, words: list[str]) -> list[Action]:
        if len(words) < 2:
            return [Say(pages.SHOW, is_talk=True)]
        wanted = next((name for name in FIELDS if name == words[1]), None)
        return [Show(wanted)] if wanted else [_unknown(f"/show {words[1]}")]

    def _on_help(self, text: str, words: list[str]) -> list[Action]:
        topic = words[1].removeprefix("/") if len(words) > 1 else ""
        page = {"set": pages.SET, "show": pages.SHOW, "shortcut": pages.SHORTCUTS, "shortcuts": pages.SHORTCUTS}
        return [Say(page.get(topic, pages.MAIN), is_talk=True)]

    def _on_leave(self, text: str, words: list[str]) -> list[Action]:
        return [Leave()]

    def _on_set(self, text: str, words: list[str]) -> list[Action]:
        if len(words) < 2:
            return [Say(pages.SET, is_talk=True)]
        setter = _SETTERS.get(words[1])
        if not setter:
            return [_unknown(f"/set {words[1]}")]
        return setter(self, text, words)

    def _set_system(self, text: str, words: list[str]) -> list[Action]:
        start = _TEXT.match(text)
        if not start:
            return [Say(pages.SET, is_talk=True)]
        self.system = unquoted(text[start.end() :])
        if self.messages and self.messages[-1].role == "system":
            self.messages.pop()
        self.messages.append(Message(role="system", content=self.system))
        return [Say("Set system message.")]

    def _set_parameter(self, text: str, words: list[str]) -> list[Action]:
        if len(words) < 4:
            return [Say(pages.PARAMETERS, is_talk=True)]
        name, texts = words[2], words[3:]
        if start := _TEXT.match(text):
            texts = [unquoted(text[start.end() :])]
        try:
            value = parse_parameter(name, texts[0])
            if isinstance(value, list | dict):
                value = parse_parameters((name, text) for text in texts)[name]
        except InvalidInput as error:
            return [Say(f"Couldn't set parameter: {go_quote(error.message)}")]
        if value is None:
            return [Say(f"warning: parameter {name} is deprecated", is_talk=True)]
        self.options[name] = value
        return [Say(f"Set parameter '{name}' to '{', '.join(texts)}'")]

    def _set_history(self, text: str, words: list[str]) -> list[Action]:
        self.writes_history = words[1] == "history"
        return []

    def _set_word_wrap(self, text: str, words: list[str]) -> list[Action]:
        self.word_wrap = words[1] == "wordwrap"
        return [_mode(words[1])]

    def _set_verbose(self, text: str, words: list[str]) -> list[Action]:
        self.is_verbose = words[1] == "verbose"
        return [_mode(words[1])]

    def _set_format(self, text: str, words: list[str]) -> list[Action]:
        if words[2:] != ["json"]:
            return [Say("Invalid or missing format. For 'json' mode use '/set format json'")]
        self.format = "json"
        return [Say("Set format to 'json' mode.")]

    def _set_noformat(self, text: str, words: list[str]) -> list[Action]:
        self.format = None
        return [Say("Disabled format.")]

    def _set_think(self, text: str, words: list[str]) -> list[Action]:
        level: Any = words[2] if len(words) > 2 else True
        self.think, self.think_is_chosen = level, True
        said = Say(f"Set 'think' mode to '{level}'.") if len(words) > 2 else _mode("think")
        return [*self._think_warning(), said]

    def _set_nothink(self, text: str, words: list[str]) -> list[Action]:
        self.think, self.think_is_chosen = False, True
        return [*self._think_warning(), _mode("nothink")]

    def _think_warning(self) -> list[Action]:
        if "thinking" in self.shown.capabilities:
            return []
        return [Say(f'warning: model "{self.model}" does not support thinking output', is_talk=True)]


Handler = Callable[[Session, str, list[str]], list[Action]]

_COMMANDS: Mapping[str, Handler] = {
    "/list": Session._on_list,
    "/load": Session._on_load,
    "/save": Session._on_save,
    "/clear": Session._on_clear,
    "/set": Session._on_set,
    "/show": Session._on_show,
    "/help": Session._on_help,
    "/?": Session._on_help,
    "/exit": Session._on_leave,
    "/bye": Session._on_leave,
}
_SETTERS: Mapping[str, Handler] = {
    "system": Session._set_system,
    "parameter": Session._set_parameter,
    "history": Session._set_history,
    "nohistory": Session._set_history,
    "wordwrap": Session._set_word_wrap,
    "nowordwrap": Session._set_word_wrap,
    "verbose": Session._set_verbose,
    "quiet": Session._set_verbose,
    "format": Session._set_format,
    "noformat": Session._set_noformat,
    "think": Session._set_think,
    "nothink": Session._set_nothink,
}


def _unknown(command: str) -> Say:
    return Say(f"Unknown command '{command}'. Type /? for help")


def _mode(name: str) -> Say:
    return Say(f"Set '{name}' mode.")


def _parent(text: str) -> str:
    """`text` when it is a model's name; the path of a file is none."""
    try:
        ModelName.parse(text)
    except InvalidInput:
        return ""
    return text


def _spelled(value: Any) -> str:
    return f"[{' '.join(value)}]" if isinstance(value, list) else str(value)
