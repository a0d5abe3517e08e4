"""Writes an answer as it comes: thinking, tool calls, text, and the timings after it.

`View` decides what to write and is pure; `show` writes it to stdout, and the spinner and the timings to stderr.
"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ollamapy.cli import progress
from ollamapy.cli.wrap import WordWrap, without_controls
from ollamapy.errors import Error
from ollamapy.units import format_duration
from ollamapy.wire.native import ChatResponse, GenerateResponse, ToolCall

Chunk = ChatResponse | GenerateResponse

GREY, BOLD, NOT_BOLD, PLAIN = "\x1b[90m", "\x1b[1m", "\x1b[22m", "\x1b[0m"
FALLBACK_COLUMNS = 80


@dataclass(frozen=True, slots=True)
class Answered:
    """What a whole answer said."""

    content: str
    thinking: str


@dataclass(slots=True)
class View:
    """How an answer looks, and how far it has been written. A pipe gets the same lines without colour or wrap."""

    is_terminal: bool
    word_wrap: bool = True
    hide_thinking: bool = False
    content: str = ""
    thinking: str = ""
    is_thinking: bool = False
    is_written: bool = False
    wrap: WordWrap = field(default_factory=WordWrap)

    def push(self, chunk: Chunk, columns: int = FALLBACK_COLUMNS) -> str:
        """What to write for the next chunk."""
        content, thinking, calls = _parts(chunk)
        written = ""
        if thinking and not self.hide_thinking:
            written += "" if self.is_thinking else self._open()
            written += self._wrapped(thinking, columns)
        self.thinking += thinking
        if content or calls:
            written += self._close() + self._wrapped(content, columns) + describe_calls(calls)
        self.content += content
        self.is_written = self.is_written or bool(written)
        return written

    def end(self) -> str:
        """What to write after the last chunk."""
        return self._close() + "\n\n"

    def stop(self) -> str:
        """What to write after an answer that was stopped half-way: colours end, the next line is a new one."""
        if not self.is_written:
            return ""
        return PLAIN + "\n" if self.is_thinking and self.is_terminal else "\n"

    def _open(self) -> str:
        self.is_thinking = True
        return f"{GREY}{BOLD}Thinking...{NOT_BOLD}\n" if self.is_terminal else "Thinking...\n"

    def _close(self) -> str:
        if not self.is_thinking:
            return ""
        self.is_thinking = False
        self.wrap = WordWrap()
        line_end = "" if self.thinking.endswith("\n") else "\n"
        mark = f"{BOLD}...done thinking.{PLAIN}" if self.is_terminal else "...done thinking."
        return f"{line_end}{mark}\n\n"

    def _wrapped(self, text: str, columns: int) -> str:
        if not self.is_terminal:
            return text
        safe = without_controls(text)
        return self.wrap.push(safe, columns) if self.word_wrap else safe


def show(chunks: Iterable[Chunk], view: View, is_verbose: bool) -> Answered:
    """Writes the answer; a spinner turns until its first text. Ctrl-C passes through when the screen is in order."""
    last = None
    with progress.waiting() as wait:
        try:
            for chunk in chunks:
                written = view.push(chunk, _columns())
                if written:
                    wait.done()
                    _write(written)
                last = chunk
        except (KeyboardInterrupt, Error):
            wait.done()
            _write(view.stop())
            raise
    _write(view.end())
    if is_verbose and last:
        print(timings(last), end="", file=sys.stderr)
    return Answered(view.content, view.thinking)


def timings(chunk: Chunk) -> str:
    """The numbers of an answer, a line each; zeros are left out."""
    rows = {
        "total duration": _span(chunk.total_duration),
        "load duration": _span(chunk.load_duration),
        "prompt eval count": f"{chunk.prompt_eval_count} token(s)" if chunk.prompt_eval_count else "",
        "prompt eval duration": _span(chunk.prompt_eval_duration),
        "prompt eval rate": _rate(chunk.prompt_eval_count, chunk.prompt_eval_duration),
        "eval count": f"{chunk.eval_count} token(s)" if chunk.eval_count else "",
        "eval duration": _span(chunk.eval_duration),
        "eval rate": _rate(chunk.eval_count, chunk.eval_duration),
    }
    return "".join(f"{name + ':':<21} {text}\n" for name, text in rows.items() if text)


def describe_calls(calls: Sequence[ToolCall]) -> str:
    """How a call of a tool shows: nobody here can carry it out."""
    return "\n".join(
        f"  Model called a non-existent function '{call.function.name}()' with arguments: "
        + json.dumps(call.function.arguments, ensure_ascii=False, separators=(",", ":"))
        for call in calls
    )


def _parts(chunk: Chunk) -> tuple[str, str, Sequence[ToolCall]]:
    if isinstance(chunk, ChatResponse):
        return chunk.message.content, chunk.message.thinking, chunk.message.tool_calls
    return chunk.response, chunk.thinking, chunk.tool_calls


def _span(nanoseconds: int) -> str:
    return format_duration(nanoseconds) if nanoseconds else ""


def _rate(count: int, nanoseconds: int) -> str:
    return f"{count / (nanoseconds / 1e9):.2f} tokens/s" if count and nanoseconds else ""


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return FALLBACK_COLUMNS


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
