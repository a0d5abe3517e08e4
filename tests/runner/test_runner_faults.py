"""A crowd that leaves, a disk that is full, a kill in the middle of a snapshot: on the real runner and real weights."""

import os
import resource
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes.answers import Answer
from fakes.daemon_process import wait_until
from fakes.runner_process import RunnerProcess

from ollamapy.runner.tiers import BLOCK_TOKENS
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Generate, Load

pytestmark = pytest.mark.weights

POOL_TOKENS = 512
LONG = "The cat sat on the mat and looked at the dog. " * 30
"""360 tokens: five blocks."""
IDS = count(1)


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        yield process


def load_request(path: Path, folder: Path | None = None, **fields: Any) -> Load:
    kept: dict[str, Any] = (
        {"snapshot_folder": str(folder), "snapshot_key": "starter", "snapshot_bytes": 1 << 30} if folder else {}
    )
    return Load("llama", str(path), POOL_TOKENS, POOL_TOKENS, 8, num_thread=1, **kept, **fields)


def request(prompt: str, num_predict: int = 1, **fields: Any) -> Generate:
    options = Options(temperature=0, num_predict=num_predict)
    return Generate(next(IDS), prompt, options, POOL_TOKENS, **fields)


def answer(runner: RunnerProcess, prompt: str = LONG) -> Answer:
    return runner.generate(request(prompt, num_top_logprobs=0))[0]


def files(folder: Path, kind: str) -> list[Path]:
    return list(folder.glob(f"*/*.{kind}*"))


def test_a_thousand_that_leave_when_they_like_leave_every_cell_free(runner: RunnerProcess, starter_gguf: Path) -> None:
    """In the queue, in their prompt, in their answer. The runner ends when its books do not balance."""
    runner.load(load_request(starter_gguf))
    random = Random(5)
    asked = [request(f"{n % 7} is my number. " * random.randint(1, 10), num_predict=30) for n in range(1000)]
    staying = [one.id for one in asked]
    runner.send(*asked)
    while staying:
        runner.keep_next()
        leaving = [staying.pop(random.randrange(len(staying))) for _ in range(min(16, len(staying)))]
        runner.send(*map(Cancel, leaving))

    ends = [runner.answer(one.id).finished for one in asked]
    whole = runner.generate(request("word " * (POOL_TOKENS - 12)))[0].finished

    assert "cancel" in {end.reason for end in ends}
    assert any(end.num_output for end in ends), "nobody got as far as an answer"
    assert any(not end.num_output for end in ends), "nobody left before the answer"
    assert whole.num_prompt > POOL_TOKENS - 15, "the whole pool is there for one"
    assert runner.close() == 0, runner.stderr
    assert "no room" not in runner.stderr


@pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="limits of another process are Linux's")
def test_a_disk_that_is_full_in_the_middle_of_a_file_fails_nobody(
    runner: RunnerProcess, starter_gguf: Path, tmp_path: Path
) -> None:
    """Files may grow to 100 kB; a block of this model has a megabyte and a half."""
    runner.load(load_request(starter_gguf, tmp_path))
    resource.prlimit(runner.pid, resource.RLIMIT_FSIZE, (100_000, 100_000))

    first = answer(runner)
    wait_until(lambda: "snapshots not saved" in runner.stderr, "the first try to save")
    second = answer(runner)

    assert first.finished.num_output == second.finished.num_output == 1
    assert runner.close() == 0, runner.stderr
    assert runner.stderr.count("snapshots not saved") == 1
    assert [*files(tmp_path, "kv"), *files(tmp_path, "part")] == []


def test_snapshots_of_another_type_of_cache_are_not_used(starter_gguf: Path, tmp_path: Path) -> None:
    cached = []
    for kv_type in ("f16", "q8_0", "f16"):
        with RunnerProcess() as runner:
            runner.load(load_request(starter_gguf, tmp_path, kv_type=kv_type))
            cached.append(answer(runner, LONG[:460]).finished.num_prompt_cached)
            assert runner.close() == 0, runner.stderr

    assert cached[:2] == [0, 0]
    assert cached[2] >= 64


def test_a_runner_that_is_killed_while_it_saves_leaves_nothing_half_that_is_used(
    starter_gguf: Path, tmp_path: Path
) -> None:
    load = load_request(starter_gguf, tmp_path)
    with RunnerProcess() as first:
        first.load(load)
        expected = answer(first)
        wait_until(lambda: files(tmp_path, "part") + files(tmp_path, "kv") != [], "the first bytes")
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    (folder,) = tmp_path.iterdir()
    (folder / f"{'ab' * 36}.part1").write_bytes(b"OLPYKV1\n")
    num_whole = len(files(tmp_path, "kv"))
    for path in files(tmp_path, "part"):
        os.utime(path, (0, 0))  # long ago

    with RunnerProcess() as second:
        second.load(load)
        again = answer(second)
        assert second.close() == 0, second.stderr

    assert again.finished.num_prompt_cached == BLOCK_TOKENS * num_whole
    assert again.logprobs[0].logprob == pytest.approx(expected.logprobs[0].logprob, abs=1.0)
    assert files(tmp_path, "part") == []
    assert "snapshot removed" not in second.stderr
