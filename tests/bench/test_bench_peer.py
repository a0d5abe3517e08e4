"""Which settings of llama-server are tried, and what its name on the command line means."""

import asyncio
from pathlib import Path

import pytest

from ollamapy.bench import peer
from ollamapy.bench.llama_server import Start
from ollamapy.bench.peer import LlamaServer, Setting, settings
from ollamapy.errors import Error, InvalidInput


@pytest.mark.parametrize(
    ("clients", "slots"), [(1, [0, 1]), (4, [0, 1, 2, 4]), (6, [0, 1, 2, 4, 6]), (16, [0, 1, 2, 4, 8, 16])]
)
def test_powers_of_two_up_to_a_slot_for_each_client_are_tried_and_the_default(clients: int, slots: list[int]) -> None:
    assert [setting.num_slots for setting in settings(clients)] == slots


def test_each_slot_holds_a_whole_chat() -> None:
    start = Setting(4).start("m.gguf", 500)

    assert (start.num_slots, start.num_ctx, start.is_unified) == (4, 2000, False)


def test_the_default_shares_one_pool_among_four_slots() -> None:
    start = Setting(0).start("m.gguf", 500)

    assert (start.num_slots, start.num_ctx, start.is_unified) == (4, 8192, True)
    assert Setting(0).label == "llama-server default"


def test_the_number_of_slots_may_be_given() -> None:
    assert peer.parse("llama-server", "m.gguf") == LlamaServer("m.gguf")
    assert peer.parse("llama-server:8", "m.gguf") == LlamaServer("m.gguf", 8)
    assert peer.parse("http://127.0.0.1:8080", "m.gguf") is None


@pytest.mark.parametrize("slots", ["0", "257", "x", "-1"])
def test_other_numbers_of_slots_are_refused(slots: str) -> None:
    with pytest.raises(InvalidInput, match="wants 1 to 256 slots"):
        peer.parse(f"llama-server:{slots}", "m.gguf")


def test_a_file_that_llama_server_cannot_load_is_an_error_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"no model")

    async def serve() -> None:
        async with peer.serving(Start(str(tmp_path / "m.gguf"), 1, 512, 1)):
            pass

    with pytest.raises(Error, match="llama-server did not start"):
        asyncio.run(serve())
