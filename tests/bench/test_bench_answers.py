"""What is sent in both dialects, and what the bytes that come back amount to."""

import json
from math import inf
from typing import Any

import pytest

from ollamapy.bench.answers import Answer, Dialect, Exchange, body, read
from ollamapy.wire.native import Message


def native(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "created_at": "x", "done": False, **fields}).encode() + b"\n"


def said(text: str) -> bytes:
    return native(message={"role": "assistant", "content": text})


def event(**fields: Any) -> bytes:
    return b"data: " + json.dumps({"object": "chat.completion.chunk", **fields}).encode() + b"\n\n"


def delta(reason: str | None = None, **fields: Any) -> bytes:
    return event(choices=[{"index": 0, "finish_reason": reason, "delta": fields}])


NATIVE_END = native(
    message={"role": "assistant", "content": ""},
    done=True,
    done_reason="length",
    prompt_eval_count=30,
    prompt_cached_count=10,
    eval_count=2,
)
USAGE = {"prompt_tokens": 30, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 10}}
OPENAI_END = [delta("length"), event(choices=[], usage=USAGE), b"data: [DONE]\n\n"]
WANTED = Answer(4.0, (1.0, 2.0), "one two", 30, 10, 2, "length")


def exchange(*pieces: tuple[float, bytes], status: int = 200, fault: str = "") -> Exchange:
    """One that was sent at 100 and ended at 104."""
    return Exchange(100.0, 104.0, status, tuple((100.0 + moment, data) for moment, data in pieces), fault)


def test_both_dialects_ask_for_the_same() -> None:
    messages = [Message("system", "be brief"), Message("user", "hi")]
    plain = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}]

    assert json.loads(body("ollama", "m", messages, 5)) == {
        "model": "m",
        "messages": plain,
        "stream": True,
        "options": {"temperature": 0, "num_predict": 5},
    }
    assert json.loads(body("openai", "m", messages, 5)) == {
        "model": "m",
        "messages": plain,
        "stream": True,
        "temperature": 0,
        "max_tokens": 5,
        "stream_options": {"include_usage": True},
    }


def test_a_native_answer_is_read() -> None:
    assert read("ollama", exchange((1, said("one")), (2, said(" two")), (3, NATIVE_END))) == WANTED


def test_an_openai_answer_is_read() -> None:
    pieces = [delta(role="assistant", content=None), delta(content="one"), delta(content=" two"), b"".join(OPENAI_END)]

    found = read("openai", exchange(*zip([0.5, 1, 2, 3], pieces, strict=True)))

    assert found == WANTED


def test_comments_and_event_names_of_a_stream_are_no_text() -> None:
    pieces = b": ping\n\nevent: message\n" + delta(content="one") + delta(content=" two") + b"".join(OPENAI_END)

    assert read("openai", exchange((1, pieces))).text == "one two"


@pytest.mark.parametrize("cut", range(1, len(said("one"))))
def test_a_line_comes_when_its_end_does(cut: int) -> None:
    line = said("one")

    found = read("ollama", exchange((0.5, line[:cut]), (1, line[cut:] + said(" two")), (3, NATIVE_END.strip())))

    assert found.arrivals == (1.0, 1.0)
    assert found.text == "one two"
    assert found.reason == "length"


def test_thinking_is_text_too() -> None:
    thinking = native(message={"role": "assistant", "content": "", "thinking": "hm"})
    reasoning = delta(reasoning_content="hm")

    assert read("ollama", exchange((1, thinking), (2, NATIVE_END))).arrivals == (1.0,)
    assert read("openai", exchange((1, reasoning), (2, b"".join(OPENAI_END)))).arrivals == (1.0,)


def test_tokens_are_counted_by_pieces_when_the_server_does_not_say() -> None:
    found = read("openai", exchange((1, delta(content="a")), (2, delta(content="b")), (3, delta("stop"))))

    assert (found.num_output, found.num_prompt) == (2, 0)


@pytest.mark.parametrize(
    ("dialect", "pieces", "error"),
    [
        ("ollama", [said("one")], "the answer ended before it was complete"),
        ("openai", [delta(content="one")], "the answer ended before it was complete"),
        ("ollama", [said("one"), b'{"error": "the model died"}\n'], "the model died"),
        ("openai", [b'data: {"error": {"message": "no slot", "code": 500}}\n\n'], "no slot"),
        ("ollama", [b"<html>\n"], "is not what the ollama API promises"),
        ("openai", [b"data: {\n\n"], "is not what the openai API promises"),
        ("ollama", [b'{"message": 5}\n'], "is not what the ollama API promises"),
    ],
)
def test_half_an_answer_is_an_error(dialect: Dialect, pieces: list[bytes], error: str) -> None:
    assert error in read(dialect, exchange((1, b"".join(pieces)))).error


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (404, b'{"error": "model \'x\' not found"}', "404: model 'x' not found"),
        (500, b'{"error": {"message": "no slot"}}', "500: no slot"),
        (502, b"Bad gateway", "502: Bad gateway"),
        (400, b'["no object"]', '400: ["no object"]'),
    ],
)
def test_a_refusal_says_what_the_server_said(status: int, text: bytes, error: str) -> None:
    assert read("ollama", exchange((1, text), status=status)).error == error


def test_a_lost_connection_is_an_error_whatever_came_before() -> None:
    assert (
        read("ollama", exchange((1, said("one")), fault="the connection was lost")).error == "the connection was lost"
    )


def test_times_are_those_that_a_user_feels() -> None:
    answer = Answer(3.0, (1.0, 1.5, 3.0), num_output=5)

    assert answer.gaps == [0.5, 1.5]
    assert answer.tokens_per_second == 2.0


def test_an_answer_that_came_all_at_once_keeps_nobody_waiting() -> None:
    assert Answer(1.0, (1.0,), num_output=1).tokens_per_second == inf
    assert Answer(1.0, (1.0, 1.0), num_output=9).tokens_per_second == inf
