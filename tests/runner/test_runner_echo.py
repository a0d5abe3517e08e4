"""The echo engine: what it says is decided by the tokens in a slot alone."""

from contextlib import suppress
from pathlib import Path

import pytest
from fakes.gguf_files import LYING, gguf
from hypothesis import given
from hypothesis import strategies as st

from ollamapy.errors import InvalidInput, LoadFailed
from ollamapy.runner.echo import END_OF_ANSWER, END_OF_PROMPT, EchoModel, load
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate, Load


def request(path: Path | str, pool_tokens: int = 64) -> Load:
    return Load("echo", str(path), 64, pool_tokens, 4)


def model(pool_tokens: int = 64) -> EchoModel:
    return EchoModel(request(__file__, pool_tokens), {}, "")


def asked(grammar: str = "") -> Generate:
    return Generate(1, "", Options(), 64, grammar=grammar)


def next_tokens(echo: EchoModel, *chunks: Chunk) -> list[int]:
    """The tokens that follow the chunks that want one."""
    assert echo.decode(chunks) is Decoded.OK
    sampler = echo.sampler(asked(), 64, [])
    return [sampler.sample(row) for row in range(sum(chunk.wants_output for chunk in chunks))]


def test_the_answer_is_the_prompt_and_then_the_end() -> None:
    echo = model()
    said = next_tokens(echo, Chunk(0, 0, echo.tokenize("hi", True), True))

    for start in (3, 4):
        said += next_tokens(echo, Chunk(0, start, said[-1:], True))

    assert said == [ord("h"), ord("i"), END_OF_ANSWER]
    assert echo.is_end(END_OF_ANSWER)


def test_the_echo_model_refuses_a_grammar() -> None:
    with pytest.raises(InvalidInput, match="cannot follow a grammar"):
        model().sampler(asked('root ::= "a"'), 64, [])


def test_slots_know_nothing_of_each_other() -> None:
    echo = model()

    assert next_tokens(
        echo, Chunk(0, 0, echo.tokenize("a", True), True), Chunk(3, 0, echo.tokenize("b", True), True)
    ) == [ord("a"), ord("b")]


def test_a_prompt_in_chunks_is_one_prompt() -> None:
    echo = model()
    tokens = echo.tokenize("hello", True)
    assert next_tokens(echo, Chunk(0, 0, tokens[:4], False)) == []

    assert next_tokens(echo, Chunk(0, 4, tokens[4:], True)) == [ord("h")]


def test_a_prompt_without_its_mark_has_no_answer() -> None:
    echo = model()

    assert next_tokens(echo, Chunk(0, 0, echo.tokenize("hi", False), True)) == [END_OF_ANSWER]


def test_a_full_pool_takes_nothing_of_the_batch() -> None:
    echo = model(pool_tokens=5)
    next_tokens(echo, Chunk(0, 0, [1, 2, 3], True))

    assert echo.decode([Chunk(1, 0, [1, 2, 3], True)]) is Decoded.NO_ROOM
    assert echo.decode([Chunk(0, 3, [4, 5], True)]) is Decoded.OK


def test_positions_must_follow_each_other() -> None:
    """A loop that loses count is told so at once."""
    with pytest.raises(AssertionError, match="positions"):
        model().decode([Chunk(0, 1, [1], True)])


def test_removed_positions_are_free_and_forgotten() -> None:
    echo = model(pool_tokens=7)
    tokens = echo.tokenize("abcdef", True)
    next_tokens(echo, Chunk(0, 0, tokens, True))

    assert echo.remove(0, 1, 5)
    echo.move(0, 5, 7, -4)
    assert next_tokens(echo, Chunk(0, 3, [ord("a")], True)) == [ord("f")]


@given(st.text(), st.booleans())
def test_text_comes_back_from_its_tokens(text: str, add_special: bool) -> None:
    echo = model()

    assert echo.detokenize(echo.tokenize(text, add_special)) == text


@given(st.lists(st.integers(-(2**31), 2**31 - 1)))
def test_any_token_ids_have_a_text(tokens: list[int]) -> None:
    """A client may send back a `context` that was never ours."""
    assert isinstance(model().detokenize(tokens), str)


def test_the_marks_add_nothing_to_an_answer() -> None:
    assert model().piece(END_OF_PROMPT) == model().piece(END_OF_ANSWER) == b""


def test_the_file_sets_the_context_length(tmp_path: Path) -> None:
    file = tmp_path / "echo.gguf"
    file.write_bytes(gguf({"general.architecture": "echo", "echo.context_length": 77}))
    progress: list[float] = []

    info = load(request(file), progress.append).info

    assert (info.num_ctx_train, info.pool_tokens, info.num_parallel) == (77, 64, 4)
    assert info.size_bytes == file.stat().st_size
    assert progress == [0.5, 1.0]


@pytest.mark.parametrize("name", ["an empty file", "only the magic number", "another format", "the older magic number"])
def test_a_file_that_is_no_model_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(LYING[name])

    with pytest.raises(LoadFailed, match=r"bad\.gguf is not an echo model"):
        load(request(file), lambda fraction: None)


@pytest.mark.parametrize("name", sorted(LYING))
def test_a_lying_header_ends_in_a_refusal_or_a_model_and_nothing_else(name: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.gguf"
    file.write_bytes(LYING[name])

    with suppress(LoadFailed):
        load(request(file), lambda fraction: None)


def test_a_model_that_is_told_not_to_load_does_not(tmp_path: Path) -> None:
    file = tmp_path / "echo.gguf"
    file.write_bytes(gguf({"general.architecture": "echo", "echo.fault": "load-error"}))

    with pytest.raises(LoadFailed, match="told not to load"):
        load(request(file), lambda fraction: None)
