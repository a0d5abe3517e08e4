"""Whatever happened before, answers are those of an empty cache: shared, evicted, restored, cancelled, restarted."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from fakes.echo_loop import WatchedEcho, cancel, serve, submission
from fakes.runner_process import environment
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ollamapy.runner.loop import Message
from ollamapy.runner.snapshots import Snapshots
from ollamapy.runner.tiers import HostMemory, Tiers
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Generate

HISTORIES = Path(__file__).parents[1] / "fakes" / "llama_histories.py"
"""A path, not an import: these tests are also collected where llama.cpp is not installed."""
PLENTY = 1 << 20
PROMPTS = st.builds(
    lambda word, count, end: word * count + end,
    st.sampled_from(["abc", "abd"]),
    st.integers(1, 45),
    st.text("xy", max_size=3),
)
ASKED = st.tuples(PROMPTS, st.sampled_from(["", "key"]), st.integers(0, 30), st.none() | st.integers(0, 30))
"""Prompt, scope, the step before which it comes, and the one before which its client leaves."""


@settings(max_examples=60, deadline=None)
@given(
    rounds=st.lists(st.lists(ASKED, min_size=1, max_size=6), min_size=1, max_size=3),
    pool_tokens=st.integers(300, 500),
    num_parallel=st.integers(1, 4),
    host_bytes=st.sampled_from([0, 2000, PLENTY]),
    can_cut=st.booleans(),
)
def test_no_history_changes_an_answer_of_echo(
    rounds: list[list[tuple[str, str, int, int | None]]],
    pool_tokens: int,
    num_parallel: int,
    host_bytes: int,
    can_cut: bool,
) -> None:
    """Each round is a runner of its own on the files of the one before."""
    with tempfile.TemporaryDirectory() as folder:
        for asked in rounds:
            model = WatchedEcho(pool_tokens=pool_tokens, num_parallel=num_parallel, max_batch=64, can_cut=can_cut)
            tiers = Tiers(model, HostMemory(host_bytes), Snapshots(Path(folder), "echo", PLENTY))
            later: dict[int, list[Message]] = {}
            for number, (prompt, scope, at, leaves) in enumerate(asked):
                request = Generate(number, prompt, Options(), 1000, scope=scope)
                later.setdefault(at, []).append(submission(model, request))
                if leaves is not None:
                    later.setdefault(at + leaves, []).extend(cancel(number))

            clock = Generate(99, "z" * 70, Options(draft_num_predict=0), 1000)
            served = serve(model, [clock], later=later, tiers=tiers)

            event(f"preempted {min(served.num_preempted, 3)}")
            for number, (prompt, *_) in enumerate(asked):
                answer = served[number]
                assert prompt.startswith(answer.text)
                assert answer.text == prompt or answer.finished.reason == "cancel"


@pytest.mark.weights
def test_no_history_changes_the_logits_of_real_weights(starter_gguf: Path) -> None:
    """Where the cells lie changes roundings, so answers are near: nearer than one wrong block is."""
    done = subprocess.run(
        [sys.executable, HISTORIES, str(starter_gguf)], capture_output=True, text=True, env=environment(), timeout=600
    )

    assert done.returncode == 0, done.stderr[-4000:]
    report = json.loads(done.stdout)
    assert report["worst"] < report["mistake"], "each of them was nearer than that"
    assert min(report[what] for what in ("preempted", "cached", "cancel", "length")) > 0, "nothing was tested"
