"""The runner as the daemon sees it: a child process, its pipes and its exit status."""

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from fakes import noisy_runner
from fakes.daemon_process import wait_until
from fakes.runner_process import DEADLINE_SECONDS, PROGRAM, RunnerProcess, echo_file, environment

from ollamapy.runner.tiers import BLOCK_TOKENS
from ollamapy.wire.options import Options
from ollamapy.wire.runner import (
    Cancel,
    Detokenize,
    Finished,
    Generate,
    Load,
    LoadError,
    Loading,
    Output,
    Ready,
    Refusal,
    Stats,
    Text,
    Tokenize,
    Tokens,
    decode_request,
    encode,
)

END_OF_PROMPT = 256


@pytest.fixture
def runner() -> Iterator[RunnerProcess]:
    with RunnerProcess() as process:
        yield process


@pytest.fixture
def noisy() -> Iterator[RunnerProcess]:
    with RunnerProcess([sys.executable, noisy_runner.__file__]) as process:
        yield process


def load_request(
    path: Path, *, num_ctx: int = 4096, pool_tokens: int = 8192, num_parallel: int = 8, **fields: Any
) -> Load:
    return Load("echo", str(path), num_ctx, pool_tokens, num_parallel, **fields)


def generate_request(request_id: int, prompt: str, num_predict: int = -1) -> Generate:
    return Generate(request_id, prompt, Options(num_predict=num_predict), num_ctx=4096)


def slow_request(request_id: int, prompt: str) -> Generate:
    """One token a step, so that the answer takes as long as its steps do."""
    return Generate(request_id, prompt, Options(draft_num_predict=0), num_ctx=4096)


# Load


def test_a_load_reports_progress_and_then_what_was_loaded(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.send(load_request(echo_file(tmp_path, context_length=100), num_ctx=64, pool_tokens=256))

    events = [runner.receive()]
    while isinstance(events[-1], Loading):
        events.append(runner.receive())

    size = (tmp_path / "echo.gguf").stat().st_size
    assert events[-2] == Loading(1.0)
    assert events[-1] == Ready(num_ctx=64, num_ctx_train=100, pool_tokens=256, size_bytes=size, vram_bytes=0)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"GGUF" + os.urandom(4000), "echo.gguf is not an echo model"),
        (bytes(4000), "echo.gguf is not an echo model"),
        (None, "FileNotFoundError"),
    ],
    ids=["noise", "zeros", "nothing"],
)
def test_a_bad_file_is_a_load_error(content: bytes | None, message: str, runner: RunnerProcess, tmp_path: Path) -> None:
    path = tmp_path / "echo.gguf"
    if content is not None:
        path.write_bytes(content)

    assert message in runner.load_error(load_request(path))
    assert runner.wait() == 1


def test_a_load_that_fails_says_why(runner: RunnerProcess, tmp_path: Path) -> None:
    assert runner.load_error(load_request(echo_file(tmp_path, fault="load-error"))) == (
        "the echo model was told not to load"
    )
    assert runner.wait() == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"load the model, please", "the runner does not understand the message"),
        (b'{"type":"Load","engine":"gpt"}', "does not understand the message: Invalid enum value 'gpt'"),
        (b'{"type":"Cancel","id":1}', "the first message must be a Load: found a Cancel"),
    ],
)
def test_a_runner_that_is_not_told_what_to_load_says_so(runner: RunnerProcess, line: bytes, message: str) -> None:
    runner.send_lines(line)

    answer = runner.receive()

    assert isinstance(answer, LoadError)
    assert message in answer.message
    assert runner.wait() == 1


def test_messages_behind_the_load_wait_for_the_model(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.send(load_request(echo_file(tmp_path, load_seconds=0.2)), generate_request(1, "early"), Tokenize(2, "a"))

    while isinstance(event := runner.receive(), Loading):
        pass

    assert isinstance(event, Ready)
    events = [runner.receive()]
    while not {Tokens, Finished} <= set(map(type, events)):
        events.append(runner.receive())
    assert Tokens(2, (ord("a"), END_OF_PROMPT)) in events
    assert "".join(event.text for event in events if isinstance(event, Output)) == "early"


def test_a_second_load_is_passed_over(runner: RunnerProcess, tmp_path: Path) -> None:
    request = load_request(echo_file(tmp_path))
    runner.load(request)
    runner.send(request)

    assert runner.generate(generate_request(1, "still here"))[0].text == "still here"


# Requests


def test_many_requests_at_once_get_their_own_answers(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path), pool_tokens=1024))
    prompts = [f"request number {n} " * (n % 5 + 1) for n in range(40)]

    answers = runner.generate(*(generate_request(n, prompt) for n, prompt in enumerate(prompts)))

    assert [answer.text for answer in answers] == prompts
    assert [answer.finished.num_output for answer in answers] == [len(prompt) + 1 for prompt in prompts]


def test_the_text_of_the_context_goes_before_the_prompt(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path)))

    answer = runner.generate(Generate(1, "def", Options(), 4096, context=tuple(b"abc")))[0]

    assert answer.text == "abcdef"


def test_text_and_tokens_are_exchanged_while_an_answer_streams(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, step_seconds=0.1)))
    runner.send(slow_request(1, "x" * 4000))
    assert isinstance(runner.receive(), Output)

    runner.send(Tokenize(2, "hé", add_special=False), Detokenize(3, (104, 195, 169, 256, 9999, -1)))
    events = [runner.receive()]
    while not isinstance(events[-1], Text):
        events.append(runner.receive())

    assert [event for event in events if not isinstance(event, Output | Stats)] == [
        Tokens(2, (104, 195, 169)),
        Text(3, "hé"),
    ]


def test_a_cancel_ends_a_long_prompt_within_a_step(runner: RunnerProcess, tmp_path: Path) -> None:
    """3,000 tokens at 100 ms each: without the cancel the answer begins after five minutes."""
    runner.load(load_request(echo_file(tmp_path, token_seconds=0.1)))
    runner.send(generate_request(1, "x" * 3000), Tokenize(2, "a"))
    assert isinstance(runner.receive(), Tokens), "the prompt is under way"

    runner.send(Cancel(1))

    end = runner.answer(1).finished
    assert (end.reason, end.num_output) == ("cancel", 0)


def test_a_cancel_ends_the_step_of_a_prompt_that_is_alone(runner: RunnerProcess, tmp_path: Path) -> None:
    """A step takes ten minutes, and nobody waits that long."""
    runner.load(load_request(echo_file(tmp_path, step_seconds=600)))
    runner.send(generate_request(1, "x" * 3000), Tokenize(2, "a"))
    assert isinstance(runner.receive(), Tokens), "the prompt is under way"

    runner.send(Cancel(1))

    assert runner.answer(1).finished.reason == "cancel"


def test_closing_stdin_ends_the_step_that_runs(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, step_seconds=600)))
    runner.send(generate_request(1, "one"), generate_request(2, "two"), Tokenize(3, "a"))
    assert isinstance(runner.receive(), Tokens), "they are under way"

    assert runner.close() == 0


def test_a_cancelled_request_makes_room_for_the_next(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, step_seconds=0.05), num_parallel=1))
    runner.send(slow_request(1, "x" * 4000), generate_request(2, "next"))
    while not runner.answers[1].outputs:
        runner.keep_next()

    runner.send(Cancel(1))

    assert runner.answer(2).text == "next"
    assert runner.answers[1].finished.reason == "cancel"


def test_a_long_prompt_outlives_a_runner_that_is_killed(tmp_path: Path) -> None:
    """It is saved in the first idle moment, and not only at the end: as much as a quarter of a second allows."""
    folder = tmp_path / "snapshots"
    snapshots = {"snapshot_folder": str(folder), "snapshot_key": "echo", "snapshot_bytes": 1 << 24}
    load = load_request(echo_file(tmp_path), **snapshots)
    with RunnerProcess() as first:
        first.load(load)
        first.generate(generate_request(1, "x" * 399, num_predict=1))
        wait_until(lambda: any(folder.rglob("*.kv")), "the prompt is saved")
        os.kill(first.pid, signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
    num_saved = len(list(folder.rglob("*.kv")))

    with RunnerProcess() as second:
        second.load(load)
        (answer,) = second.generate(generate_request(1, "x" * 399, num_predict=1))

    num_useful = min(num_saved, 399 // BLOCK_TOKENS)  # the last token is always computed
    assert answer.finished.num_prompt_cached == BLOCK_TOKENS * num_useful


def test_control_tokens_are_written_out_on_request(noisy: RunnerProcess, tmp_path: Path) -> None:
    """Marks of tool calls and of thinking are control tokens in many models."""
    noisy.load(load_request(echo_file(tmp_path)))
    prompt = "a<tool>b"

    plain, marked, other = noisy.generate(
        Generate(1, prompt, Options(), 4096),
        Generate(2, prompt, Options(), 4096, special_texts=("<tool>",)),
        Generate(3, prompt, Options(), 4096, special_texts=("<think>", "")),
    )

    assert [plain.text, marked.text, other.text] == ["ab", "a<tool>b", "ab"]


BAD_LINES = [
    b"this is not JSON",
    b"",
    b"{}",
    b"null",
    b"[" * 100_000,
    b'{"type":"Cancel","id":1,"x":' + b"[" * 100_000,
    b'{"type":"Cancel"}',
    b'{"type":"Cancel","id":"one"}',
    b'{"type":"Dance","steps":2}',
    b'{"type":"Tokenize","id":-7,"text":5}',
    b'{"type":"Tokenize","id":"\xff"}',
    b'{"type":"Tokenize","id":1',
]


def test_lines_that_are_no_messages_are_logged_and_passed_over(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path)))

    runner.send_lines(*BAD_LINES)

    assert runner.generate(generate_request(1, "still here"))[0].text == "still here"
    assert runner.close() == 0
    assert runner.stderr.count("ERROR bad message id=-") == len(BAD_LINES)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"Dance","id":5}',
        b'{"id":5}',
        b'{"type":"Generate","id":5,"prompt":"hello"}',
        b'{"type":"Generate","id":5,"prompt":"hello","options":{"top_k":"many"},"num_ctx":64}',
        b'{"type":"Tokenize","id":5,"text":null}',
        b'{"type":"Detokenize","id":5,"tokens":["a"]}',
    ],
)
def test_a_request_that_is_wrong_gets_an_answer(line: bytes) -> None:
    """Somebody waits for it."""
    answer = decode_request(line)

    assert isinstance(answer, Refusal)
    assert (answer.id, answer.code) == (5, "invalid")


def test_a_wrong_request_is_answered_and_the_next_one_served(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path)))
    runner.send_lines(b'{"type":"Generate","id":5,"prompt":"hello"}')

    assert runner.answer(5).refusal.message.endswith("missing required field `options`")
    assert runner.generate(generate_request(6, "still here"))[0].text == "still here"


def test_text_that_the_engine_cannot_take_fails_alone(noisy: RunnerProcess, tmp_path: Path) -> None:
    noisy.load(load_request(echo_file(tmp_path)))
    noisy.send(Tokenize(1, "???"), generate_request(2, "???"))

    for request_id in (1, 2):
        refusal = noisy.answer(request_id).refusal
        assert (refusal.code, refusal.message) == ("internal", "RuntimeError: no tokens for ???")
    assert noisy.generate(generate_request(3, "still here"))[0].text == "still here"


# The end


def test_closing_stdin_ends_an_idle_runner(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path)))

    assert runner.close() == 0
    assert runner.stderr == ""


def test_closing_stdin_before_the_load_ends_the_runner(runner: RunnerProcess) -> None:
    assert runner.close() == 0


def test_closing_stdin_ends_a_runner_that_loads(runner: RunnerProcess, tmp_path: Path) -> None:
    """A daemon that is killed leaves no orphan, however large the model."""
    runner.send(load_request(echo_file(tmp_path, load_seconds=10 * DEADLINE_SECONDS)))
    assert isinstance(runner.receive(), Loading)

    assert runner.close() == 0


def test_closing_stdin_ends_a_runner_that_generates(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, step_seconds=0.05)))
    runner.send(slow_request(1, "x" * 4000))
    assert isinstance(runner.receive(), Output)

    assert runner.close() == 0


def test_a_runner_that_nobody_listens_to_ends_although_stdin_is_open(tmp_path: Path) -> None:
    with subprocess.Popen(
        PROGRAM,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(encode(load_request(echo_file(tmp_path))) + b"\n")
        process.stdin.flush()
        while b'"Ready"' not in process.stdout.readline():
            pass

        process.stdout.close()
        process.stdin.write(encode(Tokenize(1, "a")) + b"\n")
        process.stdin.flush()

        process.wait(DEADLINE_SECONDS)


@pytest.mark.parametrize(("fault", "status"), [("load-exit", 3), ("load-abort", -signal.SIGABRT)])
def test_a_crash_in_a_load_ends_the_process(fault: str, status: int, runner: RunnerProcess, tmp_path: Path) -> None:
    runner.send(load_request(echo_file(tmp_path, fault=fault)))

    while (event := runner.receive()) is not None:
        assert isinstance(event, Loading)

    assert runner.wait() == status


@pytest.mark.parametrize(
    ("fault", "status"), [("prefill-segv", -signal.SIGSEGV), ("prefill-exit", 3), ("decode-kill", -signal.SIGKILL)]
)
def test_a_crash_in_a_step_ends_the_process(fault: str, status: int, runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, fault=fault)))
    runner.send(generate_request(1, "hello"))

    while (event := runner.receive()) is not None:
        assert not isinstance(event, Finished | Refusal)

    assert runner.wait() == status


def test_a_crash_in_decoding_comes_after_the_first_token(runner: RunnerProcess, tmp_path: Path) -> None:
    runner.load(load_request(echo_file(tmp_path, fault="decode-exit")))
    runner.send(generate_request(1, "hello"))

    assert runner.receive() == Output(1, "h", 1)
    assert runner.wait() == 3


def test_a_step_that_fails_ends_the_process_with_its_last_words(noisy: RunnerProcess, tmp_path: Path) -> None:
    """And not with the interpreter's own abort, because another thread still reads stdin."""
    noisy.load(load_request(echo_file(tmp_path)))
    noisy.send(generate_request(1, "a!"))

    assert noisy.wait() == 1
    assert noisy.stderr.rstrip().endswith("RuntimeError: llama_decode failed with code -3")


def test_prints_of_native_code_do_not_break_the_protocol(noisy: RunnerProcess, tmp_path: Path) -> None:
    noisy.load(load_request(echo_file(tmp_path)))

    assert noisy.generate(generate_request(1, "quiet"))[0].text == "quiet"
    assert noisy.close() == 0
    for noise in ("native noise in load", "Python noise in load", "native noise in decode"):
        assert noise in noisy.stderr


def test_a_storm_of_cancels_leaves_a_runner_that_is_free(runner: RunnerProcess, tmp_path: Path) -> None:
    """A thousand clients of which most leave: in the queue, in their prompt, in their answer. Then one needs all cells.

    Every batch of clients waits for a step, and a step takes so long that few come to their end, even in a minute.
    """
    runner.load(load_request(echo_file(tmp_path, step_seconds=0.05), num_parallel=16, pool_tokens=4096))
    random = Random(5)
    for first in range(0, 1000, 50):
        runner.send(*(generate_request(n, f"{n} " * random.randrange(1, 60)) for n in range(first, first + 50)))
        runner.send(*(Cancel(random.randrange(first + 50)) for _ in range(60)))
        runner.keep_next()
    runner.send(*(Cancel(n) for n in range(1000)))

    reasons = Counter(runner.answer(n).finished.reason for n in range(1000))
    last = runner.generate(generate_request(1000, "w" * 4090, num_predict=1))[0]

    assert set(reasons) <= {"cancel", "stop", "length"}
    assert reasons["cancel"] > 500
    assert (last.text, last.finished.num_prompt) == ("w", 4091)
    assert runner.close() == 0, runner.stderr


def test_sixty_four_clients_at_once_are_all_answered(runner: RunnerProcess, tmp_path: Path) -> None:
    """In a pool that holds a few of them."""
    runner.load(load_request(echo_file(tmp_path), num_ctx=512, pool_tokens=1024, num_parallel=8))
    prompts = [f"client {n} says " * 12 for n in range(64)]

    answers = runner.generate(*(generate_request(n, prompt) for n, prompt in enumerate(prompts)))

    assert [answer.text for answer in answers] == prompts
