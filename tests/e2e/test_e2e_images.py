"""Images through the daemon in all three APIs, on a random model and a random encoder: meaning is not tested here."""

import base64
import hashlib
import json
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import tiny_models, tiny_projector
from fakes.daemon_process import DaemonProcess
from fakes.tiny_projector import NUM_ROWS, picture

pytestmark = pytest.mark.weights

TEMPLATE = "{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}<assistant>"
GREEDY = {"temperature": 0, "num_predict": 5, "seed": 1}
TOLERANCE = 0.05
"""Of a log probability: what was cached is rounded differently from what was computed in one batch."""

LETTERS = {3: "g", 8: "v"}
"""By the seed of a picture: the letter that the model finds likeliest after it, more than twice as likely as any other,
so that no rounding makes it another one."""


def upload(daemon: DaemonProcess, data: bytes) -> str:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert daemon.client.post(f"/api/blobs/{digest}", content=data).status_code == 201
    return digest


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon with `seeing`, with `jinja` that has no template layer, and with `blind`, which has no projector."""
    home: Path = tmp_path_factory.mktemp("seeing")
    tiny_models.attention(home / "model.gguf")
    tiny_projector.write(home / "projector.gguf")
    daemon = DaemonProcess(home)
    model = upload(daemon, (home / "model.gguf").read_bytes())
    projector = upload(daemon, (home / "projector.gguf").read_bytes())
    both = {"model.gguf": model, "projector.gguf": projector}
    done = {"status": "success"}
    assert daemon.post("/api/create", model="seeing", files=both, template=TEMPLATE) == done
    assert daemon.post("/api/create", model="jinja", files=both) == done
    assert daemon.post("/api/create", model="blind", files={"model.gguf": model}, template=TEMPLATE) == done
    yield daemon
    assert daemon.stop() == 0


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


def chat(daemon: DaemonProcess, content: str, *images: bytes, **fields: Any) -> Any:
    message = {"role": "user", "content": content, "images": [sent(image) for image in images]}
    return daemon.post("/api/chat", **{"model": "seeing", "messages": [message], "options": GREEDY, **fields})


def refusal(daemon: DaemonProcess, path: str, **body: Any) -> tuple[int, str]:
    response = daemon.request("POST", path, {"stream": False, **body})
    return response.status_code, json.dumps(response.json())


def with_image(kind: str, data: bytes, **fields: Any) -> tuple[str, dict[str, Any]]:
    """Path and body of the same request in each API."""
    text = sent(data)
    if kind == "native":
        message: dict[str, Any] = {"role": "user", "content": "what?", "images": [text]}
        return "/api/chat", {"model": "seeing", "messages": [message], "options": GREEDY, **fields}
    if kind == "openai":
        parts = [
            {"type": "text", "text": "what?"},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{text}"}},
        ]
        whole = {"temperature": 0, "max_tokens": 5, "seed": 1, **fields}
        return "/v1/chat/completions", {"model": "seeing", "messages": [{"role": "user", "content": parts}], **whole}
    source = {"type": "base64", "media_type": "image/png", "data": text}
    blocks = [{"type": "text", "text": "what?"}, {"type": "image", "source": source}]
    whole = {"temperature": 0, "max_tokens": 5, **fields}
    return "/v1/messages", {"model": "seeing", "messages": [{"role": "user", "content": blocks}], **whole}


def test_a_model_with_a_projector_says_what_it_sees_with(daemon: DaemonProcess) -> None:
    shown = daemon.post("/api/show", model="seeing")

    assert "vision" in shown["capabilities"]
    assert shown["projector_info"]["general.architecture"] == "clip"
    assert shown["projector_info"]["clip.vision.image_size"] == tiny_projector.SIDE
    assert "vision" not in daemon.post("/api/show", model="blind")["capabilities"]


def test_an_image_in_a_chat_is_seen(daemon: DaemonProcess) -> None:
    plain = chat(daemon, "what?")
    answers = [chat(daemon, "what?", picture(seed), logprobs=True) for seed in (1, 1, 2)]
    one, same, other = (answer["logprobs"][0]["logprob"] for answer in answers)

    assert answers[0]["prompt_eval_count"] == plain["prompt_eval_count"] + NUM_ROWS
    assert one == pytest.approx(same, abs=TOLERANCE)
    assert abs(one - other) > TOLERANCE


def test_an_image_in_generate_is_seen(daemon: DaemonProcess) -> None:
    body = {"model": "seeing", "prompt": "what?", "options": GREEDY}
    plain = daemon.post("/api/generate", **body)
    answer = daemon.post("/api/generate", **body, images=[sent(picture(1))])

    assert answer["prompt_eval_count"] == plain["prompt_eval_count"] + NUM_ROWS
    assert min(answer["context"]) >= 0
    assert len(answer["context"]) == plain["prompt_eval_count"] + answer["eval_count"]


def test_an_image_of_a_raw_prompt_stands_where_its_marker_does(daemon: DaemonProcess) -> None:
    body = {"model": "seeing", "raw": True, "options": GREEDY, "images": [sent(picture(1))]}

    marked = daemon.post("/api/generate", **body, prompt="a[img-0]b")
    bare = daemon.post("/api/generate", **body, prompt="ab")

    assert marked["prompt_eval_count"] == bare["prompt_eval_count"] + NUM_ROWS


def test_an_image_streams_like_a_text(daemon: DaemonProcess) -> None:
    """Two answers may be rounded apart, so both must say the same, and what is compared is how likely it was."""
    message = {"role": "user", "content": "what?", "images": [sent(picture(1))]}
    asked = {"model": "seeing", "messages": [message], "options": GREEDY, "logprobs": True}
    *chunks, last = daemon.stream("/api/chat", **asked, grammar='root ::= "seen"')
    whole = daemon.post("/api/chat", **asked, grammar='root ::= "seen"')

    assert "".join(chunk["message"]["content"] for chunk in chunks) == whole["message"]["content"] == "seen"
    streamed = [token["logprob"] for chunk in chunks for token in chunk["logprobs"]]
    assert streamed == pytest.approx([token["logprob"] for token in whole["logprobs"]], abs=TOLERANCE)
    assert last["done"]


@pytest.mark.parametrize(("seed", "letter"), LETTERS.items())
def test_all_three_apis_see_the_same(daemon: DaemonProcess, seed: int, letter: str) -> None:
    native, openai, anthropic = (
        daemon.post(path, **body)
        for path, body in (
            with_image(kind, picture(seed), grammar="root ::= [a-z]") for kind in ("native", "openai", "anthropic")
        )
    )

    assert native["prompt_eval_count"] >= NUM_ROWS
    assert openai["usage"]["prompt_tokens"] >= NUM_ROWS
    assert anthropic["usage"]["input_tokens"] + anthropic["usage"].get("cache_read_input_tokens", 0) >= NUM_ROWS
    [block] = anthropic["content"]
    assert native["message"]["content"] == block["text"] == letter
    assert openai["choices"][0]["message"]["content"] in string.ascii_lowercase  # its image is a message of its own


@pytest.mark.parametrize("model", ["seeing", "jinja"])
def test_markers_stand_where_images_belong(daemon: DaemonProcess, model: str) -> None:
    messages = [
        {"role": "user", "content": "A [img] B", "images": [sent(picture(1)), sent(picture(2))]},
        {"role": "assistant", "content": "C"},
        {"role": "user", "content": "D", "images": [sent(picture(3))]},
    ]

    debug = daemon.post("/api/chat", model=model, messages=messages, _debug_render_only=True)["_debug_info"]

    assert debug["image_count"] == 3
    rendered = debug["rendered_template"]
    assert "[img-1]A [img-0] B" in rendered
    assert "[img-2]D" in rendered


def test_a_model_with_a_jinja_template_sees_images(daemon: DaemonProcess) -> None:
    plain, answer = chat(daemon, "what?", model="jinja"), chat(daemon, "what?", picture(1), model="jinja")

    assert answer["prompt_eval_count"] == plain["prompt_eval_count"] + NUM_ROWS


def test_the_second_turn_does_not_compute_the_image_again(daemon: DaemonProcess) -> None:
    first = {"role": "user", "content": "what?", "images": [sent(picture(8))]}
    options = {**GREEDY, "num_predict": 1}
    answer = daemon.post("/api/chat", model="seeing", messages=[first], options=options)

    turns = [first, {"role": "assistant", "content": "x"}, {"role": "user", "content": "and?"}]
    again = daemon.post("/api/chat", model="seeing", messages=turns, options=options)

    assert again["prompt_cached_count"] >= answer["prompt_eval_count"] - 1


@pytest.mark.parametrize("kind", ["native", "openai", "anthropic"])
def test_a_model_without_a_projector_refuses_images(daemon: DaemonProcess, kind: str) -> None:
    path, body = with_image(kind, picture(1), model="blind")

    status, text = refusal(daemon, path, **body)

    assert status == 400
    assert "registry.ollama.ai/library/blind:latest does not support vision" in text


def test_a_model_without_a_projector_counts_no_images(daemon: DaemonProcess) -> None:
    path, body = with_image("anthropic", picture(1), model="blind")

    status, text = refusal(daemon, f"{path}/count_tokens", **body)

    assert status == 400
    assert "does not support vision" in text


@pytest.mark.parametrize("kind", ["native", "openai", "anthropic"])
def test_a_bomb_and_a_text_are_refused(daemon: DaemonProcess, kind: str) -> None:
    bomb = picture(1)[:16] + (60_000).to_bytes(4) * 2 + picture(1)[24:]

    for data, complaint in ((bomb, "60000 x 60000 pixels"), (b"hello", "not an image"), (picture(1)[:99], "damaged")):
        path, body = with_image(kind, data)
        status, text = refusal(daemon, path, **body)
        assert status == 400
        assert complaint in text


def test_sound_is_an_honest_501(daemon: DaemonProcess) -> None:
    path, body = with_image("native", b"RIFF\0\0\0\0WAVEfmt ")

    assert refusal(daemon, path, **body) == (501, '{"error": "audio is not supported yet"}')


def test_a_remote_image_is_never_fetched(daemon: DaemonProcess) -> None:
    path, body = with_image("openai", picture(1))
    body["messages"][0]["content"][1]["image_url"]["url"] = "http://127.0.0.1:9/cat.png"

    status, text = refusal(daemon, path, **body)

    assert status == 400
    assert "image URLs are not currently supported" in text


def test_base64_is_checked_before_the_model_is_looked_for(daemon: DaemonProcess) -> None:
    status, text = refusal(daemon, "/api/generate", model="nobody", prompt="x", images=["AAAA!"])

    assert (status, json.loads(text)["error"]) == (400, "illegal base64 data at input byte 4")


def test_old_messages_give_way_to_images(daemon: DaemonProcess) -> None:
    old = [{"role": role, "content": "x" * 600} for role in ("user", "assistant") * 2]
    new = {"role": "user", "content": "what?", "images": [sent(picture(1))]}

    answer = daemon.post("/api/chat", model="seeing", messages=[*old, new], options={**GREEDY, "num_ctx": 1024})

    assert answer["prompt_dropped_count"] > 0
    assert NUM_ROWS < answer["prompt_eval_count"] <= 1024


def test_images_that_do_not_fit_are_refused(daemon: DaemonProcess) -> None:
    status, text = refusal(
        daemon,
        "/api/chat",
        model="seeing",
        messages=[{"role": "user", "content": "what?", "images": [sent(picture(1))] * 80}],
    )

    assert status == 400
    assert "exceeds the available context size of 1024 tokens" in text


def test_an_image_is_counted_roughly_where_nothing_is_computed(daemon: DaemonProcess) -> None:
    path, body = with_image("anthropic", picture(1))
    plain = daemon.post(f"{path}/count_tokens", model="seeing", messages=[{"role": "user", "content": "what?"}])

    assert daemon.post(f"{path}/count_tokens", **body)["input_tokens"] >= plain["input_tokens"] + 768


def test_an_image_that_the_template_leaves_out_is_told(daemon: DaemonProcess) -> None:
    assert daemon.post("/api/create", model="deaf", **{"from": "seeing"}, template="{{ .Prompt }}") == {
        "status": "success"
    }
    messages = [{"role": "user", "content": "what?"}, {"role": "tool", "content": "", "images": [sent(picture(1))]}]

    answer = daemon.post("/api/chat", model="deaf", messages=messages, options=GREEDY)

    assert answer["warning"] == "the model did not see image 0 (counted from 0): the prompt has no place for it"
    assert "images left out model=deaf:latest" in daemon.log


def test_an_image_that_a_raw_prompt_does_not_name_is_told(daemon: DaemonProcess) -> None:
    body = {"model": "seeing", "raw": True, "options": GREEDY, "images": [sent(picture(1))] * 3}

    assert "did not see image 0, 2" in daemon.post("/api/generate", **body, prompt="a[img-1]b")["warning"]
    assert "warning" not in daemon.post("/api/generate", **body, prompt="[img-2][img-1][img-0]")


def test_a_model_with_positions_in_two_dimensions_sees_images(daemon: DaemonProcess, tmp_path: Path) -> None:
    tiny_models.two_dimensions(tmp_path / "model.gguf")
    tiny_projector.write_qwen(tmp_path / "projector.gguf")
    files = {path.name: upload(daemon, path.read_bytes()) for path in tmp_path.iterdir()}
    assert daemon.post("/api/create", model="grid", files=files, template=TEMPLATE) == {"status": "success"}

    plain, seen = chat(daemon, "what?", model="grid"), chat(daemon, "what?", picture(1), model="grid")
    turns = [
        {"role": "user", "content": "what?", "images": [sent(picture(1))]},
        {"role": "assistant", "content": "x"},
        {"role": "user", "content": "and?"},
    ]
    again = daemon.post("/api/chat", model="grid", messages=turns, options=GREEDY)

    assert seen["prompt_eval_count"] == plain["prompt_eval_count"] + 9 + len("<|vision_start|><|vision_end|>")
    assert again["prompt_cached_count"] == seen["prompt_eval_count"] - 1
