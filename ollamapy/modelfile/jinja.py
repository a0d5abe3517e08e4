"""Renders the Jinja chat template of a GGUF file. Templates are data from strangers: they run here in a sandbox.

Bounds: `MAX_OUTPUT_BYTES` of text, `MAX_CPU_SECONDS` of processor time, `MAX_MEMORY_BYTES` of address space, no
attribute that begins with an underscore, no loader, no mutation of what they are given. `main` is a child process
(JSON lines on stdin and stdout) because neither time nor memory can be bounded inside the daemon.
"""

import contextlib
import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
import msgspec
from jinja2.exceptions import SecurityError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ollamapy.errors import TemplateError

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
MAX_CPU_SECONDS = 0.6
MAX_MEMORY_BYTES = 1 << 29
_MAX_REPEATED = 1 << 24
_MAX_POWER_BITS = 4096


class Render(msgspec.Struct, frozen=True):
    """Render `template` with `context`."""

    id: int
    template: str
    context: dict[str, Any]


class Rendered(msgspec.Struct, frozen=True):
    """The text, or the error that came instead."""

    id: int
    text: str = ""
    error: str = ""


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks text for training; here its body is just rendered."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class _Environment(ImmutableSandboxedEnvironment):
    """The sandbox, with the operators that can blow up bounded."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        if operator == "*":
            for text, count in ((left, right), (right, left)):
                if hasattr(text, "__len__") and isinstance(count, int) and len(text) * count > _MAX_REPEATED:
                    raise SecurityError("a repetition is too long")
        is_power = operator == "**" and isinstance(left, int) and isinstance(right, int)
        if is_power and (right < 0 or left.bit_length() * right > _MAX_POWER_BITS):
            raise SecurityError("a power is too large")
        return super().call_binop(context, operator, left, right)


def render(template: str, context: Mapping[str, Any]) -> str:
    """The text of `template`. Raises TemplateError when it is bad, refuses its input or breaks a bound."""
    parts: list[str] = []
    size = 0
    try:
        for part in _compiled(template).generate(dict(context)):
            size += len(part)
            if size > MAX_OUTPUT_BYTES:
                raise TemplateError(f"the chat template wrote more than {MAX_OUTPUT_BYTES} characters")
            parts.append(part)
    except (jinja2.TemplateError, TypeError, ValueError, ArithmeticError, LookupError, AttributeError) as error:
        raise TemplateError(f"chat template: {error}") from error
    except RecursionError as error:
        raise TemplateError("chat template: too much recursion") from error
    except MemoryError as error:
        raise TemplateError("chat template: out of memory") from error
    return "".join(parts)


@lru_cache(maxsize=32)
def _compiled(template: str) -> jinja2.Template:
    try:
        return _environment().from_string(template)
    except RecursionError as error:
        raise TemplateError("chat template: nested too deeply") from error


@lru_cache(maxsize=1)
def _environment() -> _Environment:
    environment = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.loopcontrols", _GenerationTag],
        keep_trailing_newline=False,
    )
    environment.filters["tojson"] = _to_json
    environment.globals.update(raise_exception=_raise_exception, strftime_now=_strftime_now)
    return environment


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False, **_: Any) -> str:
    """JSON as chat templates expect it: `, ` and `: `, no HTML escapes, key order kept."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent)


def _raise_exception(message: str) -> str:
    raise jinja2.TemplateError(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler inside jinja2 swallows it."""


def _on_alarm(*_: Any) -> None:
    raise _OutOfTime


def answer(request: Render) -> Rendered:
    """Renders within the bound on processor time."""
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    try:
        return Rendered(request.id, text=render(request.template, request.context))
    except TemplateError as error:
        return Rendered(request.id, error=error.message)
    except _OutOfTime:
        return Rendered(request.id, error=f"chat template: took more than {MAX_CPU_SECONDS:g} s of processor time")
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def main() -> None:
    """The child: one `Render` a line in, one `Rendered` a line out, until stdin ends."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ValueError, OSError):  # macOS does not bound address space
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _on_alarm)
    decoder = msgspec.json.Decoder(Render)
    for line in sys.stdin.buffer:
        writer.write(msgspec.json.encode(answer(decoder.decode(line))) + b"\n")
        writer.flush()


if __name__ == "__main__":
    main()
