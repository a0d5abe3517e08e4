"""The seam between the loop and an engine: `Model`, `Sampler`, and the batch that goes from one to the other.

Two engines use it: `llama.py` (llama.cpp) and `echo.py` (no weights). The loop knows token ids only.
A *slot* is the engine's name for the place of one sequence in the KV pool, 0 to `num_slots` - 1.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol, Self

import numpy as np
import numpy.typing as npt

from ollamapy.runner.infill import Marks
from ollamapy.wire.runner import Generate, Load, TokenLogprob

Rows = npt.NDArray[np.float32]
"""Vectors, one a row: what a model sees of an image where it sees tokens of a text."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of one sequence for the positions from `start` on, with logits of the last if wanted.

    With a picture that lies in a grid `start` is where the picture begins.
    """

    slot: int
    start: int
    tokens: Sequence[int]
    wants_output: bool
    picture: "Picture | None" = None
    """The rows to compute instead of tokens; such a chunk is a batch by itself."""
    num_guessed: int = 0
    """Tokens at the end that may be wrong: each has its output, and so has the one before them."""

    @property
    def num_outputs(self) -> int:
        """Tokens at the end whose logits are wanted."""
        return self.num_guessed + 1 if self.wants_output else 0


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """How rows of an image lie where positions have parts for time, height and width (M-RoPE).

    `places` has a line for each of four parts, from where the image begins. The image takes `num_positions`, fewer than
    it has rows: by the first part, which is all that cells are found by, they cannot be told apart.
    """

    places: npt.NDArray[np.int32]
    num_positions: int


@dataclass(frozen=True, slots=True)
class Picture:
    """Rows of vectors that take the place of tokens in a prompt, from position `start` on."""

    start: int
    rows: Rows
    is_causal: bool = True
    """False where each row sees the later ones too, so that all must be computed in one batch."""
    grid: Grid | None = None

    @property
    def end(self) -> int:
        return self.start + len(self.rows)

    @property
    def num_saved(self) -> int:
        """Positions that it takes less than it has rows."""
        return len(self.rows) - self.grid.num_positions if self.grid else 0

    def part(self, start: int, end: int) -> "Picture":
        """The rows that stand for the tokens [start, end)."""
        cut = slice(start - self.start, end - self.start)
        grid = Grid(self.grid.places[:, cut], self.grid.num_positions) if self.grid else None
        return replace(self, start=start, rows=self.rows[cut], grid=grid)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an image: the tokens of a text around it, or `num_rows` rows, each seeing the later ones too if so."""

    tokens: tuple[int, ...] = ()
    num_rows: int = 0
    is_causal: bool = True
    rows: Rows | None = None
    grid: Grid | None = None


class Opened(Protocol):
    """An image that is ready for its encoder."""

    pieces: tuple[Piece, ...]

    def encode(self) -> tuple[Piece, ...]:
        """The pieces with their rows."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Projector(Protocol):
    has_grid: bool
    """Rows of images lie in a grid."""

    def open(self, data: str) -> Opened:
        """The image in a base64 text, scaled and cut as the model wants it. Raises InvalidInput."""

    def close(self) -> None: ...


class Decoded(Enum):
    """What became of a batch."""

    OK = "ok"
    NO_ROOM = "no room"
    ABORTED = "aborted"
    """`abort` ended it; any part of its chunks may be computed, so their positions must be removed."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What the loop and the daemon need to know about a loaded model. Sizes are bytes, lengths tokens."""

    num_ctx_train: int
    pool_tokens: int
    num_parallel: int
    """Sequences that may run at once."""
    num_slots: int
    """As many, and places for prefixes that are only kept."""
    max_batch: int
    size_bytes: int
    vram_bytes: int
    can_shift: bool
    adds_bos: bool
    identity: str = ""
    """All but the weights that decides what saved cells mean: build, types, layout."""
    can_cut: bool = True
    """A slot may share, and let go of, any part of its cells; else all or nothing."""
    idle_cells: int | None = None
    """Cells in the pool that no sequence needs and that hardly slow a step; None when there can be any number."""
    mixes: bool = True
    """A batch of prompts and streams costs no more than the two by themselves."""
    max_threads: int = 1
    """Threads a step may use; 1 when there is nothing to choose."""
    bos_text: str = ""
    eos_text: str = ""


class Sampler(Protocol):
    """Picks the tokens of one sequence; owns its random numbers and its memory of past tokens."""

    def sample(self, row: int) -> int:
        """The next token from logits row `row` of the last batch; remembers it. Raises InvalidInput at a dead end."""

    def choose_free(self, row: int) -> int:
        """The next token as if there were no grammar; remembers nothing."""

    def accept_free(self, token: int) -> None:
        """Remembers a token that the grammar, if there is one, must not see."""

    def close(self) -> None: ...


class Model(Protocol):
    """A loaded model. Its words may be asked for from any thread, the rest from the loop's only."""

    info: ModelInfo
    projector: Projector | None
    """What turns images into rows; None for a model that sees none."""

    def tokenize(self, text: str, add_special: bool) -> list[int]: ...

    def tokenize_plain(self, text: str) -> list[int]:
        """The tokens of a text in which nothing counts as a control token."""

    @property
    def marks(self) -> Marks:
        """The vocabulary's tokens around gaps that are to be filled."""

    def detokenize(self, tokens: Sequence[int]) -> str:
        """The text of `tokens`, special tokens written out."""

    def piece(self, token: int) -> bytes:
        """The bytes that `token` adds to an answer; empty for control tokens."""

    def is_end(self, token: int) -> bool: ...

    def words(self) -> list[bytes]:
        """The vocabulary: what each token stands for, control tokens written out."""

    def sampler(
        self,
        request: Generate,
        num_ctx: int,
        prompt: Sequence[int],
        specials: Collection[int] = (),
    ) -> Sampler:
        """A sampler for a request: its options, its grammar. Raises InvalidInput for what the engine cannot take.

        `specials` are the control tokens that a text of the grammar may be made of.
        """

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        """Computes the chunks in one batch. Row k of the logits belongs to the k-th output of all chunks."""

    def abort(self) -> None:
        """Ends the step that runs, or else the next one, as soon as may be. Any thread may call it.

        `decode` then answers ABORTED: the loop removes the positions of every chunk of that step from `start` on and
        plans anew, so whoever was in the step loses no more than it. Worth it when the pipe closes, and when the
        sequence that somebody cancels has a long prefill in the step and no stream waits beside it.
        """

    def logprob(self, row: int, token: int, num_top: int) -> TokenLogprob: ...

    def likeliest(self, row: int) -> tuple[int, float]:
        """The most likely token of a logits row, and its probability."""

    def remove(self, slot: int, start: int, end: int) -> bool:
        """Forgets positions [start, end) of a slot; end -1 is "to the last". False if the engine cannot."""

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Lets slot `target` share the cells of `source` at [start, end)."""

    def save(self, slot: int, start: int, end: int) -> bytes:
        """What the cells [start, end) of a slot hold, in the engine's own form; empty when it cannot say."""

    def restore(self, slot: int, start: int, end: int, data: bytes) -> bool:
        """Puts into the empty cells [start, end) of a slot what `save` gave for them, or for more before `start`.

        False when the data does not fit. An engine that cannot cut replaces all that the slot holds.
        """

    def move(self, slot: int, start: int, end: int, delta: int) -> None:
        """Adds `delta` to the positions [start, end) of a slot."""

    def set_threads(self, count: int) -> None:
        """Uses `count` threads from the next step on."""

    def close(self) -> None: ...


ModelLoader = Callable[[Load, Callable[[float], None]], Model]
"""Loads a model and reports progress from 0 to 1 on the way. Raises LoadFailed."""
