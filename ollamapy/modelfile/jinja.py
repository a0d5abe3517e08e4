"""Renders the Jinja chat template of a GGUF file. Templates are data from strangers: they run here in a sandbox.

Bounds: `MAX_OUTPUT_BYTES` of text, `MAX_CPU_SECONDS` of processor time, `MAX_MEMORY_BYTES` of address space, and what
`sandbox` forbids. `main` is a child process (JSON lines on stdin and stdout) because neither time nor memory can be
bounded inside the daemon. Two timers watch it: the first raises between two steps of the template, the second ends the
process when a single step does not return.

A template sees what transformers would show it: `messages`, `tools` and `documents` (None when there are none),
`add_generation_prompt`, the special tokens; `raise_exception` and `strftime_now`. `chatvalues` tells how the arguments
of tool calls look. A template that raises on its input makes a `Rendered` with `refused`, and the caller may try
again with messages that `fallbacks` has changed.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import msgspec

from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.chatvalues import prepared
from ollamapy.modelfile.sandbox import Sandbox, TemplateRefusal

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
MAX_CPU_SECONDS = 0.6
MAX_MEMORY_BYTES = 1 << 29
_LAST_CPU_SECONDS = 0.8
_MAX_DATE_FORMAT = 256

_TEMPLATE_FAULTS = (
    jinja2.TemplateError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
"""What a bad template makes jinja2, or the Python code that it compiles to, raise."""


class Render(msgspec.Struct, frozen=True):
    """Render `template` with `context`."""

    id: int
    template: str
    context: dict[str, Any]


class Rendered(msgspec.Struct, frozen=True):
    """The text, or the error that came instead; `refused` when the template itself raised it."""

    id: int
    text: str = ""
    error: str = ""
    refused: bool = False


def render(template: str, context: Mapping[str, Any], now: datetime | None = None) -> str:
    """The text of `template`. `now` is the time that it may print, the present by default.

    Raises TemplateError when it is bad or breaks a bound, TemplateRefused when it does not take its input.
    """
    try:
        return _text(_compiled(template), _variables(context, now))
    except TemplateRefusal as error:
        raise TemplateRefused(f"chat template: {error}") from error
    except RecursionError as error:
        raise TemplateError("chat template: too much recursion") from error
    except _TEMPLATE_FAULTS as error:
        raise TemplateError(f"chat template: {error}") from error
    except MemoryError as error:
        raise TemplateError("chat template: out of memory") from error


def _text(template: jinja2.Template, variables: Mapping[str, Any]) -> str:
    parts: list[str] = []
    size = 0
    for part in template.generate(variables):
        size += len(part)
        if size > MAX_OUTPUT_BYTES:
            raise TemplateError(f"the chat template wrote more than {MAX_OUTPUT_BYTES} characters")
        parts.append(part)
    return "".join(parts)


def _variables(context: Mapping[str, Any], now: datetime | None) -> dict[str, Any]:
    moment = now or datetime.now()

    def strftime_now(form: str) -> str:
        return moment.strftime(form[:_MAX_DATE_FORMAT])

    return {"tools": None, "documents": None, "strftime_now": strftime_now, **prepared(context)}


@lru_cache(maxsize=32)
def _compiled(template: str) -> jinja2.Template:
    return _sandbox().from_string(template)


@lru_cache(maxsize=1)
def _sandbox() -> Sandbox:
    return Sandbox()


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler inside jinja2 swallows it."""


def _on_alarm(*_: Any) -> None:
    raise _OutOfTime


def answer(request: Render) -> Rendered:
    """Renders within the bound on processor time."""
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, _LAST_CPU_SECONDS)
    try:
        return Rendered(request.id, text=render(request.template, request.context))
    except TemplateError as error:
        return Rendered(request.id, error=error.message, refused=isinstance(error, TemplateRefused))
    except _OutOfTime:
        return Rendered(request.id, error=f"chat template: took more than {MAX_CPU_SECONDS:g} s of processor time")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def main() -> None:
    """The child: one `Render` a line in, one `Rendered` a line out, until stdin ends."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ValueError, OSError):  # macOS does not bound address space
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _on_alarm)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    decoder = msgspec.json.Decoder(Render)
    for line in sys.stdin.buffer:
        writer.write(msgspec.json.encode(answer(decoder.decode(line))) + b"\n")
        writer.flush()


if __name__ == "__main__":
    main()
