"""Turns prompts with images into tokens and rows of vectors, on a thread of its own: no step waits for an encoder.

An image stands in a prompt as `[img-N]`. Its rows get made-up token ids, which hash what they are made of: the books of
prefixes share the cells of the same image and of no other. Rows are remembered up to `_MAX_BYTES`.
"""

import hashlib
import logging
import queue
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from ollamapy.errors import Error
from ollamapy.runner.model import Opened, Picture, Piece, Projector
from ollamapy.wire.runner import Generate

_MARKER = re.compile(r"\[img-(\d{1,9})\]")
_MAX_BYTES = 128 << 20

log = logging.getLogger(__name__)

Told = tuple[str, tuple[Piece, ...]]
"""The digest of an image and what it is made of."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """Token ids, and the rows that some of them stand for."""

    tokens: list[int]
    pictures: tuple[Picture, ...] = ()


def segments(prompt: str, num_images: int) -> Iterator[str | int]:
    """The texts of a prompt and between them the numbers of its images. A marker of no image is text."""
    at = 0
    for marker in _MARKER.finditer(prompt):
        if int(marker[1]) < num_images:
            yield prompt[at : marker.start()]
            yield int(marker[1])
            at = marker.end()
    yield prompt[at:]


def made_up_tokens(digest: str, ordinal: int, count: int) -> list[int]:
    """Ids for the rows of piece `ordinal` of an image: negative, so that no text has them."""
    data = hashlib.shake_256(f"{digest} {ordinal}".encode()).digest(4 * count)
    return [int(number) for number in np.frombuffer(data, "<i4") | np.int32(-(2**31))]


def assemble(parts: Sequence[list[int] | Told]) -> Prompt:
    """The prompt of token lists and of images with their digests; pictures only where there are rows."""
    tokens: list[int] = []
    pictures = []
    for part in parts:
        if isinstance(part, list):
            tokens += part
            continue
        digest, pieces = part
        for ordinal, piece in enumerate(pieces):
            if piece.rows is not None:
                pictures.append(Picture(len(tokens), piece.rows, piece.is_causal, piece.grid))
            tokens += piece.tokens or made_up_tokens(digest, ordinal, piece.num_rows)
    return Prompt(tokens, tuple(pictures))


class Memory:
    """Encoded images by digest, up to `max_bytes` of rows; what was used longest ago goes first."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._size_bytes = 0
        self._held: OrderedDict[str, tuple[Piece, ...]] = OrderedDict()

    def get(self, digest: str) -> tuple[Piece, ...] | None:
        if digest in self._held:
            self._held.move_to_end(digest)
        return self._held.get(digest)

    def put(self, digest: str, pieces: tuple[Piece, ...]) -> None:
        if digest in self._held:
            return
        self._held[digest] = pieces
        self._size_bytes += _size(pieces)
        while self._size_bytes > self._max_bytes:
            self._size_bytes -= _size(self._held.popitem(last=False)[1])


def _size(pieces: tuple[Piece, ...]) -> int:
    return sum(piece.rows.nbytes for piece in pieces if piece.rows is not None)


class Sight:
    """Reads prompts with images one after the other. `submit` gets each prompt, `refuse` why there is none.

    A request that is cancelled on the way comes out of neither; `drop` hears of it.
    """

    def __init__(
        self,
        projector: Projector,
        tokenize: Callable[[str, bool], list[int]],
        *,
        submit: Callable[[Generate, Prompt], None],
        refuse: Callable[[Generate, Exception], None],
        drop: Callable[[Generate], None],
    ) -> None:
        self._projector, self._tokenize = projector, tokenize
        self._submit, self._refuse, self._drop = submit, refuse, drop
        self._memory = Memory()
        self._waiting: queue.SimpleQueue[tuple[Generate, str]] = queue.SimpleQueue()
        self._wanted: dict[int, bool] = {}
        self._lock = threading.Lock()  # a request goes on or is cancelled, never both
        threading.Thread(target=self._run, name="sight", daemon=True).start()

    def put(self, request: Generate, text: str) -> None:
        """Takes a request whose prompt is `text`."""
        with self._lock:
            self._wanted[request.id] = True
        self._waiting.put((request, text))

    def cancel(self, request_id: int) -> bool:
        """True when the request is still here, and will not go on."""
        with self._lock:
            is_here = request_id in self._wanted
            if is_here:
                self._wanted[request_id] = False
            return is_here

    def _run(self) -> None:
        while True:
            request, text = self._waiting.get()
            fault, prompt = None, None
            try:
                if self._wanted[request.id]:
                    prompt = self.read(request, text)
            except Exception as error:  # the seam between one request and all others
                if not isinstance(error, Error):
                    log.exception("image not read id=%d", request.id)
                fault = error
            with self._lock:
                is_wanted = self._wanted.pop(request.id)
                if not is_wanted:
                    self._drop(request)
                elif prompt is not None:
                    self._submit(msgspec.structs.replace(request, images=()), prompt)
                elif fault is not None:
                    self._refuse(request, fault)

    def read(self, request: Generate, text: str) -> Prompt:
        """The prompt in `text`. Images are encoded only where it fits. Raises InvalidInput."""
        found = list(segments(text, len(request.images)))
        with ExitStack() as stack:
            images = {n: self._open(request.images[n], stack) for n in dict.fromkeys(found) if isinstance(n, int)}
            texts = {
                at: self._tokenize(one, request.add_special and at == 0)
                for at, one in enumerate(found)
                if isinstance(one, str)
            }
            prompt = assemble([texts[at] if isinstance(n, str) else images[n].told for at, n in enumerate(found)])
            if len(prompt.tokens) >= request.num_ctx:
                return replace(prompt, pictures=())
            seen = {n: self._encode(image) for n, image in images.items()}
        return assemble([texts[at] if isinstance(n, str) else seen[n] for at, n in enumerate(found)])

    def _open(self, data: str, stack: ExitStack) -> "_Image":
        digest = hashlib.sha256(data.encode()).hexdigest()
        pieces = self._memory.get(digest)
        if pieces is not None:
            return _Image(digest, pieces)
        opened = stack.enter_context(self._projector.open(data))
        return _Image(digest, opened.pieces, opened)

    def _encode(self, image: "_Image") -> Told:
        if image.opened is None:
            return image.told
        pieces = self._memory.get(image.digest) or image.opened.encode()
        self._memory.put(image.digest, pieces)
        return image.digest, pieces


@dataclass(frozen=True, slots=True)
class _Image:
    digest: str
    pieces: tuple[Piece, ...]
    opened: Opened | None = None
    """None when it has been encoded before."""

    @property
    def told(self) -> Told:
        return self.digest, self.pieces
