"""Grammars and schemas of strangers over HTTP: what is wrong or too much is refused soon, in words that help."""

import threading
import time
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess

SECONDS = 50.0
"""For a refusal. Each takes well below one; what is not refused takes minutes, or all memory. Clients wait 60."""
WORDS = 'root ::= "yes" | "no"\n'
DOUBLING = "root ::= a0\n" + "".join(f"a{n} ::= a{n + 1} | a{n + 1} a{n + 1}\n" for n in range(40)) + 'a40 ::= "x"'


def nested(depth: int) -> bytes:
    return b'{"items":' * depth + b"{}" + b"}" * depth


def ask(daemon: DaemonProcess, path: str = "/api/generate", **fields: Any) -> httpx.Response:
    prompt = {"prompt": "x"} if path == "/api/generate" else {"messages": [{"role": "user", "content": "x"}]}
    return daemon.request("POST", path, {"model": "echo", **prompt, "stream": False, **fields})


@pytest.mark.parametrize("path", ["/api/generate", "/api/chat"])
@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grammar": "root ::= ("}, "grammar: line 1: a group is not closed"),
        ({"grammar": 'root ::= "a"\n\nb = "c"'}, "grammar: line 3: expected ::="),
        ({"grammar": 'root ::= "a"{2,1}'}, "grammar: line 1: the repetition ends before it begins"),
        ({"grammar": 'start ::= "a"'}, 'grammar: there is no rule "root"'),
        ({"grammar": "root ::= a"}, "grammar: the rule root uses a, which is not there"),
        ({"grammar": 'root ::= a\na ::= b\nb ::= a | "x"'}, "grammar: the rule a begins with itself"),
        ({"grammar": 'root ::= ""* root "a"'}, "grammar: what may be empty cannot be repeated"),
        ({"grammar": 'root ::= "a"{1,2000000}'}, "grammar: line 1: more than 1000 repetitions are not supported"),
        ({"grammar": "root ::= " + "(" * 100 + '"a"' + ")" * 100}, "grammar: line 1: groups are nested too deep"),
        ({"grammar": "a" * 600_000}, "grammar: more than 500000 characters are not supported"),
        (
            {"grammar": "root ::= " + " ".join(["[a-z]{1000}"] * 200)},
            "grammar: too large: its grammar would take too many repetitions",
        ),
        ({"options": {"grammar": "root ::= ("}}, "grammar: line 1: a group is not closed"),
        ({"format": "json", "grammar": WORDS}, "format and grammar exclude each other"),
        ({"format": {}, "options": {"grammar": WORDS}}, "format and grammar exclude each other"),
        ({"format": {"type": "integer", "multipleOf": 7}}, 'format: $: "multipleOf" is not supported'),
        ({"format": {"$ref": "#"}}, "format: $: "),
        ({"format": {"type": "string", "pattern": "a{1,2000000}"}}, "format: $.pattern: "),
        ({"format": {"type": "string", "pattern": "(a|b)*a(a|b){300}"}}, "format: $.pattern: too large"),
        ({"format": {"allOf": [{"anyOf": [{"minimum": n * m} for n in range(20)]} for m in range(20)]}}, "format: "),
    ],
)
def test_what_cannot_be_held_is_refused_soon_and_in_words(
    shared: DaemonProcess, path: str, fields: dict[str, Any], error: str
) -> None:
    started = time.monotonic()
    response = ask(shared, path, **fields)

    assert (response.status_code, response.json()["error"][: len(error)]) == (400, error)
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize(
    ("grammar", "error"),
    [
        (DOUBLING, "the rule a28 begins in too many ways"),
        ("root ::= " + " | ".join(["a"] * 9_000) + '\na ::= "x" a | "x"', "the rule root begins in too many ways"),
        ('root ::= s "y"\ns ::= "x" s "z" | "x" s s | "x"', "too ambiguous: a text leaves more than 4000 ways"),
    ],
)
def test_a_grammar_with_exponential_ways_is_refused_soon(shared: DaemonProcess, grammar: str, error: str) -> None:
    started = time.monotonic()
    response = ask(shared, grammar=grammar)

    assert response.status_code == 400
    assert response.json()["error"].startswith(f"grammar: {error}")
    assert time.monotonic() - started < SECONDS


@pytest.mark.parametrize("field", [b"format", b"options"])
@pytest.mark.parametrize("depth", [100, 10_000, 200_000])
def test_a_value_that_is_nested_too_deep_is_refused_soon(shared: DaemonProcess, field: bytes, depth: int) -> None:
    body = b'{"model":"echo","prompt":"x","stream":false,"' + field + b'":' + nested(depth) + b"}"
    started = time.monotonic()
    response = shared.client.post("/api/generate", content=body)

    assert response.status_code == (200 if (field, depth) == (b"options", 100) else 400)
    assert time.monotonic() - started < SECONDS


def test_bombs_do_not_keep_others_waiting(shared: DaemonProcess) -> None:
    """Whatever one client sends, another one's request goes on meanwhile."""
    bomb = {"allOf": [{"anyOf": [{"minimum": n * m} for n in range(30)]} for m in range(30)]}
    bombs = [threading.Thread(target=ask, args=(shared,), kwargs={"format": bomb}) for _ in range(8)]
    for thread in bombs:
        thread.start()
    started = time.monotonic()
    answer = ask(shared)
    seconds = time.monotonic() - started
    for thread in bombs:
        thread.join()

    assert answer.status_code == 200
    assert seconds < SECONDS


def test_an_engine_that_follows_no_grammar_says_so(shared: DaemonProcess) -> None:
    response = ask(shared, grammar=WORDS)

    assert response.status_code == 400
    assert "echo" in response.json()["error"]


def test_a_models_own_grammar_is_checked_when_it_is_created(shared: DaemonProcess) -> None:
    body = {"model": "held", "from": "echo", "parameters": {"grammar": "root ::= ("}, "stream": False}
    response = shared.request("POST", "/api/create", body)

    assert (response.status_code, response.json()["error"]) == (400, "grammar: line 1: a group is not closed")
    assert "held:latest" not in [model["name"] for model in shared.request("GET", "/api/tags").json()["models"]]


def test_a_models_own_grammar_counts_until_the_request_says_otherwise(shared: DaemonProcess) -> None:
    """Echo refuses grammars, so that its refusal tells whether there was one."""
    assert shared.post("/api/create", model="worded", **{"from": "echo"}, parameters={"grammar": WORDS})
    body = {"model": "worded", "prompt": "x", "stream": False}

    assert shared.request("POST", "/api/generate", body).status_code == 400
    assert shared.request("POST", "/api/generate", {**body, "grammar": ""}).status_code == 200
    assert shared.request("POST", "/api/generate", {**body, "options": {"grammar": ""}}).status_code == 200
    assert WORDS.strip() in shared.post("/api/show", model="worded")["modelfile"]
