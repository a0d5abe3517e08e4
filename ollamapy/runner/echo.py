"""The echo engine: answers with its prompt, one byte a token. Needs no weights; for tests and for a first look.

The next token is a function of the tokens in the slot alone, so every scheduling of the same requests must give the
same answers. `tokenize` closes a prompt with the mark END_OF_PROMPT; the answer is what stands before the mark.

Switches in the GGUF file's metadata slow it down or break it on purpose: `echo.load_seconds`, `echo.step_seconds`,
`echo.token_seconds` (per prompt token), and `echo.fault`: a key of `_FAULTS` after `load-`, `prefill-` or `decode-`,
`load-error` or `load-memory`.
"""

import os
import signal
import struct
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from ollamapy.errors import InvalidInput, LoadFailed
from ollamapy.runner.infill import Marks
from ollamapy.runner.model import Chunk, Decoded, ModelInfo
from ollamapy.wire.runner import Generate, Load, TokenLogprob

END_OF_PROMPT = 256
END_OF_ANSWER = 257
NUM_SLOTS = 256
NUM_KEPT = 32
_MAX_HEADER_BYTES = 1 << 20

_FAULTS: dict[str, Callable[[], None]] = {
    "exit": lambda: os._exit(3),
    "abort": lambda: os.kill(os.getpid(), signal.SIGABRT),
    "segv": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
}


def load(request: Load, on_progress: Callable[[float], None]) -> "EchoModel":
    """Loads the echo model that the file at `request.path` describes. Raises LoadFailed."""
    switches = _read_switches(Path(request.path))
    fault = str(switches.get("fault", ""))
    on_progress(0.5)
    time.sleep(float(switches.get("load_seconds", 0.0)))
    if fault == "load-error":
        raise LoadFailed("the echo model was told not to load")
    if fault == "load-memory":
        raise MemoryError("the echo model was told to find no memory")
    _strike(fault, "load")
    on_progress(1.0)
    return EchoModel(request, switches, fault)


class EchoModel:
    """A Model whose memory is a pool of cells that slots share: `_slots` maps a slot's positions to cells, a cell
    holds a token, and is gone when no slot has it."""

    def __init__(self, request: Load, switches: dict[str, Any], fault: str) -> None:
        self.projector = None
        self.info = ModelInfo(
            num_ctx_train=int(switches.get("context_length", 4096)),
            pool_tokens=request.pool_tokens,
            num_parallel=min(request.num_parallel, NUM_SLOTS),
            num_slots=min(request.num_parallel + NUM_KEPT, NUM_SLOTS),
            max_batch=max(request.num_batch, NUM_SLOTS),
            size_bytes=Path(request.path).stat().st_size,
            vram_bytes=0,
            can_shift=True,
            adds_bos=False,
            identity="echo",
        )
        self._slots: dict[int, dict[int, int]] = {}
        self._cells: dict[int, int] = {}
        self._holds: Counter[int] = Counter()
        self._next_cell = 0
        self._rows: list[int] = []
        self._step_seconds = float(switches.get("step_seconds", 0.0))
        self._token_seconds = float(switches.get("token_seconds", 0.0))
        self._fault = fault
        self._abort = threading.Event()

    def tokenize(self, text: str, add_special: bool) -> list[int]:
        return [*text.encode(), *([END_OF_PROMPT] if add_special else [])]

    def tokenize_plain(self, text: str) -> list[int]:
        return self.tokenize(text, False)

    @property
    def marks(self) -> Marks:
        return Marks()

    def detokenize(self, tokens: Sequence[int]) -> str:
        return b"".join(self.piece(token) for token in tokens).decode("utf-8", "replace")

    def piece(self, token: int) -> bytes:
        return bytes([token]) if 0 <= token < 256 else b""

    def is_end(self, token: int) -> bool:
        return token == END_OF_ANSWER

    def words(self) -> list[bytes]:
        return [self.piece(token) for token in range(END_OF_ANSWER + 1)]

    def sampler(
        self,
        request: Generate,
        num_ctx: int,
        prompt: Sequence[int],
        specials: Collection[int] = (),
    ) -> "_EchoSampler":
        if request.grammar:
            raise InvalidInput("the echo model cannot follow a grammar")
        return _EchoSampler(self)

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        num_tokens = sum(len(chunk.tokens) for chunk in chunks)
        _strike(self._fault, "prefill" if num_tokens > len(chunks) else "decode")
        if self._abort.wait(self._step_seconds + self._token_seconds * num_tokens):
            self._abort.clear()
            return Decoded.ABORTED
        if len(self._cells) + num_tokens > self.info.pool_tokens:
            return Decoded.NO_ROOM
        self._rows = []
        for chunk in chunks:
            held = self._slots.setdefault(chunk.slot, {})
            assert len(held) == chunk.start, "positions must follow each other"
            for position, token in enumerate(chunk.tokens, chunk.start):
                self._put(held, position, token)
            held_tokens = self.held(chunk.slot) if chunk.wants_output else []
            for num_after in range(chunk.num_outputs - 1, -1, -1):
                self._rows.append(_next_token(held_tokens[: len(held_tokens) - num_after]))
        return Decoded.OK

    def _put(self, held: dict[int, int], position: int, token: int) -> None:
        """A new cell."""
        held[position] = self._next_cell
        self._cells[self._next_cell] = token
        self._holds[self._next_cell] = 1
        self._next_cell += 1

    def held(self, slot: int) -> list[int]:
        """The tokens of a slot."""
        held = self._slots.get(slot, {})
        return [self._cells[held[position]] for position in sorted(held)]

    def next_token(self, row: int) -> int:
        return self._rows[row]

    def abort(self) -> None:
        self._abort.set()

    def logprob(self, row: int, token: int, num_top: int) -> TokenLogprob:
        text = self.piece(token)
        alternative = TokenLogprob(text.decode("utf-8", "replace"), 0.0, tuple(text))
        return TokenLogprob(alternative.token, 0.0, alternative.bytes, (alternative,) * min(num_top, 1))

    def likeliest(self, row: int) -> tuple[int, float]:
        return self._rows[row], 1.0

    def remove(self, slot: int, start: int, end: int) -> bool:
        held = self._slots.get(slot, {})
        for position in [position for position in held if position >= start and (end < 0 or position < end)]:
            cell = held.pop(position)
            self._holds[cell] -= 1
            if not self._holds[cell]:
                del self._cells[cell], self._holds[cell]
        if not held:
            self._slots.pop(slot, None)
        return True

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        held = self._slots[source]
        shared = {position: held[position] for position in range(start, end)}
        assert not shared.keys() & self._slots.get(target, {}).keys(), "positions must be empty"
        self._slots.setdefault(target, {}).update(shared)
        self._holds.update(shared.values())

    def save(self, slot: int, start: int, end: int) -> bytes:
        return array("i", [start, *self.held(slot)[start:end]]).tobytes()

    def restore(self, slot: int, start: int, end: int, data: bytes) -> bool:
        first, *tokens = array("i", data) if len(data) % 4 == 0 and data else [0]
        if first > start or first + len(tokens) != end or len(self._cells) + end - start > self.info.pool_tokens:
            return False
        self.remove(slot, start, -1)
        held = self._slots.setdefault(slot, {})
        assert len(held) == start, "positions must follow each other"
        for position in range(start, end):
            self._put(held, position, tokens[position - first])
        return True

    def move(self, slot: int, start: int, end: int, delta: int) -> None:
        held = self._slots[slot]
        moved = {position: held.pop(position) for position in range(start, end)}
        assert all(self._holds[cell] == 1 for cell in moved.values()), "others hold these cells too"
        held.update({position + delta: cell for position, cell in moved.items()})

    def set_threads(self, count: int) -> None:
        """Nothing to do: there is one."""

    def close(self) -> None:
        self._slots.clear()
        self._cells.clear()


class _EchoSampler:
    def __init__(self, model: EchoModel) -> None:
        self._model = model

    def sample(self, row: int) -> int:
        return self._model.next_token(row)

    def choose_free(self, row: int) -> int:
        return self._model.next_token(row)

    def accept_free(self, token: int) -> None:
        pass

    def close(self) -> None:
        pass


def _next_token(cells: Sequence[int]) -> int:
    """The token after `cells`: byte k of the prompt when k bytes of answer stand there already."""
    if END_OF_PROMPT not in cells:
        return END_OF_ANSWER
    mark = len(cells) - 1 - cells[::-1].index(END_OF_PROMPT)
    num_answered = len(cells) - 1 - mark
    prompt = [token for token in cells[:mark] if token < 256]
    return prompt[num_answered] if num_answered < len(prompt) else END_OF_ANSWER


def _strike(fault: str, stage: str) -> None:
    action = fault.removeprefix(f"{stage}-")
    if action != fault and action in _FAULTS:
        _FAULTS[action]()


def _read_switches(path: Path) -> dict[str, Any]:
    """The `echo.*` scalars and strings of the header. The daemon's own reader has checked the file before."""
    with path.open("rb") as file:
        data = file.read(_MAX_HEADER_BYTES)
    try:
        return {k.removeprefix("echo."): v for k, v in _metadata(data) if k.startswith("echo.")}
    except (struct.error, ValueError, KeyError, OverflowError) as error:
        raise LoadFailed(f"{path.name} is not an echo model: {error}") from error


def _metadata(data: bytes) -> list[tuple[str, Any]]:
    scalars = {4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q"}
    magic, _, _, count = struct.unpack_from("<4sIQQ", data)
    if magic != b"GGUF":
        raise ValueError("it is no GGUF file")
    at, found = 24, []

    def text() -> str:
        nonlocal at
        (length,) = struct.unpack_from("<Q", data, at)
        at += 8 + length
        return data[at - length : at].decode()

    for _ in range(count):
        key = text()
        (kind,) = struct.unpack_from("<I", data, at)
        at += 4
        if kind == 8:
            found.append((key, text()))
            continue
        (value,) = struct.unpack_from(scalars[kind], data, at)
        at += struct.calcsize(scalars[kind])
        found.append((key, value))
    return found
