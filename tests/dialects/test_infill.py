"""`/infill` by values: what an editor asks for as a native request, and native answers in its server's words."""

from typing import Any

import msgspec
import pytest

from ollamapy.dialects import infill
from ollamapy.dialects.body import decode
from ollamapy.errors import Busy, Error, InvalidInput, NotFound, Unsupported
from ollamapy.wire.infill import InfillRequest
from ollamapy.wire.native import ExtraFile, GenerateResponse


def asked(**fields: Any) -> InfillRequest:
    return decode(msgspec.json.encode({"input_prefix": "a", "input_suffix": "b", **fields}), InfillRequest)


def answered(**fields: Any) -> GenerateResponse:
    numbers = {
        "prompt_eval_count": 30,
        "prompt_cached_count": 20,
        "prompt_eval_duration": 5_000_000,
        "eval_count": 4,
        "eval_duration": 8_000_000,
    }
    return GenerateResponse(
        **{"model": "m", "created_at": "", "response": "x\ny", "done": True, "done_reason": "stop", **numbers, **fields}
    )


def test_the_text_before_the_cursor_is_all_before_the_gap() -> None:
    native = infill.request_of(asked(prompt="c", input_extra=[{"text": "t"}, {"text": "u", "filename": "f"}]), "m")

    assert (native.model, native.prompt, native.suffix) == ("m", "ac", "b")
    assert native.extra == (ExtraFile("t"), ExtraFile("u", "f"))
    assert (native.shift, native.stream) == (False, False)


def test_without_other_files_the_gap_is_one_all_the_same() -> None:
    assert infill.request_of(asked(), "m").extra == ()


def test_sampling_goes_by_llama_cpps_names() -> None:
    wanted = asked(n_predict=8, n_keep=2, n_indent=4, t_max_predict_ms=500, samplers=["top_k", "infill"], stop=["\n\n"])

    assert infill.request_of(wanted, "m").options == {
        "num_predict": 8,
        "num_keep": 2,
        "n_indent": 4,
        "t_max_predict_ms": 500,
        "samplers": ["top_k", "infill"],
        "stop": ["\n\n"],
    }


def test_what_is_not_said_is_left_to_the_model() -> None:
    assert infill.request_of(asked(samplers=[], stop=[], temperature=None, id_slot=0), "m").options == {}


def test_a_field_of_the_request_goes_before_its_options() -> None:
    assert infill.request_of(asked(top_k=5, options={"top_k": 9, "num_ctx": 64}), "m").options == {
        "top_k": 5,
        "num_ctx": 64,
    }


def test_a_whole_answer_has_its_numbers() -> None:
    found = msgspec.to_builtins(infill.answer_of(asked(), answered()))

    timings = found.pop("timings")
    assert found == {
        "index": 0,
        "content": "x\ny",
        "stop": True,
        "model": "m",
        "tokens_predicted": 4,
        "tokens_evaluated": 30,
        "tokens_cached": 34,
        "has_new_line": True,
        "truncated": False,
        "prompt_dropped_count": 0,
        "stop_type": "eos",
        "stopping_word": "",
    }
    assert timings == {
        "cache_n": 20,
        "prompt_n": 10,
        "prompt_ms": 5.0,
        "prompt_per_token_ms": 0.5,
        "prompt_per_second": 2000.0,
        "predicted_n": 4,
        "predicted_ms": 8.0,
        "predicted_per_token_ms": 2.0,
        "predicted_per_second": 500.0,
    }


def test_an_answer_that_took_no_time_divides_by_nothing() -> None:
    found = infill.answer_of(
        asked(),
        answered(eval_count=0, eval_duration=0, prompt_eval_count=0, prompt_cached_count=0, prompt_eval_duration=0),
    )

    assert (found.timings.prompt_per_second, found.timings.predicted_per_token_ms) == (0.0, 0.0)


def test_what_was_left_out_and_what_ended_it_is_told() -> None:
    found = infill.answer_of(asked(), answered(prompt_dropped_count=7, done_reason="length"))

    assert (found.truncated, found.prompt_dropped_count, found.stop_type) == (True, 7, "limit")


def test_a_warning_is_passed_on() -> None:
    assert infill.answer_of(asked(), answered(warning="slow")).warning == "slow"


def test_a_request_for_no_tokens_gets_no_text() -> None:
    assert infill.answer_of(asked(n_predict=0), answered()).content == ""


def test_a_stream_gives_pieces_and_then_the_numbers() -> None:
    stream = infill.InfillStream(asked())
    pieces = [answered(response=text, done=False) for text in ("x\n", "y")]

    events = [event for answer in (*pieces, answered(response="")) for event in stream.push(0, answer)]

    assert [(event.content, event.stop) for event in events] == [("x\n", False), ("y", False), ("", True)]
    assert msgspec.to_builtins(events[-1])["has_new_line"]
    assert list(stream.finish()) == []


def test_a_stream_for_no_tokens_has_an_end_only() -> None:
    stream = infill.InfillStream(asked(n_predict=0))

    assert list(stream.push(0, answered(response="x", done=False))) == []


def test_fields_are_found_by_their_paths() -> None:
    answer = infill.answer_of(asked(), answered())

    assert infill.fields_of(answer, ["content", "timings/prompt_n", "timings/none", "content/x", ""]) == {
        "content": "x\ny",
        "timings/prompt_n": 10,
    }


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (InvalidInput("no"), 400, "invalid_request_error"),
        (NotFound("no"), 404, "not_found_error"),
        (Error("no"), 500, "server_error"),
        (Unsupported("no"), 501, "not_supported_error"),
        (Busy("no"), 503, "unavailable_error"),
    ],
)
def test_an_error_is_of_the_kind_of_its_status(failure: Error, status: int, kind: str) -> None:
    assert msgspec.to_builtins(infill.error_of(failure)) == {"error": {"code": status, "message": "no", "type": kind}}
