"""The decode loop on the echo model: however requests are mixed, each gets the answer that it gets alone."""

import queue
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
import pytest
from fakes.echo_loop import (
    SAMPLE_FAILS,
    SAMPLE_REFUSES,
    START_FAILS,
    START_REFUSES,
    WatchedEcho,
    cancel,
    expected_echo,
    serve,
    submission,
)
from hypothesis import event, given, settings
from hypothesis import strategies as st

from ollamapy.runner.loop import Closed, Loop, Message
from ollamapy.runner.model import Chunk, Decoded
from ollamapy.runner.sequence import cut_prompt
from ollamapy.wire.options import Options
from ollamapy.wire.runner import Event, Finished, Generate, Output, Refusal

NUM_CTX = 128
PROMPTS = st.text("ab é😀\n", max_size=14) | st.integers(4, 50).map(lambda size: ("abc é" * 10)[:size])
ONE_BY_ONE = {"draft_num_predict": 0}
"""For tests that count steps."""
OPTIONS = st.builds(
    Options,
    num_predict=st.sampled_from([-1, -1, -1, -1, 0, 1, 5, 100]),
    stop=st.sampled_from([(), (), (), (), ("b",), ("é", "c é"), (" a", "b\n", "😀")]),
    num_keep=st.integers(-1, 8),
    draft_num_predict=st.sampled_from([None, None, 0, 2]),
)


@st.composite
def mixes(draw: st.DrawFn, num_ctx: st.SearchStrategy[int]) -> list[Generate]:
    """Up to seven requests, numbered from 0."""
    one = st.builds(
        Generate,
        id=st.just(0),
        prompt=PROMPTS,
        options=OPTIONS,
        num_ctx=num_ctx,
        shift=st.booleans(),
        cut=st.booleans(),
        num_top_logprobs=st.sampled_from([-1, 0, 5]),
        max_repeats=st.sampled_from([0, 0, 0, 1, 3]),
        wants_tokens=st.just(True),
    )
    num_requests = draw(st.integers(1, 7))
    drawn = draw(st.lists(one, min_size=num_requests, max_size=num_requests))
    return [msgspec.structs.replace(request, id=index) for index, request in enumerate(drawn)]


@dataclass(frozen=True)
class Room:
    """How much a runner can do at once."""

    pool_tokens: int
    num_parallel: int
    num_kept: int
    max_batch: int
    can_cut: bool
    mixes: bool

    def model(self, num_missing: int = 0) -> WatchedEcho:
        return WatchedEcho(
            pool_tokens=self.pool_tokens,
            num_parallel=self.num_parallel,
            num_kept=self.num_kept,
            max_batch=self.max_batch,
            num_missing=num_missing,
            can_cut=self.can_cut,
            mixes=self.mixes,
        )


@st.composite
def rooms(draw: st.DrawFn, pool_tokens: st.SearchStrategy[int]) -> Room:
    num_parallel = draw(st.sampled_from([1, 2, 3, 4, 6]))
    num_kept = draw(st.sampled_from([0, 1, 5]))
    max_batch = draw(st.integers(num_parallel, 24) | st.just(512))
    return Room(draw(pool_tokens), num_parallel, num_kept, max_batch, draw(st.booleans()), draw(st.booleans()))


TIGHT_ROOMS = rooms(st.integers(NUM_CTX, NUM_CTX + 40))
TINY_ROOMS = rooms(st.integers(4, 40))


def request(request_id: int, prompt: str, *, num_ctx: int = NUM_CTX, options: Any = None, **fields: Any) -> Generate:
    return Generate(request_id, prompt, Options(**(options or {})), num_ctx, **{"wants_tokens": True, **fields})


# Mixes of requests


@given(mixes(st.just(NUM_CTX)), TIGHT_ROOMS)
def test_each_answer_of_a_mix_is_the_echo_of_its_prompt(requests: list[Generate], room: Room) -> None:
    model = room.model()

    served = serve(model, requests)

    event(f"preempted {min(served.num_preempted, 3)}")
    for one in requests:
        text, reason, num_output = expected_echo(one)
        end = served[one.id].finished
        prompt = model.tokenize(one.prompt, True)
        assert (served[one.id].text, end.reason, end.num_output) == (text, reason, num_output)
        assert (end.num_prompt, end.num_prompt_dropped) == (len(prompt), 0)
        assert list(end.tokens[: len(prompt)]) == prompt


@given(mixes(st.integers(2, 40)), TINY_ROOMS)
def test_a_mix_in_a_tiny_pool_is_answered_as_one_by_one(requests: list[Generate], room: Room) -> None:
    """Context shifts, cut prompts and preemption at once: the slow way is a pool for each request alone."""
    model = room.model()

    served = serve(model, requests)

    event(f"preempted {min(served.num_preempted, 3)}")
    for one in requests:
        alone = serve(WatchedEcho(pool_tokens=room.pool_tokens, num_parallel=1, num_kept=0), [one])
        assert served[one.id].summary == alone[one.id].summary


@given(st.lists(st.text("abcdef", min_size=6, max_size=20), min_size=3, max_size=8), st.integers(44, 70))
def test_a_crowd_in_a_small_pool_gets_all_its_answers(prompts: list[str], pool_tokens: int) -> None:
    """Most of these send somebody away, and often the same one twice."""
    model = WatchedEcho(pool_tokens=pool_tokens, max_batch=16)

    served = serve(model, [request(index, prompt, num_ctx=44) for index, prompt in enumerate(prompts)])

    event(f"preempted {min(served.num_preempted, 3)}")
    assert [served[index].text for index in range(len(prompts))] == prompts


@given(mixes(st.just(NUM_CTX)), TIGHT_ROOMS, st.data())
def test_a_cancel_at_any_time_leaves_the_others_alone(
    requests: list[Generate], room: Room, data: st.DataObject
) -> None:
    victims = data.draw(st.lists(st.sampled_from(requests), unique_by=lambda one: one.id), label="victims")
    later = {data.draw(st.integers(0, 40)): cancel(victim.id) for victim in victims}

    served = serve(room.model(), requests, later=later)

    for one in requests:
        text, reason, num_output = expected_echo(one)
        end = served[one.id].finished
        if end.reason == "cancel":
            assert one in victims
            assert text.startswith(served[one.id].text)
            assert end.num_output < num_output
        else:
            assert (served[one.id].text, end.reason, end.num_output) == (text, reason, num_output)


@settings(max_examples=50)
@given(mixes(st.just(NUM_CTX)), mixes(st.just(NUM_CTX)), TIGHT_ROOMS, st.data())
def test_newcomers_at_any_time_change_no_answer(
    first: list[Generate], second: list[Generate], room: Room, data: st.DataObject
) -> None:
    newcomers = [msgspec.structs.replace(one, id=one.id + 100) for one in second]
    step = data.draw(st.integers(0, 12))
    model = room.model()
    first = [*first, request(99, "at least thirteen steps", options=ONE_BY_ONE)]

    served = serve(model, first, later={step: [submission(model, one) for one in newcomers]})

    for one in [*first, *newcomers]:
        assert (served[one.id].text, served[one.id].finished.reason) == expected_echo(one)[:2]


@given(mixes(st.integers(2, 40)), TINY_ROOMS, st.data())
def test_an_engine_with_fewer_cells_than_it_said_serves_all_that_fit(
    requests: list[Generate], room: Room, data: st.DataObject
) -> None:
    """llama.cpp may find no place where the books see one; nothing may loop, and only what is too large may fail."""
    num_missing = data.draw(st.integers(1, room.pool_tokens - 1))

    served = serve(room.model(num_missing), requests)

    for one in requests:
        alone = serve(
            WatchedEcho(pool_tokens=room.pool_tokens, num_parallel=1, num_kept=0, num_missing=num_missing), [one]
        )
        if isinstance(alone[one.id].end, Finished):
            assert served[one.id].summary == alone[one.id].summary
        else:
            assert served[one.id].end == alone[one.id].end


# One request


def test_an_answer_counts_its_tokens() -> None:
    end = serve(WatchedEcho(), [request(1, "héllo")])[1].finished

    assert (end.reason, end.num_prompt, end.num_output) == ("stop", 7, 7)
    assert min(end.prompt_seconds, end.output_seconds) >= 0


def test_the_time_in_the_queue_counts_from_the_arrival() -> None:
    end = serve(WatchedEcho(), [request(1, "a")])[1].finished

    assert end.queue_seconds > 0, "the submission says that it arrived at 0"


def test_text_streams_with_every_token() -> None:
    answer = serve(WatchedEcho(), [request(1, "aé")])[1]

    assert [(output.text, output.num_tokens) for output in answer.outputs] == [("a", 1), ("é", 3)]


@pytest.mark.parametrize("stop", [(), ("##",)])
def test_a_line_that_begins_too_far_left_ends_the_answer(stop: tuple[str, ...]) -> None:
    answer = serve(WatchedEcho(), [request(1, "ab\n  cd\ne#", options={"n_indent": 2, "stop": stop})])[1]

    assert answer.text == "ab\n  cd\n"
    assert answer.end.reason == "length"


def test_text_that_may_be_a_stop_waits() -> None:
    answer = serve(WatchedEcho(), [request(1, "ab##c", options={"stop": ("###",)})])[1]

    assert [output.text for output in answer.outputs] == ["a", "b", "##c"]


def test_text_held_back_comes_with_the_end() -> None:
    answer = serve(WatchedEcho(), [request(1, "ab#", options={"stop": ("##",)})])[1]

    assert [output.text for output in answer.outputs] == ["a", "b", "#"]


def test_a_stop_may_be_a_control_token_that_is_written_out() -> None:
    model = WatchedEcho()
    wanted = request(1, "ab#c", options={"stop": ("<end>",)})
    special = replace(submission(model, wanted), specials={ord("#"): b"<end>"})

    served = serve(model, [request(2, "ab#c")], later={0: [special]})

    assert (served[1].text, served[1].finished.reason) == ("ab", "stop")
    assert served[2].text == "ab#c"


def test_token_ids_are_told_only_on_request() -> None:
    model = WatchedEcho()
    served = serve(model, [request(1, "ab"), request(2, "ab", wants_tokens=False)])

    assert served[1].finished.tokens == (*model.tokenize("ab", True), *b"ab")
    assert served[2].finished.tokens == ()


@pytest.mark.parametrize("num_top", [0, 5])
def test_every_token_of_the_answer_has_its_log_probability(num_top: int) -> None:
    """Also those whose text is held back, is half a character or belongs to the stop."""
    answer = serve(WatchedEcho(), [request(1, "aé#b", num_top_logprobs=num_top, options={"stop": ("#b",)})])[1]

    assert answer.text == "aé"
    assert b"".join(bytes(logprob.bytes) for logprob in answer.logprobs) == "aé#b".encode()
    assert all(len(logprob.top) == min(num_top, 1) for logprob in answer.logprobs)


def test_log_probabilities_are_off_by_default() -> None:
    assert serve(WatchedEcho(), [request(1, "abc")])[1].logprobs == []


def test_the_end_token_counts_and_says_nothing() -> None:
    answer = serve(WatchedEcho(), [request(1, "")])[1]

    assert (answer.text, answer.finished.reason, answer.finished.num_output) == ("", "stop", 1)


def test_a_model_that_repeats_itself_is_stopped() -> None:
    answer = serve(WatchedEcho(), [request(1, "b" + "a" * 60, num_ctx=400, max_repeats=30)])[1]

    assert (answer.text, answer.finished.reason) == ("b" + "a" * 31, "stop")


# The context


def test_a_prompt_that_leaves_room_for_one_token_is_served() -> None:
    answer = serve(WatchedEcho(), [request(1, "abcdef", num_ctx=8, shift=False)])[1]

    assert (answer.text, answer.finished.reason, answer.finished.num_prompt) == ("a", "length", 7)


def test_a_prompt_too_long_is_refused_with_its_length() -> None:
    refusal = serve(WatchedEcho(), [request(1, "abcdefg", num_ctx=8)])[1].refusal

    assert (refusal.code, refusal.num_prompt, refusal.limit) == ("prompt_too_long", 8, 8)
    assert "exceeds the available context size" in refusal.message


def test_a_prompt_too_long_is_cut_on_request() -> None:
    model = WatchedEcho()
    tokens = model.tokenize("abcdefghijklmnop", True)

    end = serve(model, [request(1, "abcdefghijklmnop", num_ctx=10, cut=True, options={"num_predict": 2})])[1].finished

    left = cut_prompt(tokens, 10, 4, adds_bos=False)
    assert list(end.tokens[: end.num_prompt]) == left
    assert (end.num_prompt, end.num_prompt_dropped) == (7, 10)


def test_a_prompt_without_tokens_is_refused() -> None:
    refusal = serve(WatchedEcho(), [request(1, "", add_special=False)])[1].refusal

    assert (refusal.code, refusal.message) == ("invalid", "the prompt holds no tokens")


@pytest.mark.parametrize("num_ctx", [1, 0, -5])
def test_a_context_without_room_for_an_answer_is_refused(num_ctx: int) -> None:
    refusal = serve(WatchedEcho(), [request(1, "abc", num_ctx=num_ctx, cut=True)])[1].refusal

    assert (refusal.code, refusal.message) == ("invalid", f"num_ctx must be at least 2: found {num_ctx}")


def test_without_shift_the_answer_ends_where_the_context_does() -> None:
    end = serve(WatchedEcho(), [request(1, "abcdefgh", num_ctx=12, shift=False)])[1].finished

    assert (end.reason, end.num_prompt + end.num_output) == ("length", 12)


def test_a_context_is_never_larger_than_the_pool() -> None:
    """A request may ask for more than was loaded; the answer ends, and the engine does not run out of cells."""
    model = WatchedEcho(pool_tokens=12)

    end = serve(model, [request(1, "abcdefgh", num_ctx=1000, shift=False)])[1].finished

    assert (end.reason, end.num_prompt + end.num_output) == ("length", 12)


def test_with_shift_the_answer_goes_on_past_the_context() -> None:
    """With the prompt kept, the echo loses its place at every shift and goes on until ten contexts are full."""
    answer = serve(WatchedEcho(), [request(1, "abcdefghij", num_ctx=16, options={"num_keep": -1})])[1]

    assert answer.finished.reason == "length"
    assert answer.finished.num_output == 160
    assert answer.text.startswith("abcde" + "de" * 70)


def test_a_shift_drops_the_middle_and_closes_the_gap() -> None:
    model = WatchedEcho()

    answer = serve(model, [request(1, "abcdefghij", num_ctx=16, options={"num_keep": 2, **ONE_BY_ONE})])[1]

    assert answer.text == "abcde", "c to i are gone: the rest of the prompt, abj, is shorter than the answer"
    assert [chunk.start for step in model.steps for chunk in step] == [0, 11, 12, 13, 14, 8]
    assert model.moves == [(0, 9, 15, -7)], "what stands behind the gap, as far as it is computed"
    assert list(answer.finished.tokens) == [*model.tokenize("abcdefghij", True), *b"abcde"]


def test_an_engine_that_cannot_shift_ends_the_answer() -> None:
    model = WatchedEcho()
    model.info = replace(model.info, can_shift=False)

    assert serve(model, [request(1, "abcdefgh", num_ctx=12)])[1].finished.reason == "length"


class CannotForgetTheMiddle(WatchedEcho):
    """As recurrent models and some sliding windows do, it says no only when asked."""

    def remove(self, slot: int, start: int, end: int) -> bool:
        return end < 0 and super().remove(slot, start, end)


def test_an_engine_that_refuses_a_shift_ends_the_answer() -> None:
    answer = serve(CannotForgetTheMiddle(), [request(1, "abcdefgh", num_ctx=12)])[1]

    assert (answer.text, answer.finished.reason) == ("abc", "length")


# Several requests


def test_requests_share_their_steps() -> None:
    model = WatchedEcho()

    serve(model, [request(n, "abcdef") for n in range(8)])

    assert len(model.steps) == 7
    assert [len(chunk.tokens) for chunk in model.steps[1]] == [1] * 8


def test_what_a_step_said_leaves_at_once() -> None:
    served = serve(WatchedEcho(), [request(n, "ab") for n in range(3)])

    texts = [[event.id for event in batch if isinstance(event, Output)] for batch in served.sent]
    assert [ids for ids in texts if ids] == [[0, 1, 2], [0, 1, 2]]


def test_a_refusal_does_not_wait_for_the_others() -> None:
    served = serve(WatchedEcho(), [request(1, "abc"), request(2, "", add_special=False)])

    assert isinstance(served.sent[0][0], Refusal)


def test_a_long_prompt_does_not_hold_up_a_stream() -> None:
    model = WatchedEcho(max_batch=8)

    serve(model, [request(1, "abcdef"), request(2, "x" * 60)])

    assert all(0 in [chunk.slot for chunk in step] for step in model.steps[:7])
    assert [len(step) for step in model.steps[:7]] == [2] * 7


def test_two_that_outgrow_the_pool_take_turns() -> None:
    model = WatchedEcho(pool_tokens=28)

    served = serve(model, [request(1, "abcdefgh"), request(2, "ijklmnop")])

    assert served.num_preempted == 1
    assert [served[n].text for n in (1, 2)] == ["abcdefgh", "ijklmnop"]


def test_the_reports_count_all_steps_and_tokens() -> None:
    model = WatchedEcho()

    served = serve(model, [request(n, "abcdefghij" * 10, num_ctx=500, options=ONE_BY_ONE) for n in range(3)])

    assert len(served.stats) > 1
    assert sum(stats.num_steps for stats in served.stats) == len(model.steps)
    assert sum(stats.num_tokens for stats in served.stats) == sum(
        len(chunk.tokens) for step in model.steps for chunk in step
    )
    assert all(min(stats.decode_seconds, stats.host_seconds) >= 0 for stats in served.stats)


# Guesses

TEXT = "Jumping zebras: quickly, the old wolf vexed him."
"""No two places of it are alike."""


def test_guesses_change_no_answer_and_save_steps() -> None:
    model = WatchedEcho()

    end = serve(model, [request(1, TEXT)])[1].finished

    assert serve(WatchedEcho(), [request(1, TEXT)])[1].text == TEXT
    assert end.num_output == len(TEXT) + 1
    assert len(TEXT) - 12 < end.num_accepted <= end.num_drafted
    assert len(model.steps) < 12


def test_a_request_may_turn_guesses_off_or_bound_them() -> None:
    off, few = WatchedEcho(), WatchedEcho()

    without = serve(off, [request(1, TEXT, options={"draft_num_predict": 0})])[1]
    bounded = serve(few, [request(1, TEXT, options={"draft_num_predict": 2})])[1]

    assert (without.finished.num_drafted, len(off.steps), without.text) == (0, len(TEXT) + 1, TEXT)
    assert bounded.text == TEXT
    assert max(len(chunk.tokens) for step in few.steps[1:] for chunk in step) == 3


def test_an_answer_that_leaves_its_guess_goes_on_with_its_own_tokens() -> None:
    """Words that are alike, and what comes after them is not."""
    text = "king 1, king 2, king 3, king 4, king 5, king 6"

    answer = serve(WatchedEcho(), [request(1, text)])[1]

    assert answer.text == text
    assert answer.finished.num_accepted < answer.finished.num_drafted


@pytest.mark.parametrize("num_predict", range(1, 40))
def test_guesses_go_no_further_than_the_answer(num_predict: int) -> None:
    model = WatchedEcho()

    end = serve(model, [request(1, TEXT, options={"num_predict": num_predict})])[1].finished

    assert (end.reason, end.num_output) == ("length", num_predict)
    assert end.num_accepted >= num_predict - len(model.steps)
    last = model.steps[-1][0]
    assert last.start + len(last.tokens) <= len(TEXT) + num_predict


@pytest.mark.parametrize("stop", ["vex", "zebras", "l", "him."])
def test_a_stop_inside_a_guess_ends_the_answer(stop: str) -> None:
    answer = serve(WatchedEcho(), [request(1, TEXT, options={"stop": (stop,)})])[1]

    assert (answer.text, answer.finished.reason) == (TEXT[: TEXT.index(stop)], "stop")
    assert answer.finished.num_output == TEXT.index(stop) + len(stop)


def test_every_token_of_a_guess_has_its_log_probability() -> None:
    answer = serve(WatchedEcho(), [request(1, TEXT, num_top_logprobs=1)])[1]

    assert answer.finished.num_accepted > 20
    assert b"".join(bytes(one.bytes) for one in answer.logprobs) == TEXT.encode()


def test_a_crowd_gets_no_guesses() -> None:
    served = serve(WatchedEcho(), [request(n, TEXT) for n in range(6)])

    assert [served[n].finished.num_drafted for n in range(6)] == [0] * 6


def test_nobody_gets_guesses_beside_a_prompt() -> None:
    model = WatchedEcho(max_batch=8)

    serve(model, [request(1, TEXT), request(2, "x" * 100, num_ctx=1000)])

    steps = [step for step in model.steps if any(chunk.num_guessed for chunk in step)]
    assert steps
    assert not any(len(chunk.tokens) > 1 + chunk.num_guessed for step in steps for chunk in step)


def test_guesses_send_nobody_away() -> None:
    """Two that just fit: only what nobody uses gives way."""
    model = WatchedEcho(pool_tokens=4 * len(TEXT) + 4, num_parallel=2)

    served = serve(model, [request(n, TEXT[n:], num_ctx=200) for n in range(2)])

    assert served.num_preempted == 0
    assert [served[n].text for n in range(2)] == [TEXT, TEXT[1:]]


def test_an_engine_without_room_for_guesses_goes_on_without() -> None:
    model = WatchedEcho(pool_tokens=200, num_missing=200 - 2 * len(TEXT) - 1)

    answer = serve(model, [request(1, TEXT, num_ctx=200)])[1]

    assert answer.text == TEXT


def test_a_model_that_cannot_cut_gets_no_guesses() -> None:
    answer = serve(WatchedEcho(can_cut=False), [request(1, TEXT)])[1]

    assert (answer.text, answer.finished.num_drafted) == (TEXT, 0)


# The cache


def num_computed(model: WatchedEcho) -> int:
    return sum(len(chunk.tokens) for step in model.steps for chunk in step)


def test_requests_with_one_long_beginning_compute_it_once() -> None:
    model = WatchedEcho(max_batch=32)
    beginning = "x" * 300
    requests = [request(n, f"{beginning}{n}", num_ctx=1000, options={"num_predict": 1}) for n in range(8)]

    served = serve(model, requests)

    assert [served[n].finished.num_prompt_cached for n in range(8)] == [0] + [300] * 7
    assert num_computed(model) == 302 + 7 * 2


def test_the_same_prompt_again_computes_one_token() -> None:
    model = WatchedEcho(num_parallel=1)

    served = serve(model, [request(n, "abcdefgh", options={"num_predict": 1}) for n in range(2)])

    assert served[1].finished.num_prompt_cached == 8
    assert num_computed(model) == 9 + 1


@pytest.mark.parametrize("num_parallel", [1, 2])
@pytest.mark.parametrize("can_cut", [True, False])
def test_scopes_do_not_share(num_parallel: int, can_cut: bool) -> None:
    """Neither what is there nor what is being computed."""
    model = WatchedEcho(num_parallel=num_parallel, max_batch=8, can_cut=can_cut)

    served = serve(model, [request(n, "abcdefgh" * 4, scope=f"key {n}") for n in range(2)])

    assert [served[n].finished.num_prompt_cached for n in range(2)] == [0, 0]
    assert num_computed(model) >= 2 * 33


def test_a_chat_goes_on_from_its_last_answer() -> None:
    """Also when an early turn was edited: what stands before the change is still there."""
    model = WatchedEcho(num_parallel=1)
    turns = ["abcdefgh", "abcdefgh, then ijkl", "abcdefgh, but ijkl"]

    served = serve(model, [request(n, text, add_special=False) for n, text in enumerate(turns)])

    assert [served[n].finished.num_prompt_cached for n in range(3)] == [0, 8, 10]


def test_what_nobody_uses_goes_before_a_running_sequence_does() -> None:
    model = WatchedEcho(pool_tokens=60, num_parallel=2)

    served = serve(model, [request(n, chr(97 + n) * 12) for n in range(6)])

    assert served.num_preempted == 0
    assert [served[n].text for n in range(6)] == [chr(97 + n) * 12 for n in range(6)]


def test_a_prompt_that_was_cancelled_is_there_for_the_next_try() -> None:
    model = WatchedEcho(max_batch=8)
    again = submission(model, request(2, "a" * 100, num_ctx=1000, options={"num_predict": 1}))

    served = serve(model, [request(1, "a" * 100, num_ctx=1000)], later={5: [*cancel(1), again]})

    assert served[2].finished.num_prompt_cached == 40, "the step that it was cancelled in is lost"


# Trouble with one


@pytest.mark.parametrize(
    ("seed", "code", "message", "text"),
    [
        (SAMPLE_FAILS, "internal", "ZeroDivisionError: the sampler broke", "ab"),
        (START_FAILS, "internal", "ZeroDivisionError: no sampler today", ""),
        (START_REFUSES, "invalid", "the engine cannot take this option", ""),
        (SAMPLE_REFUSES, "invalid", "a dead end", "ab"),
    ],
)
def test_a_broken_sampler_ends_its_own_request_only(seed: int, code: str, message: str, text: str) -> None:
    served = serve(WatchedEcho(), [request(1, "abcdef"), request(2, "abcdef", options={"seed": seed})])

    assert served[1].text == "abcdef"
    assert (served[2].refusal.code, served[2].refusal.message, served[2].text) == (code, message, text)


class LeavesCrumbs(WatchedEcho):
    """Finds no room and yet keeps a part of the batch, as an engine may that works through it in pieces."""

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        outcome = super().decode(chunks)
        if outcome is Decoded.NO_ROOM:
            for chunk in chunks:
                self._put(self._slots.setdefault(chunk.slot, {}), chunk.start, chunk.tokens[0])
        return outcome


def test_what_a_failed_step_left_behind_is_swept_away() -> None:
    """Else the next step of that sequence finds its positions taken."""
    served = serve(LeavesCrumbs(pool_tokens=60, num_missing=30), [request(1, "abcdefgh"), request(2, "ijklmnop")])

    assert [served[n].text for n in (1, 2)] == ["abcdefgh", "ijklmnop"]


def test_a_request_too_large_for_the_engine_fails_alone() -> None:
    served = serve(WatchedEcho(pool_tokens=100, num_missing=80), [request(1, "abcd"), request(2, "a" * 40)])

    assert served[1].text == "abcd"
    assert served[2].refusal.code == "internal"
    assert "no room" in served[2].refusal.message


# Cancel


def test_a_cancel_while_waiting_never_runs() -> None:
    model = WatchedEcho(num_parallel=1)

    served = serve(model, [request(1, "abc"), request(2, "xyz")], later={0: cancel(2)})

    end = served[2].finished
    assert (end.reason, end.num_output, end.prompt_seconds, end.output_seconds) == ("cancel", 0, 0.0, 0.0)
    assert sum(chunk.start == 0 for step in model.steps for chunk in step) == 1


def test_a_cancel_in_the_prompt_ends_it_after_the_step() -> None:
    model = WatchedEcho(max_batch=8)

    served = serve(model, [request(1, "a" * 100, num_ctx=1000)], later={2: cancel(1)})

    end = served[1].finished
    assert (end.reason, end.num_prompt, end.num_output) == ("cancel", 101, 0)
    assert len(model.steps) == 3


def test_a_cancel_loses_no_step_of_others() -> None:
    model = WatchedEcho(max_batch=8)
    aborted: list[bool] = []
    model.abort = lambda: aborted.append(True)  # type: ignore[method-assign]
    requests = [request(1, "abcdef", options=ONE_BY_ONE), request(2, "a" * 100, num_ctx=1000)]

    served = serve(model, requests, later={2: cancel(2), 4: cancel(1)})

    assert served[2].finished.reason == "cancel"
    assert len(aborted) == 1, "at the end, when there is no step to lose"


class AbortsTwice(WatchedEcho):
    """As an abort does that came too late for the step that it was meant for."""

    def decode(self, chunks: Sequence[Chunk]) -> Decoded:
        if len(self.steps) in (1, 12):
            self.abort()
        return super().decode(chunks)


def test_an_aborted_step_is_computed_again() -> None:
    served = serve(AbortsTwice(max_batch=8), [request(1, TEXT), request(2, "abc")])

    assert [served[n].text for n in (1, 2)] == [TEXT, "abc"]


def test_a_cancel_while_streaming_ends_before_the_next_token() -> None:
    served = serve(WatchedEcho(), [request(1, "abcdef", options=ONE_BY_ONE)], later={2: cancel(1)})

    assert (served[1].text, served[1].finished.reason, served[1].finished.num_output) == ("abc", "cancel", 3)


def test_a_cancelled_answer_says_nothing_more() -> None:
    """Text held back for a stop is not told to somebody who has left."""
    held = request(1, "ab#", options={"stop": ("##",), **ONE_BY_ONE})

    served = serve(WatchedEcho(), [held], later={2: cancel(1)})

    assert served[1].text == "ab"


def test_a_cancel_of_the_preempted_ends_it() -> None:
    model = WatchedEcho(pool_tokens=28)

    requests = [request(n, text, options=ONE_BY_ONE) for n, text in ((1, "abcdefgh"), (2, "ijklmnop"))]

    served = serve(model, requests, later={6: cancel(2)})

    assert served.num_preempted == 1, "it was sent away once, and never came back"
    assert served[2].finished.reason == "cancel"
    assert served[1].text == "abcdefgh"


def test_nothing_runs_after_a_storm_of_cancels() -> None:
    """A thousand requests that all leave: some in the queue, some in their prompt, some in their answer."""
    model = WatchedEcho(pool_tokens=4096, num_parallel=16, max_batch=64)
    requests = [request(n, f"{n % 7} " * (n % 40 + 1), num_ctx=400) for n in range(1000)]
    random = Random(3)
    later: dict[int, list[Message]] = {}
    for n in range(1000):
        later.setdefault(random.randrange(150), []).extend(cancel(n))

    served = serve(model, requests, later=later)

    reasons = Counter(served[n].finished.reason for n in range(1000))
    assert reasons["cancel"] > 800
    assert len(model.steps) <= 151, "the loop went on after the last had left"


def test_a_cancel_of_nobody_is_passed_over() -> None:
    served = serve(WatchedEcho(), [request(1, "abc")], later={0: cancel(77), 1: cancel(1), 2: cancel(1)})

    assert served[1].finished.reason == "cancel"


def test_the_loop_ends_at_once_when_the_pipe_is_closed() -> None:
    model = WatchedEcho()
    sent: list[Event] = []
    loop = Loop(model, sent.extend)
    model.before_step = lambda step: loop.put(Closed()) if step == 1 else None
    loop.put(submission(model, request(1, "abcdef")))

    loop.run()

    assert len(model.steps) == 2
    assert not any(isinstance(event, Finished) for event in sent)


def test_an_idle_loop_waits_for_a_message_and_takes_no_steps() -> None:
    model = WatchedEcho()
    taken: queue.SimpleQueue[int] = queue.SimpleQueue()
    loop = Loop(model, lambda events: taken.put(len(events)))
    loop.put(Closed())

    loop.run()

    assert taken.empty()
    assert model.steps == []
