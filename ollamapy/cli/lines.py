"""Reads what the user types in a conversation: line editing, keys, history. The only door to prompt_toolkit.

Enter sends, unless triple quotes are open; Ctrl-J and pasted line ends continue the message on the next line.
"""

import shlex
import subprocess
import sys
import tempfile
import termios
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import History
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.layout.processors import AfterInput

from ollamapy.cli import history
from ollamapy.cli.session import QUOTES, wants_more

GREY = "fg:ansibrightblack"
PROMPT, CONTINUATION = ">>> ", "... "
PLACEHOLDER = "Send a message (/? for help)"
CONTINUED = "Press Enter to send"
QUOTED = f"End with {QUOTES} to send"
TAB = " " * 8


class Interrupted(Exception):
    """Ctrl-C at the prompt; `had_text` tells whether it threw something away."""

    def __init__(self, had_text: bool) -> None:
        super().__init__()
        self.had_text = had_text


class LineReader:
    """The prompt of one conversation. `writes_history` is asked whenever a message was sent."""

    def __init__(self, history_file: Path, editor: str, writes_history: Callable[[], bool]) -> None:
        self._session: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=CONTINUATION,
            placeholder=lambda: self._grey(PLACEHOLDER),
            input_processors=[AfterInput(self._continuation_hint)],
            history=_FileHistory(history_file, writes_history),
            key_bindings=_keys(editor),
            enable_suspend=True,
            reserve_space_for_menu=0,
        )

    def read(self) -> str:
        """The next message or command. Raises EOFError for Ctrl-D, Interrupted for Ctrl-C."""
        return self._session.prompt()

    def _continuation_hint(self) -> StyleAndTextTuples:
        text = self._session.default_buffer.text
        if not text.endswith("\n"):
            return []
        return self._grey(QUOTED if wants_more(text) else CONTINUED)

    def _grey(self, hint: str) -> StyleAndTextTuples:
        """`hint`, which goes when the line is left."""
        return [] if self._session.app.is_done else [(GREY, hint)]


@contextmanager
def kept_keys() -> Iterator[None]:
    """For the length of the block, keys pressed outside the prompt wait for it, unseen; Ctrl-C still interrupts.

    Without this the terminal would turn their Enter into Ctrl-J, and echo them into the answer.
    """
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    iflag, oflag, cflag, lflag, *rest = before
    kept = [iflag & ~termios.ICRNL, oflag, cflag, lflag & ~(termios.ECHO | termios.ICANON), *rest]
    termios.tcsetattr(terminal, termios.TCSANOW, kept)
    try:
        yield
    finally:
        termios.tcsetattr(terminal, termios.TCSANOW, before)


class _FileHistory(History):
    """The history file as prompt_toolkit wants it: newest first."""

    def __init__(self, path: Path, is_written: Callable[[], bool]) -> None:
        super().__init__()
        self._path = path
        self._is_written = is_written

    def load_history_strings(self) -> Iterable[str]:
        try:
            return list(reversed(history.read(self._path)))
        except OSError as error:
            print(f"warning: cannot read the history: {error}", file=sys.stderr)
            return []

    def store_string(self, string: str) -> None:
        if not self._is_written():
            return
        try:
            history.append(self._path, string)
        except OSError as error:
            print(f"warning: cannot write the history: {error}", file=sys.stderr)


def _keys(editor: str) -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def send(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if wants_more(buffer.text):
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("c-j")
    def continue_message(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    @keys.add("tab")
    def indent(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text(TAB)

    @keys.add("c-c")
    def interrupt(event: KeyPressEvent) -> None:
        event.app.exit(exception=Interrupted(bool(event.current_buffer.text)), style="class:aborting")

    @keys.add("c-g")
    async def edit(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        text = await run_in_terminal(lambda: edited(buffer.text, editor))
        if text:
            buffer.text = text
            buffer.cursor_position = len(text)

    return keys


def edited(text: str, editor: str) -> str:
    """`text` after the user changed it in `editor`; empty when there is no such program, which is said on stderr."""
    with tempfile.TemporaryDirectory(prefix="ollamapy-") as folder:
        file = Path(folder) / "message.txt"
        file.write_text(text, "utf-8")
        try:
            subprocess.run([*shlex.split(editor), str(file)], check=False)
        except OSError:
            print(
                f'error: editor "{editor}" not found, set OLLAMA_EDITOR to the path of your preferred editor',
                file=sys.stderr,
            )
            return ""
        return file.read_text("utf-8", "replace").rstrip("\n")
