"""Prompts that were computed once are not computed again: not by the next request, not after a restart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fakes.daemon_process import DaemonProcess

Start = Callable[..., DaemonProcess]
LONG = "Once upon a time. " * 20
"""360 tokens of echo: 22 blocks of 16, and a rest."""


def with_echo(start: Start, **env: str) -> DaemonProcess:
    daemon = start(**env)
    assert daemon.post("/api/pull", model="echo") == {"status": "success"}
    return daemon


def ask(daemon: DaemonProcess) -> Any:
    answer = daemon.post("/api/generate", model="echo", prompt=LONG, raw=True, options={"num_predict": 9})
    assert answer["response"] == LONG[:9]
    return answer


def test_the_second_request_finds_the_prompt_of_the_first(start: Start) -> None:
    daemon = with_echo(start)

    first, second = ask(daemon), ask(daemon)

    assert "prompt_cached_count" not in first
    assert second["prompt_cached_count"] == second["prompt_eval_count"] - 1


def test_a_prompt_is_known_after_a_restart(start: Start) -> None:
    daemon = with_echo(start)
    ask(daemon)
    daemon.stop()

    assert ask(start())["prompt_cached_count"] == 352


def test_a_prompt_is_known_after_the_model_was_unloaded(start: Start) -> None:
    daemon = with_echo(start)
    ask(daemon)
    daemon.post("/api/generate", model="echo", keep_alive=0)

    assert ask(daemon)["prompt_cached_count"] == 352


def test_without_a_budget_nothing_is_kept(start: Start, tmp_path: Path) -> None:
    daemon = with_echo(start, OLLAMAPY_SNAPSHOT_BYTES="0")
    ask(daemon)
    daemon.stop()

    assert not list(tmp_path.rglob("*.kv"))
    assert "prompt_cached_count" not in ask(start())


def test_a_folder_that_cannot_be_written_fails_no_request(start: Start, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "cache").write_bytes(b"a file where a folder should be")
    daemon = with_echo(start)

    ask(daemon)

    assert daemon.stop() == 0


def test_a_model_that_was_warmed_knows_its_system_text(start: Start) -> None:
    daemon = with_echo(start)
    made = daemon.post("/api/create", model="teller", **{"from": "echo"}, system=LONG, warm=True)
    assert made == {"status": "success"}

    answer = daemon.post(
        "/api/chat",
        model="teller",
        messages=[{"role": "user", "content": "What is the time?"}],
        options={"num_predict": 3},
    )

    assert answer["prompt_cached_count"] >= len(LONG)


def test_a_model_without_a_system_text_has_nothing_to_warm(start: Start) -> None:
    daemon = with_echo(start)

    assert daemon.post("/api/create", model="bare", **{"from": "echo"}, warm=True) == {"status": "success"}
    assert daemon.loaded() == []
