"""The contract of the native API, table by table: rows that other files have not. One daemon serves them all."""

import re
from typing import Any

import httpx
import pytest
from fakes.daemon_process import DaemonProcess
from fakes.gguf_files import tiny_model
from fakes.shapes import difference
from fakes.uploads import put_model

HI = [{"role": "user", "content": "hi"}]
UTC = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")
LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
HEX = re.compile(r"[0-9a-f]{64}")


def ask(daemon: DaemonProcess, path: str, **body: Any) -> httpx.Response:
    return daemon.request("POST", path, {"model": "echo", "stream": False, **body})


def told(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json().get("error", "")


@pytest.fixture(scope="module")
def tiny(shared: DaemonProcess) -> str:
    """A model with a good header and weights that nothing can run."""
    return put_model(shared, "tiny", tiny_model())


@pytest.fixture(scope="module")
def vectors(shared: DaemonProcess) -> str:
    """A model that only makes vectors."""
    return put_model(shared, "vectors", tiny_model("bert", bert__pooling_type=1))


# Shared fields


INTEGERS = (
    "num_ctx num_batch num_gpu main_gpu num_thread draft_num_predict num_keep seed num_predict top_k repeat_last_n"
)
FLOATS = "top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty"
KINDS = {
    **dict.fromkeys(INTEGERS.split(), "integer"),
    **dict.fromkeys(FLOATS.split(), "float32"),
    "use_mmap": "boolean",
    "stop": "array",
}


def test_every_option_has_its_type(shared: DaemonProcess) -> None:
    for option, kind in KINDS.items():
        for value in ("x", {}, [] if kind != "array" else 1, True if kind != "boolean" else 1):
            found = told(ask(shared, "/api/generate", prompt="hi", options={option: value}))

            assert found == (500, f'option "{option}" must be of type {kind}'), (option, value)


@pytest.mark.parametrize(
    "options",
    [
        {"num_ctx": 4096, "num_keep": -1, "seed": -1, "num_predict": -1, "top_k": 0, "top_p": 1, "repeat_last_n": -1},
        {"top_k": -1, "min_p": 0, "typical_p": 1.0, "repeat_last_n": 0, "temperature": 0, "repeat_penalty": 1},
        {"presence_penalty": 0.5, "frequency_penalty": -0.5, "num_predict": -2, "num_gpu": 0, "draft_num_predict": 0},
        {"num_keep": 4, "num_gpu": -1, "num_batch": 512, "num_thread": 0, "use_mmap": None, "stop": []},
        {
            "low_vram": 1,
            "f16_kv": "x",
            "logits_all": [],
            "vocab_only": {},
            "penalize_newline": 1,
            "numa": 1,
            "num_gqa": 8,
        },
        {"nonsense": {"a": [1]}, "": 1, "TEMPERATURE": "x"},
    ],
)
def test_values_that_mean_something_and_names_that_mean_nothing_are_accepted(
    shared: DaemonProcess, options: dict[str, Any]
) -> None:
    assert ask(shared, "/api/generate", prompt="hi", raw=True, options=options).json()["response"] == "hi"


@pytest.mark.parametrize(
    ("value", "raw"), [("xmł", r"\"xmł\""), (3, "3"), (True, "true"), ([1, "a\n"], r"[1,\"a\\n\"]")]
)
def test_what_is_no_format_is_refused_by_both(shared: DaemonProcess, value: Any, raw: str) -> None:
    text = f'invalid format: "{raw}"; expected "json" or a valid JSON Schema object'

    assert told(ask(shared, "/api/generate", prompt="hi", format=value)) == (500, text)
    assert told(ask(shared, "/api/chat", messages=HI, format=value)) == (500, text)


@pytest.mark.parametrize("think", [True, "low", "medium", "high", "max", None])
def test_a_model_that_thinks_does_so_at_any_level_and_by_itself(
    shared: DaemonProcess, thinker: str, think: Any
) -> None:
    messages = [{"role": "user", "content": "<think>hm</think>four"}]

    message = ask(shared, "/api/chat", model=thinker, messages=messages, think=think).json()["message"]

    assert message == {"role": "assistant", "content": "four", "thinking": "hm"}


def test_the_checks_come_in_the_contracts_order(shared: DaemonProcess, tiny: str, vectors: str) -> None:
    """Each request is wrong in two ways or more; what is checked first is what is told."""
    bad_option: dict[str, Any] = {"options": {"num_ctx": "x"}}
    raw = {"raw": True, "system": "x"}
    rows: list[tuple[dict[str, Any], str]] = [
        ({"model": "", "top_logprobs": 21, "think": 3}, "think must be a boolean or string"),
        ({"model": "", "top_logprobs": 21}, "top_logprobs must be between 0 and 20"),
        ({"model": "nope", **raw}, "model 'nope' not found"),
        ({"model": vectors, "prompt": "x", **raw}, "raw mode does not support template, system, or context"),
        ({"model": vectors, "prompt": "x", "suffix": "y"}, '"vectors" does not support generate'),
        ({"model": tiny, "prompt": "x", "suffix": "y", "think": True}, "library/tiny:latest does not support insert"),
        ({"model": tiny, "prompt": "x", "think": True, **bad_option}, '"tiny" does not support thinking'),
        ({"model": tiny, "prompt": "x", **bad_option}, 'option "num_ctx" must be of type integer'),
        ({"model": tiny}, "unable to load model"),
    ]
    for body, text in rows:
        assert text in told(ask(shared, "/api/generate", **body))[1], body

    for body in ({"model": vectors}, {"model": tiny, **raw}, {"model": tiny, **bad_option}):
        assert ask(shared, "/api/generate", keep_alive=0, **body).json()["done_reason"] == "unload", body


def test_what_is_ignored_or_capped_is_logged(shared: DaemonProcess) -> None:
    options = {"nonsense\n": 1, "num_ctx": 5000}

    assert ask(shared, "/api/generate", prompt="hi", options=options).json()["response"] == "hi"
    assert "options ignored model=echo:latest names=['nonsense\\n']" in shared.log
    assert "context capped model=echo:latest num_ctx=5000 trained=4096" in shared.log


def test_a_model_that_makes_images_is_refused(shared: DaemonProcess) -> None:
    shared.post("/api/create", model="painter", info={"capabilities": ["image"]}, **{"from": "echo"})
    refused = (400, "image generation models are not currently supported")

    assert told(ask(shared, "/api/generate", model="painter", prompt="hi")) == refused
    assert told(ask(shared, "/api/chat", model="painter", messages=HI)) == refused


def test_older_names_and_other_cases_of_fields_do_as_well(shared: DaemonProcess) -> None:
    assert shared.post("/api/create", name="aliased", **{"from": "echo"}) == {"status": "success"}
    assert shared.post("/api/show", name="aliased")["details"]["family"] == "echo"
    assert shared.post("/api/pull", name="echo", username="u", password="p") == {"status": "success"}
    assert shared.request("DELETE", "/api/delete", {"name": "aliased"}).status_code == 200
    assert shared.post("/api/chat", MODEL="echo", model=None, Messages=HI)["message"]["content"] == "hi"


def test_messages_may_be_as_bare_as_they_like(shared: DaemonProcess) -> None:
    for messages in ([{"content": "hi"}], [{"role": "assistant"}, *HI], [{"role": "odd", "content": ""}, *HI]):
        assert ask(shared, "/api/chat", messages=messages).json()["message"]["content"] == "hi"
    for messages in ([{"content": ["hi"]}], [{"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}], "hi"):
        assert ask(shared, "/api/chat", messages=messages).status_code == 400


# Replies


LAST = {"done": True, "done_reason": "stop", "model": "echo", "created_at": UTC}
COUNTS = dict.fromkeys(
    ("total_duration", "load_duration", "prompt_eval_count", "prompt_eval_duration", "eval_count", "eval_duration"), int
)
OF_OURS = {"prompt_cached_count", "draft_count", "draft_accepted_count"}


def test_the_last_object_has_its_fields_and_no_others(shared: DaemonProcess) -> None:
    generated = ask(shared, "/api/generate", prompt="hi").json()
    chatted = ask(shared, "/api/chat", messages=HI).json()

    assert difference({**LAST, **COUNTS, "response": "hi", "context": [int]}, generated) == ""
    assert difference({**LAST, **COUNTS, "message": {"role": "assistant", "content": "hi"}}, chatted) == ""
    assert generated.keys() - OF_OURS == {*LAST, *COUNTS, "response", "context"}
    assert chatted.keys() - OF_OURS == {*LAST, *COUNTS, "message"}


def test_a_rendered_prompt_is_not_done_and_counts_its_images(shared: DaemonProcess) -> None:
    generated = ask(shared, "/api/generate", prompt="hi", _debug_render_only=True).json()
    chatted = ask(shared, "/api/chat", messages=HI, stream=True, _debug_render_only=True).json()

    about = {"model": "echo", "created_at": UTC, "done": False, "_debug_info": {"rendered_template": "hi"}}
    assert difference({**about, "response": ""}, generated) == ""
    assert difference({**about, "message": {"role": "assistant", "content": ""}}, chatted) == ""
    assert generated.keys() == {*about, "response"}
    assert generated["_debug_info"].keys() == {"rendered_template"}


def test_images_are_ignored_by_a_load_and_refused_by_an_answer(shared: DaemonProcess) -> None:
    assert ask(shared, "/api/generate", images=["AAAA"]).json()["done_reason"] == "load"
    refused = (400, "registry.ollama.ai/library/echo:latest does not support vision")
    assert told(ask(shared, "/api/generate", prompt="hi", images=["AAAA"])) == refused
    assert told(ask(shared, "/api/chat", messages=[{**HI[0], "images": ["AAAA"]}])) == refused
    for path in ("/api/generate", "/api/chat"):
        body = {"prompt": "hi", "images": ["AA=A"], "messages": [{**HI[0], "images": ["AA=A"]}]}
        assert told(ask(shared, path, model="nope", **body)) == (400, "illegal base64 data at input byte 3")


DETAILS = {"parent_model": "", "format": "gguf", "family": "echo", "families": ["echo"], "quantization_level": str}


def test_loaded_models_are_listed_by_the_time_they_have_left(shared: DaemonProcess) -> None:
    ask(shared, "/api/embed", input="x", keep_alive="1h")
    ask(shared, "/api/generate", prompt="hi", keep_alive="1m")
    models = shared.request("GET", "/api/ps").json()["models"]
    shape = {"name": "echo:latest", "model": "echo:latest", "size": int, "digest": HEX, "details": DETAILS}

    assert difference([{**shape, "expires_at": LOCAL, "size_vram": 0, "context_length": 4096}], models) == ""
    assert all(model.keys() == {*shape, "expires_at", "size_vram", "context_length"} for model in models)
    assert [model["details"].get("context_length") for model in models] == [None, None]
    times = [model["expires_at"] for model in models]
    assert times == sorted(times, reverse=True)


# Calls of tools


def tool(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {}}}}


def written(name: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": {{"b": 1, "a": 2}}}}</tool_call>'


def test_calls_are_whole_numbered_and_in_order_streamed_or_not(shared: DaemonProcess, caller: str) -> None:
    messages = [{"role": "user", "content": f"See: {written('get_time')}{written('get_weather')}"}]
    body = {"model": caller, "messages": messages, "tools": [tool("get_time"), tool("get_weather")]}
    whole = [shared.post("/api/chat", **body)]
    for parts in (list(shared.stream("/api/chat", **body)), whole):
        calls = [call for part in parts for call in part["message"].get("tool_calls", [])]

        assert [call["function"]["name"] for call in calls] == ["get_time", "get_weather"]
        assert [call["function"]["index"] for call in calls] == [0, 1]
        assert [list(call["function"]["arguments"].items()) for call in calls] == [[("b", 1), ("a", 2)]] * 2
        assert all(re.fullmatch("call_[a-z0-9]{8}", call["id"]) for call in calls)
        assert "".join(part["message"]["content"] for part in parts).strip() == "See:"
        assert all(part["message"]["content"] == "" for part in parts[:-1] if "tool_calls" in part["message"])
        assert parts[-1]["done_reason"] == "stop"


def test_text_that_might_have_been_a_call_is_sent_at_last_and_nothing_is_read_without_tools(
    shared: DaemonProcess, caller: str
) -> None:
    for text, tools in (("is 1 <tool", [tool("get_time")]), (written("get_time"), [])):
        body = {"model": caller, "messages": [{"role": "user", "content": text}], "tools": tools}
        parts = list(shared.stream("/api/chat", **body))

        assert "".join(part["message"]["content"] for part in parts) == text
        assert not any("tool_calls" in part["message"] for part in parts)


def test_a_gap_is_filled_without_the_models_system_text_or_messages(shared: DaemonProcess, templated: Any) -> None:
    stored = [{"role": "user", "content": "stored"}]
    name = templated("gap", "{{ if .System }}S{{ end }}<{{ .Prompt }}|{{ .Suffix }}>", system="kind", messages=stored)

    assert shared.post("/api/generate", model=name, prompt="a", suffix="b")["response"] == "<a|b>"
