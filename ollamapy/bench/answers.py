"""The two dialects that servers speak: what is sent for a chat, and what the bytes that came back say. Pure.

While the clock runs only bytes and times are kept; they are read here afterwards, so that measuring costs little.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

import msgspec

from ollamapy.wire.native import Message

Dialect = Literal["ollama", "openai"]


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request as the wire saw it. Moments are `perf_counter` seconds; `status` 0 means that none came."""

    started: float
    ended: float
    status: int
    pieces: tuple[tuple[float, bytes], ...]
    fault: str = ""
    """Why the connection failed; empty when it did not."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request got. Times are seconds since it was sent; counts are the server's own, in tokens."""

    seconds: float
    arrivals: tuple[float, ...]
    """When text came, piece by piece."""
    text: str = ""
    num_prompt: int = 0
    num_cached: int = 0
    num_output: int = 0
    reason: str = ""
    error: str = ""

    @property
    def first_seconds(self) -> float | None:
        """Time to the first token."""
        return self.arrivals[0] if self.arrivals else None

    @property
    def gaps(self) -> list[float]:
        """The times between tokens: between pieces, where a server sends several tokens in one piece."""
        return [after - before for before, after in zip(self.arrivals, self.arrivals[1:], strict=False)]

    @property
    def tokens_per_second(self) -> float:
        """What the user sees from the first token on; infinite when all came at once."""
        span = self.arrivals[-1] - self.arrivals[0] if self.arrivals else 0.0
        return (self.num_output - 1) / span if span > 0 else inf


PATHS: dict[Dialect, str] = {"ollama": "/api/chat", "openai": "/v1/chat/completions"}


def body(dialect: Dialect, model: str, messages: Sequence[Message], num_output: int) -> bytes:
    """The request for a streamed answer of at most `num_output` tokens, at temperature 0."""
    said = [{"role": message.role, "content": message.content} for message in messages]
    request: dict[str, Any] = {"model": model, "messages": said, "stream": True}
    if dialect == "ollama":
        request["options"] = {"temperature": 0, "num_predict": num_output}
    else:
        request |= {"temperature": 0, "max_tokens": num_output, "stream_options": {"include_usage": True}}
    return msgspec.json.encode(request)


def read(dialect: Dialect, exchange: Exchange) -> Answer:
    """What an exchange amounts to. Faults of the connection and of the server end up in `error`."""
    seconds = exchange.ended - exchange.started
    if exchange.fault or exchange.status != 200:
        whole = b"".join(piece for _, piece in exchange.pieces)
        return Answer(seconds, (), error=exchange.fault or f"{exchange.status}: {_refusal(whole)}")
    found = _Found()
    try:
        for moment, line in _lines(exchange.pieces):
            _READERS[dialect](found, moment - exchange.started, line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return Answer(seconds, (), error=f"the answer is not what the {dialect} API promises: {error}")
    if not found.error and not found.reason:
        found.error = "the answer ended before it was complete"
    return Answer(
        seconds,
        tuple(found.arrivals),
        "".join(found.texts),
        found.num_prompt,
        found.num_cached,
        found.num_output or len(found.arrivals),
        found.reason,
        found.error,
    )


class _Found:
    """What the lines have said so far."""

    def __init__(self) -> None:
        self.arrivals: list[float] = []
        self.texts: list[str] = []
        self.num_prompt = self.num_cached = self.num_output = 0
        self.reason = self.error = ""

    def add(self, moment: float, text: str) -> None:
        if text:
            self.arrivals.append(moment)
            self.texts.append(text)


class _Said(msgspec.Struct):
    content: str | None = None
    thinking: str | None = None
    reasoning_content: str | None = None

    @property
    def text(self) -> str:
        return (self.reasoning_content or "") + (self.thinking or "") + (self.content or "")


class _NativeLine(msgspec.Struct):
    message: _Said = msgspec.field(default_factory=_Said)
    done: bool = False
    done_reason: str = ""
    prompt_eval_count: int = 0
    prompt_cached_count: int = 0
    eval_count: int = 0
    error: str = ""


class _Choice(msgspec.Struct):
    delta: _Said = msgspec.field(default_factory=_Said)
    finish_reason: str | None = None


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _OpenAiLine(msgspec.Struct):
    choices: tuple[_Choice, ...] = ()
    usage: _Usage | None = None
    error: Any = None


_native_decoder = msgspec.json.Decoder(_NativeLine)
_openai_decoder = msgspec.json.Decoder(_OpenAiLine)


def _read_native(found: _Found, moment: float, line: bytes) -> None:
    said = _native_decoder.decode(line)
    found.add(moment, said.message.text)
    found.error = found.error or said.error
    if said.done:
        found.reason = said.done_reason or "stop"
        found.num_prompt, found.num_cached = said.prompt_eval_count, said.prompt_cached_count
        found.num_output = said.eval_count


def _read_openai(found: _Found, moment: float, line: bytes) -> None:
    data = line.removeprefix(b"data:").strip()
    if data == line or data == b"[DONE]":  # a comment, an event's name, or the end
        return
    said = _openai_decoder.decode(data)
    for choice in said.choices:
        found.add(moment, choice.delta.text)
        found.reason = choice.finish_reason or found.reason
    if said.usage:
        details = said.usage.prompt_tokens_details or _Details()
        found.num_prompt, found.num_output = said.usage.prompt_tokens, said.usage.completion_tokens
        found.num_cached = details.cached_tokens or 0
    if said.error:
        found.error = _message(said.error)


_READERS: dict[Dialect, Callable[[_Found, float, bytes], None]] = {"ollama": _read_native, "openai": _read_openai}


def _lines(pieces: Sequence[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """The lines of a stream, each with the moment at which its end came."""
    rest = b""
    moment = 0.0
    for moment, piece in pieces:
        *ended, rest = (rest + piece).split(b"\n")
        yield from ((moment, line) for line in ended if line.strip())
    if rest.strip():
        yield moment, rest


def _refusal(body: bytes) -> str:
    """What an answer that is no success says."""
    try:
        return _message(msgspec.json.decode(body, type=dict[str, Any]).get("error") or "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body[:200].decode("utf-8", "replace").strip()


def _message(error: Any) -> str:
    return str(error.get("message", error) if isinstance(error, dict) else error)
