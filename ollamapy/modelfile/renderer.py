"""The process that renders chat templates, and what the daemon and it say to each other.

`python -m ollamapy.modelfile.renderer`: one request a line in, one `Rendered` a line out, until stdin ends. Templates
are data from strangers, and neither the time nor the memory that they take can be bounded inside the daemon: here
processor time and `MAX_MEMORY_BYTES` of address space are. Two timers watch: after `MAX_CPU_SECONDS` the first raises
between two steps of a template, and after `MAX_STEP_SECONDS` the second ends the process, for a single step that does
not return. Both count processor time: on a busy machine an honest template waits, and must not be taken for a hostile
one.
"""

import contextlib
import os
import resource
import signal
import sys
from typing import Any

import msgspec

from ollamapy.errors import TemplateError
from ollamapy.modelfile import gochat, jinjachat
from ollamapy.wire.native import Message, Think, Tool

MAX_CPU_SECONDS = 0.5
MAX_STEP_SECONDS = 0.6
MAX_MEMORY_BYTES = 1 << 29


WHAT_TO_DO = "a prompt is due in milliseconds: mend the template, or create the model anew with a TEMPLATE of your own"
_DEATHS = {
    -signal.SIGVTALRM: f"it took more than {MAX_CPU_SECONDS:g} s of processor time",
    -signal.SIGALRM: "it did not finish in time",
    -signal.SIGKILL: "the system ended its process, perhaps for want of memory",
}


def fault_of_death(status: int) -> str:
    """What to tell of a template whose process ended with this exit status, negative for a signal."""
    return f"chat template: {_DEATHS.get(status, 'it broke its process')}; {WHAT_TO_DO}"


class RenderJinja(msgspec.Struct, frozen=True, tag=True):
    """Render the Jinja `template` for `messages`."""

    id: int
    template: str
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    think: Think = None
    bos_text: str = ""
    eos_text: str = ""


class RenderGo(msgspec.Struct, frozen=True, tag=True):
    """Render the Go `template` for `messages`, or for `prompt` and `suffix` when both have content."""

    id: int
    template: str
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    prompt: str = ""
    suffix: str = ""
    think: Think = None


RenderRequest = RenderJinja | RenderGo


class Rendered(msgspec.Struct, frozen=True):
    """The text, or the error that came instead, and whether it came of a bound on time."""

    id: int
    text: str = ""
    error: str = ""
    is_overtime: bool = False


class _OutOfTime(BaseException):
    """Not an Exception, so that no handler on the way swallows it."""


def _on_alarm(*_: Any) -> None:
    raise _OutOfTime


def answer(request: RenderRequest) -> Rendered:
    """Renders within the bounds on time."""
    signal.setitimer(signal.ITIMER_PROF, MAX_CPU_SECONDS)
    signal.setitimer(signal.ITIMER_VIRTUAL, MAX_STEP_SECONDS)
    try:
        return Rendered(request.id, text=_render(request))
    except TemplateError as error:
        return Rendered(request.id, error=error.message)
    except _OutOfTime:
        text = f"chat template: it took more than {MAX_CPU_SECONDS:g} s of processor time; {WHAT_TO_DO}"
        return Rendered(request.id, error=text, is_overtime=True)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _render(request: RenderRequest) -> str:
    if isinstance(request, RenderJinja):
        return jinjachat.render(
            request.template,
            request.messages,
            request.tools,
            request.think,
            bos_text=request.bos_text,
            eos_text=request.eos_text,
        )
    rendered = gochat.render(
        request.template,
        request.messages,
        request.tools,
        prompt=request.prompt,
        suffix=request.suffix,
        think=request.think,
    )
    return rendered.text


def main() -> None:
    """The child."""
    writer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with contextlib.suppress(ValueError, OSError):  # macOS does not bound address space
        resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    signal.signal(signal.SIGPROF, _on_alarm)
    signal.signal(signal.SIGVTALRM, signal.SIG_DFL)
    decoder = msgspec.json.Decoder(RenderRequest)
    for line in sys.stdin.buffer:
        writer.write(msgspec.json.encode(answer(decoder.decode(line))) + b"\n")
        writer.flush()


if __name__ == "__main__":
    main()
