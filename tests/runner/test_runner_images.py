"""Images through a real runner, on a random model and a random encoder: shapes, places and errors, not meaning."""

import base64
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import tiny_projector
from fakes.answers import Answer
from fakes.runner_process import RunnerProcess, environment
from fakes.tiny_models import KINDS, attention, sliding_window, two_dimensions
from fakes.tiny_projector import NUM_ROWS, picture

from ollamapy.wire.options import Options
from ollamapy.wire.runner import Cancel, Generate, Load, Refusal

pytestmark = pytest.mark.weights

NUM_CTX = 256
BEFORE, AFTER = "what-is-", "-about?"
NUM_TEXT = 1 + len(BEFORE) + len(AFTER)
"""BOS, and a token for each byte; a space would be three."""
ENDLESS = ((2, -100.0),)
"""Without the token that ends an answer: two that are about as good as each other must not decide about its length."""
TOLERANCE = 0.1
"""Of a log probability: cells are rounded to 16 bits, and the shape of a batch decides what is rounded when."""


class Seeing:
    """A runner with a projector that numbers its requests."""

    def __init__(self, process: RunnerProcess, model: Path, projector: Path | None, **fields: Any) -> None:
        self.process = process
        self._last_id = 0
        fields = {"pool_tokens": 1024, "num_parallel": 8, **fields}
        self.ready = process.load(
            Load("llama", str(model), NUM_CTX, projector=str(projector) if projector else "", **fields)
        )

    def request(self, prompt: str, *images: bytes, num_predict: int = 6, **fields: Any) -> Generate:
        self._last_id += 1
        options = Options(temperature=0, num_predict=num_predict, logit_bias=ENDLESS)
        told = {"num_top_logprobs": 0, "wants_tokens": True, "num_ctx": NUM_CTX, **fields}
        data = tuple(base64.b64encode(image).decode() for image in images)
        return Generate(self._last_id, prompt, options, images=data, **told)

    def ask(self, prompt: str, *images: bytes, **fields: Any) -> Answer:
        return self.process.generate(self.request(prompt, *images, **fields))[0]

    def refused(self, prompt: str, *images: bytes, **fields: Any) -> Refusal:
        return self.ask(prompt, *images, **fields).refusal


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("pair")
    attention(folder / "model.gguf")
    tiny_projector.write(folder / "projector.gguf")
    return folder / "model.gguf", folder / "projector.gguf"


@pytest.fixture(scope="module")
def seeing(files: tuple[Path, Path]) -> Iterator[Seeing]:
    with RunnerProcess() as process:
        yield Seeing(process, *files)


def assert_alike(one: Answer, other: Answer) -> None:
    """The same tokens with the same probabilities, up to where two tokens are equally good."""
    for mine, theirs in zip(one.logprobs, other.logprobs, strict=False):
        assert mine.logprob == pytest.approx(theirs.logprob, abs=TOLERANCE)
        if mine.bytes != theirs.bytes:
            return
    assert one.text == other.text


def first_logprob(answer: Answer) -> tuple[tuple[int, ...], float]:
    return answer.logprobs[0].bytes, answer.logprobs[0].logprob


def test_an_image_takes_the_rows_of_its_encoder(seeing: Seeing) -> None:
    answer = seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(1))

    assert answer.finished.num_prompt == NUM_TEXT + NUM_ROWS
    assert answer.finished.num_output > 0


def test_the_same_image_gives_the_same_answer_and_another_image_another(files: tuple[Path, Path]) -> None:
    prompt = f"{BEFORE}[img-0]{AFTER}"
    answers = []
    for seed in (1, 1, 2):
        with RunnerProcess() as process:
            answers.append(Seeing(process, *files).ask(prompt, picture(seed)))

    assert_alike(answers[0], answers[1])
    assert first_logprob(answers[0]) != first_logprob(answers[2])
    assert abs(answers[0].logprobs[0].logprob - answers[2].logprobs[0].logprob) > TOLERANCE


KINDS_OF_SIGHT = {
    "llava": (attention, tiny_projector.write),
    "rows that see each other": (attention, tiny_projector.write_gemma),
    "gemma 3": (sliding_window, tiny_projector.write_gemma),
    "rows in a grid": (two_dimensions, tiny_projector.write_qwen),
}


@pytest.mark.parametrize("kind", KINDS_OF_SIGHT)
def test_an_image_is_computed_as_by_the_helpers_of_llama_cpp(tmp_path: Path, kind: str) -> None:
    for write, name in zip(KINDS_OF_SIGHT[kind], ("model.gguf", "projector.gguf"), strict=True):
        write(tmp_path / name)
    image = picture(5, size=(40, 130))
    (tmp_path / "image.png").write_bytes(image)
    files = [str(tmp_path / name) for name in ("model.gguf", "projector.gguf", "image.png")]
    command = [sys.executable, "-m", "fakes.mtmd_reference", *files, BEFORE, AFTER]
    printed = subprocess.run(command, env=environment(), capture_output=True, text=True, check=True, timeout=600).stdout
    num_prompt, num_positions, token, logprob = printed.split()[-4:]

    with RunnerProcess() as process:
        seeing = Seeing(process, tmp_path / "model.gguf", tmp_path / "projector.gguf")
        answers = [seeing.ask(f"{BEFORE}[img-0]{AFTER}", image) for _ in range(2)]

    assert (int(num_positions) < int(num_prompt)) == (kind == "rows in a grid")
    for answer in answers:
        assert answer.finished.num_prompt == int(num_prompt)
        assert answer.finished.tokens[-len(answer.logprobs)] == int(token)
        tolerance = TOLERANCE if answer.finished.num_prompt_cached else 0.01
        assert answer.logprobs[0].logprob == pytest.approx(float(logprob), abs=tolerance)


def test_the_place_of_an_image_matters(seeing: Seeing) -> None:
    first = seeing.ask(f"[img-0]{BEFORE}{AFTER}", picture(1))
    last = seeing.ask(f"{BEFORE}{AFTER}[img-0]", picture(1))

    assert first.finished.num_prompt == last.finished.num_prompt == NUM_TEXT + NUM_ROWS
    assert first_logprob(first) != first_logprob(last)


def test_the_order_of_two_images_matters(seeing: Seeing) -> None:
    one = seeing.ask("[img-0]-and-[img-1]?", picture(1), picture(2))
    other = seeing.ask("[img-1]-and-[img-0]?", picture(1), picture(2))

    assert one.finished.num_prompt == 1 + len("-and-?") + 2 * NUM_ROWS
    assert first_logprob(one) != first_logprob(other)
    assert_alike(one, seeing.ask("[img-1]-and-[img-0]?", picture(2), picture(1)))


def test_a_marker_of_no_image_is_text_and_an_image_without_a_marker_is_not_read(seeing: Seeing) -> None:
    text = seeing.ask("[img-7]", picture(1))

    assert text.finished.num_prompt == 1 + len("[img-7]")


@pytest.mark.parametrize("kind", ["attention", "sliding window"])
def test_what_the_cache_holds_of_an_image_changes_no_answer(
    files: tuple[Path, Path], tmp_path: Path, kind: str
) -> None:
    KINDS[kind](tmp_path / "model.gguf")
    prompts = [f"{BEFORE}[img-0]{AFTER}", f"{BEFORE}[img-0]-then-{AFTER}", f"{BEFORE}[img-0]"]
    prompts = [*prompts, *prompts]
    alone = []
    for prompt in prompts[:3]:
        with RunnerProcess() as process:
            alone.append(Seeing(process, tmp_path / "model.gguf", files[1]).ask(prompt, picture(1)))

    with RunnerProcess() as process:
        seeing = Seeing(process, tmp_path / "model.gguf", files[1])
        again = [seeing.ask(prompt, picture(1)) for prompt in prompts]

    for answer, expected in zip(again, [*alone, *alone], strict=True):
        assert_alike(answer, expected)
    if kind == "attention":
        assert again[1].finished.num_prompt_cached == 1 + len(BEFORE) + NUM_ROWS + 1
        assert again[3].finished.num_prompt_cached == NUM_TEXT + NUM_ROWS - 1


def test_the_cells_of_one_image_are_not_those_of_another(seeing: Seeing) -> None:
    seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(31))

    assert seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(32)).finished.num_prompt_cached == 1 + len(BEFORE)


def test_small_batches_give_the_same_answer(files: tuple[Path, Path], seeing: Seeing) -> None:
    prompt = f"{BEFORE}[img-0]-and-[img-1]{AFTER}"
    expected = seeing.ask(prompt, picture(1), picture(2))

    with RunnerProcess() as process:
        small = Seeing(process, *files, num_batch=5, num_parallel=1, pool_tokens=NUM_CTX)
        assert_alike(small.ask(prompt, picture(1), picture(2)), expected)


def test_texts_and_images_in_company_answer_as_they_do_alone(seeing: Seeing) -> None:
    asked = [(f"{BEFORE}[img-0] {n}{AFTER}", (picture(40 + n),)) for n in range(3)]
    asked += [(f"only text {n}", ()) for n in range(3)]
    together = seeing.process.generate(*(seeing.request(prompt, *images) for prompt, images in asked))

    for answer, (prompt, images) in zip(together, asked, strict=True):
        assert_alike(answer, seeing.ask(prompt, *images))


def test_the_tokens_of_an_answer_are_tokens(seeing: Seeing) -> None:
    answer = seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(1))

    assert min(answer.finished.tokens) >= 0
    assert len(answer.finished.tokens) == NUM_TEXT + len(answer.logprobs)


def test_a_context_with_an_image_ends_instead_of_shifting(seeing: Seeing) -> None:
    answer = seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(1), num_ctx=NUM_TEXT + NUM_ROWS + 3, num_predict=50)

    assert answer.finished.reason == "length"
    assert answer.finished.num_output == 3


def test_images_count_towards_the_context(seeing: Seeing) -> None:
    refusal = seeing.refused("[img-0][img-1]", picture(1), picture(2), num_ctx=2 * NUM_ROWS)

    assert refusal.code == "prompt_too_long"
    assert (refusal.num_prompt, refusal.limit) == (1 + 2 * NUM_ROWS, 2 * NUM_ROWS)


@pytest.mark.parametrize(
    "data",
    [b"", b"no image", picture(1)[:200], picture(1, "JPEG")[:100], picture(1)[:60] + b"\0" * 200],
    ids=["nothing", "text", "half a png", "half a jpeg", "zeros"],
)
def test_what_is_no_image_is_refused_and_the_runner_goes_on(seeing: Seeing, data: bytes) -> None:
    refusal = seeing.refused("[img-0]", data)

    assert refusal.code == "invalid"
    assert refusal.message.startswith("the image is damaged")
    assert seeing.ask("[img-0]", picture(1)).finished.num_output > 0


@pytest.mark.parametrize(
    ("kind", "fields"), [("PNG", {}), ("WEBP", {"lossless": True}), ("GIF", {}), ("JPEG", {"quality": 100})]
)
def test_every_kind_of_file_is_read(seeing: Seeing, kind: str, fields: dict[str, Any]) -> None:
    assert seeing.ask(f"{BEFORE}[img-0]", picture(1, kind, **fields)).finished.num_prompt > NUM_ROWS


def test_a_png_and_a_webp_of_the_same_pixels_are_the_same_to_the_model(seeing: Seeing) -> None:
    png = seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(9))

    assert_alike(seeing.ask(f"{BEFORE}[img-0]{AFTER}", picture(9, "WEBP", lossless=True)), png)


def test_a_request_that_is_cancelled_while_its_image_is_read_ends(seeing: Seeing) -> None:
    request = seeing.request("[img-0]", picture(77, size=(2000, 2000)), num_predict=200)

    seeing.process.send(request, Cancel(request.id))

    assert seeing.process.answer(request.id).finished.reason == "cancel"


def test_a_runner_without_a_projector_sees_no_images(files: tuple[Path, Path]) -> None:
    with RunnerProcess() as process:
        refusal = Seeing(process, files[0], None).refused("[img-0]", picture(1))

    assert refusal.code == "invalid"
    assert "projector" in refusal.message


def test_a_projector_of_another_width_does_not_load(files: tuple[Path, Path], tmp_path: Path) -> None:
    tiny_projector.write(tmp_path / "wide.gguf", text_width=48)

    with RunnerProcess() as process:
        load = Load("llama", str(files[0]), NUM_CTX, NUM_CTX, 1, projector=str(tmp_path / "wide.gguf"))
        assert "could not load the projector wide.gguf" in process.load_error(load)


@pytest.fixture(scope="module")
def grid_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("grid")
    two_dimensions(folder / "model.gguf")
    tiny_projector.write_qwen(folder / "projector.gguf")
    return folder / "model.gguf", folder / "projector.gguf"


def test_a_grid_in_small_batches_and_in_company_gives_the_same_answer(grid_files: tuple[Path, Path]) -> None:
    prompt = f"{BEFORE}[img-0]-and-[img-1]{AFTER}"
    images = (picture(1, size=(40, 130)), picture(2, size=(140, 130)))
    with RunnerProcess() as process:
        expected = Seeing(process, *grid_files).ask(prompt, *images)
    with RunnerProcess() as process:
        small = Seeing(process, *grid_files, num_batch=5, num_parallel=1, pool_tokens=NUM_CTX)
        alone = small.ask(prompt, *images)
    with RunnerProcess() as process:
        crowd = Seeing(process, *grid_files)
        together = process.generate(*(crowd.request(prompt, *images) for _ in range(3)), crowd.request("only text"))

    assert expected.finished.num_prompt > NUM_TEXT + len("-and-") + 60
    for answer in (alone, *together[:3]):
        assert_alike(answer, expected)


def test_a_chat_goes_on_from_the_cells_of_a_grid(grid_files: tuple[Path, Path]) -> None:
    prompt, image = f"{BEFORE}[img-0]{AFTER}", picture(1, size=(40, 130))
    with RunnerProcess() as process:
        seeing = Seeing(process, *grid_files)
        first = seeing.ask(prompt, image)
        longer = seeing.ask(f"{prompt}-then", image)
    with RunnerProcess() as process:
        fresh = Seeing(process, *grid_files).ask(f"{prompt}-then", image)

    assert longer.finished.num_prompt_cached == first.finished.num_prompt - 1
    assert_alike(longer, fresh)
