"""Renders the Jinja chat template of a GGUF file. Templates are data from strangers: they run in `sandbox`.

Must run in the child process (`renderer`), which bounds time and memory; here only the output is, by
`MAX_OUTPUT_BYTES`. A template sees what transformers would show it: `messages`, `tools` and `documents` (None when
there are none), `add_generation_prompt`, the special tokens, `raise_exception` and `strftime_now`. `chatvalues` tells
how the arguments of tool calls look.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import jinja2

from ollamapy.errors import TemplateError, TemplateRefused
from ollamapy.modelfile.chatvalues import prepared
from ollamapy.modelfile.sandbox import Sandbox, TemplateRefusal

MAX_OUTPUT_BYTES = 16 * 1024 * 1024
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
