"""The pages of show."""

from typing import Any

import pytest

from ollamapy.cli import show
from ollamapy.errors import InvalidInput
from ollamapy.wire.native import Details, ShowResponse, Tensor


def answer(**fields: Any) -> ShowResponse:
    details = Details(family="llama", parameter_size="3.2B", quantization_level="Q4_K_M")
    info = {"general.architecture": "llama", "llama.context_length": 131072, "llama.embedding_length": 3072}
    return ShowResponse(**({"details": details, "model_info": info} | fields))


def test_the_page_is_the_contracts_example() -> None:
    shown = answer(
        capabilities=("completion", "tools"),
        parameters='stop                           "<|eot_id|>"\ntemperature                    0.6',
    )

    assert show.page(shown) == (
        "  Model\n"
        "    architecture        llama\n"
        "    parameters          3.2B\n"
        "    context length      131072\n"
        "    embedding length    3072\n"
        "    quantization        Q4_K_M\n"
        "\n"
        "  Capabilities\n"
        "    completion\n"
        "    tools\n"
        "\n"
        "  Parameters\n"
        '    stop           "<|eot_id|>"\n'
        "    temperature    0.6\n"
        "\n"
    )


def test_parameters_are_counted_when_nobody_wrote_them_down_and_requires_comes_last() -> None:
    shown = answer(
        details=Details(quantization_level="F16"),
        model_info={"general.architecture": "x", "general.parameter_count": 134515008},
        requires="0.14.0",
    )

    assert show.page(shown) == (
        "  Model\n"
        "    architecture    x\n"
        "    parameters      134.52M\n"
        "    quantization    F16\n"
        "    requires        0.14.0\n"
        "\n"
    )


def test_a_projector_has_its_own_section() -> None:
    info = {
        "general.architecture": "clip",
        "general.parameter_count": 7_000_000_000,
        "clip.vision.embedding_length": 1024,
        "clip.vision.projection_dim": 768,
    }

    assert (
        "  Projector\n"
        "    architecture        clip\n"
        "    parameters          7B\n"
        "    embedding length    1024\n"
        "    dimensions          768\n"
    ) in show.page(answer(projector_info=info))


def test_texts_show_their_first_two_lines_wrapped_at_a_hundred_columns() -> None:
    text = "\n  first  \n\n" + "word " * 25 + "\nthird\n"

    assert (
        "  License\n    first\n    " + ("word " * 20).strip() + "\n    " + ("word " * 5).strip() + "\n    ...\n"
    ) in show.page(answer(license=text))


def test_verbose_adds_metadata_and_tensors() -> None:
    info = {"b": [1, 2, 3, 4, 5], "a": True, "c": None, "d": 10000000, "e": ["a long token", "x"], "f": []}
    page = show.page(
        answer(model_info=info, tensors=(Tensor(name="t", type="Q4_1", shape=(42, 3117)),)), is_verbose=True
    )

    assert (
        "  Metadata\n"
        "    a    true\n"
        "    b    [1 2 3 ...+2 more]\n"
        "    c    <nil>\n"
        "    d    1e+07\n"
        "    e    [a long token ...+1 more]\n"
        "    f    []\n"
        "\n"
        "  Tensors\n"
        "    t    Q4_1    [42 3117]\n"
    ) in page


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999999, "999999"),
        (1e6, "1e+06"),
        (8e9, "8e+09"),
        (1e-5, "1e-05"),
        (0.0001, "0.0001"),
        (1234567, "1.234567e+06"),
        (-0.5, "-0.5"),
        (131072, "131072"),
        (1e100, "1e+100"),
    ],
)
def test_numbers_look_like_gos(value: float, text: str) -> None:
    assert show.go_number(value) == text


def test_one_field_is_printed_as_it_is() -> None:
    shown = answer(license="MIT", system="Be brief.", template="{{ .Prompt }}")

    assert show.one_field(shown, "license") == "MIT\n"
    assert show.one_field(shown, "parameters") == "\n"
    assert show.one_field(shown, "system") == "Be brief."
    assert show.one_field(shown, "template") == "{{ .Prompt }}"


def test_two_fields_at_once_are_refused() -> None:
    with pytest.raises(InvalidInput, match="only one of '--license'"):
        show.check_fields(["system", "template"])
