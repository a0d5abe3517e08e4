"""Prompts with images, without an encoder: where markers are, which ids stand for rows, what is kept, who waits."""

import queue
import threading
from pathlib import Path
from typing import Self

import numpy as np
import pytest
from fakes.runner_process import echo_file

from ollamapy.errors import InvalidInput
from ollamapy.runner import echo
from ollamapy.runner.model import Picture, Piece
from ollamapy.runner.session import Generation
from ollamapy.runner.sight import Memory, Prompt, Sight, assemble, made_up_tokens, segments
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Event, Finished, Generate, Load

DEADLINE_SECONDS = 120.0


def rows(count: int, value: float = 1.0) -> Piece:
    return Piece((), count, rows=np.full((count, 4), value, np.float32))


class Projector:
    """An encoder that makes three rows between two tokens of every image, when `may_go` lets it."""

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.may_go.set()
        self.is_at_work = threading.Event()
        self.encoded: list[str] = []
        self.num_open = 0

    def open(self, data: str) -> "Opened":
        if data == "bad":
            raise InvalidInput("the image is damaged")
        if data == "broken":
            raise ZeroDivisionError("a bug")
        return Opened(self, data)

    def close(self) -> None: ...


class Opened:
    def __init__(self, projector: Projector, data: str) -> None:
        self._projector, self._data = projector, data
        self.pieces = (Piece((7,)), Piece((), 3), Piece((8,)))

    def encode(self) -> tuple[Piece, ...]:
        self._projector.is_at_work.set()
        assert self._projector.may_go.wait(DEADLINE_SECONDS)
        self._projector.encoded.append(self._data)
        return self.pieces[0], rows(3), self.pieces[2]

    def __enter__(self) -> Self:
        self._projector.num_open += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._projector.num_open -= 1


class Watched:
    """A Sight, and what came out of it: the prompt, the exception, or None for a request that was dropped."""

    def __init__(self) -> None:
        self.projector = Projector()
        self._out: queue.SimpleQueue[tuple[int, Prompt | Exception | None]] = queue.SimpleQueue()
        self.sight = Sight(
            self.projector,
            lambda text, add_special: [1] * add_special + list(text.encode()),
            submit=lambda request, prompt: self._out.put((request.id, prompt)),
            refuse=lambda request, fault: self._out.put((request.id, fault)),
            drop=lambda request: self._out.put((request.id, None)),
        )

    def put(self, request_id: int, prompt: str, *images: str, num_ctx: int = 100) -> None:
        self.sight.put(Generate(request_id, prompt, Options(), num_ctx, images=images), prompt)

    def next(self) -> tuple[int, Prompt | Exception | None]:
        return self._out.get(timeout=DEADLINE_SECONDS)

    def prompt(self, *args: str, num_ctx: int = 100) -> Prompt:
        self.put(1, *args, num_ctx=num_ctx)
        _, prompt = self.next()
        assert isinstance(prompt, Prompt), prompt
        return prompt


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a[img-0]b", ["a", 0, "b"]),
        ("[img-1][img-0]", ["", 1, "", 0, ""]),
        ("[img-2] [img-x] [img] [img-99999999999]", ["[img-2] [img-x] [img] [img-99999999999]"]),
        ("[img-0][img-0]", ["", 0, "", 0, ""]),
        ("", [""]),
    ],
)
def test_a_prompt_is_cut_at_the_markers_of_its_images(text: str, expected: list[str | int]) -> None:
    assert list(segments(text, 2)) == expected


def test_ids_of_rows_are_negative_and_hash_image_and_place() -> None:
    ids = made_up_tokens("a", 0, 500)

    assert all(-(2**31) <= token < 0 for token in ids)
    assert ids == made_up_tokens("a", 0, 500)
    assert len({tuple(made_up_tokens(digest, at, 8)) for digest in "ab" for at in (0, 1)}) == 4


def test_rows_stand_where_their_ids_do() -> None:
    prompt = assemble([[1, 2], ("digest", (Piece((7,)), rows(3), Piece((8,)))), [3]])

    assert [token if token >= 0 else -1 for token in prompt.tokens] == [1, 2, 7, -1, -1, -1, 8, 3]
    [picture] = prompt.pictures
    assert (picture.start, picture.end) == (3, 6)


def test_a_part_of_a_picture_has_the_rows_of_its_positions() -> None:
    picture = Picture(10, np.arange(8, dtype=np.float32).reshape(4, 2))

    part = picture.part(11, 13)

    assert (part.start, part.end) == (11, 13)
    assert part.rows.tolist() == [[2, 3], [4, 5]]


def test_memory_forgets_what_was_used_longest_ago() -> None:
    memory = Memory(max_bytes=100)  # two of 48 bytes each
    memory.put("a", (rows(3),))
    memory.put("b", (rows(3),))
    assert memory.get("a")

    memory.put("c", (rows(3),))

    assert [name for name in "abc" if memory.get(name)] == ["a", "c"]


def test_a_prompt_gets_its_images_and_an_image_is_encoded_once(watched: Watched) -> None:
    first = watched.prompt("a[img-0]b[img-1]c[img-0]", "cat", "dog")
    again = watched.prompt("[img-0]", "dog")

    assert [len(picture.rows) for picture in first.pictures] == [3, 3, 3]
    assert first.tokens[:3] == [1, ord("a"), 7]
    assert watched.projector.encoded == ["cat", "dog"]
    assert again.tokens[2:5] == first.tokens[9:12]
    assert watched.projector.num_open == 0


def test_a_prompt_that_does_not_fit_is_not_encoded(watched: Watched) -> None:
    prompt = watched.prompt("[img-0][img-1]", "cat", "dog", num_ctx=11)

    assert len(prompt.tokens) == 11
    assert (prompt.pictures, watched.projector.encoded, watched.projector.num_open) == ((), [], 0)


def test_trouble_with_one_image_is_told_and_the_next_request_served(watched: Watched) -> None:
    for request_id, image in enumerate(("bad", "broken", "cat")):
        watched.put(request_id, "[img-0]", image)

    faults = [watched.next() for _ in range(3)]

    assert [type(result) for _, result in faults] == [InvalidInput, ZeroDivisionError, Prompt]
    assert [request_id for request_id, _ in faults] == [0, 1, 2]


def test_requests_that_are_cancelled_before_and_during_their_encoding_go_nowhere(watched: Watched) -> None:
    watched.projector.may_go.clear()
    watched.put(1, "[img-0]", "cat")
    watched.put(2, "[img-0]", "dog")
    watched.put(3, "[img-0]", "cow")
    assert watched.projector.is_at_work.wait(DEADLINE_SECONDS)

    assert watched.sight.cancel(1)
    assert watched.sight.cancel(2)
    watched.projector.may_go.set()

    assert [watched.next()[0:2] for _ in range(2)] == [(1, None), (2, None)]
    assert watched.next()[0] == 3
    assert watched.projector.encoded == ["cat", "cow"]
    assert not watched.sight.cancel(3)


def test_a_text_is_answered_while_an_image_is_encoded(tmp_path: Path) -> None:
    load = Load("echo", str(echo_file(tmp_path)), 100, 100, 4)
    model = echo.load(load, lambda _: None)
    projector = model.projector = Projector()
    projector.may_go.clear()
    told: queue.SimpleQueue[Event] = queue.SimpleQueue()

    def put_all(events: list[Event]) -> None:
        for event in events:
            told.put(event)

    session = Generation(load, model, put_all)
    loop = threading.Thread(target=session.run)
    loop.start()

    def end() -> Finished:
        while not isinstance(event := told.get(timeout=DEADLINE_SECONDS), Finished):
            pass
        return event

    session.take(Generate(1, "[img-0]", Options(), 100, images=("cat",)))
    assert projector.is_at_work.wait(DEADLINE_SECONDS)
    session.take(Generate(2, "text", Options(), 100))
    assert (end().id, projector.encoded) == (2, [])
    session.cancel(Cancel(1))
    projector.may_go.set()
    last = end()
    session.close()
    loop.join(DEADLINE_SECONDS)

    assert (last.id, last.reason) == (1, "cancel")
