"""From a Modelfile and the folder it lies in to a create request: the contract's semantic cases S1 to S28, and more."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ollamapy.errors import InvalidInput
from ollamapy.modelfile.files import Found, find_local
from ollamapy.modelfile.parse import parse
from ollamapy.modelfile.request import CreatePlan, check_requires, to_create
from ollamapy.names import Digest

GGUF = b"GGUF\x03\x00\x00\x00"


def nothing_there(value: str) -> Found:
    return Found(Path("/nowhere") / value)


def planned(lines: str) -> CreatePlan:
    return to_create(parse(f"FROM a\n{lines}\n"), nothing_there)


def planned_in(folder: Path, text: str) -> CreatePlan:
    return to_create(parse(text), partial(find_local, folder=folder))


def write(folder: Path, name: str, content: bytes = GGUF) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


FIELDS: list[tuple[str, str, dict[str, Any]]] = [
    ("S1", "PARAMETER temperature 0.5", {"parameters": {"temperature": 0.5}}),
    ("S5", "PARAMETER num_ctx +5", {"parameters": {"num_ctx": 5}}),
    ("S7", "PARAMETER use_mmap T", {"parameters": {"use_mmap": True}}),
    ("S13", "PARAMETER top_k 1\nPARAMETER top_k 2", {"parameters": {"top_k": 2}}),
    ("S14", "PARAMETER stop a b\nPARAMETER stop c", {"parameters": {"stop": ["a b", "c"]}}),
    ("S15", "PARAMETER stop ", {"parameters": {"stop": [""]}}),
    ("S17", "SYSTEM x\nSYSTEM y", {"system": "y"}),
    ("S18", "LICENSE a\nLICENSE b", {"license": ["a", "b"]}),
    ("S19", "MESSAGE user a: b", {"messages": [{"role": "user", "content": "a: b"}]}),
    ("S20", "REQUIRES v0.14", {"requires": "0.14"}),
]

ERRORS = [
    ("S2", "PARAMETER temperature abc", "invalid float value [abc]"),
    ("S3", "PARAMETER num_ctx 4.0", "invalid int value [4.0]"),
    ("S4", "PARAMETER num_ctx 1_000", "invalid int value [1_000]"),
    ("S6", "PARAMETER use_mmap yes", "invalid bool value [yes]"),
    ("S8", "PARAMETER foo 1", "unknown parameter 'foo'"),
    ("S9", "PARAMETER TOP_K 5", "unknown parameter 'TOP_K'"),
    ("S10", "PARAMETER  stop x", "unknown parameter ''"),
    ("S12", "PARAMETER numa true", "unknown parameter 'numa'"),
    ("S16", "PARAMETER top_k ", "invalid int value []"),
    ("S21", "REQUIRES abc", "requires must be a valid semver (e.g. 0.14.0)"),
]


@pytest.mark.parametrize(("lines", "fields"), [case[1:] for case in FIELDS], ids=[case[0] for case in FIELDS])
def test_a_semantic_case_gives_its_fields(lines: str, fields: dict[str, Any]) -> None:
    assert planned(lines).request({}) == {"from": "a", **fields}


@pytest.mark.parametrize(("lines", "text"), [case[1:] for case in ERRORS], ids=[case[0] for case in ERRORS])
def test_a_semantic_case_gives_its_error(lines: str, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned(lines)

    assert str(caught.value) == text


def test_s11_a_deprecated_parameter_is_a_warning_and_no_parameter() -> None:
    plan = planned("PARAMETER f16_kv 1\nPARAMETER low_vram true")

    assert plan.warnings == (
        "warning: parameter f16_kv is deprecated",
        "warning: parameter low_vram is deprecated",
    )
    assert plan.request({}) == {"from": "a"}


def test_s22_an_adapter_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        planned_in(tmp_path, "FROM a\nADAPTER ./missing\n")

    assert str(caught.value) == f"stat {tmp_path}/missing: no such file or directory"


@pytest.mark.parametrize("value", ["./missing.gguf", "missing.gguf"], ids=["S23", "S24"])
def test_a_from_where_nothing_is_stays_a_model_name_as_it_was_written(tmp_path: Path, value: str) -> None:
    assert planned_in(tmp_path, f"FROM {value}\n").request({}) == {"from": value}


def test_s25_a_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "dir/README", b"hello")

    with pytest.raises(InvalidInput) as caught:
        planned_in(tmp_path, "FROM ./dir\n")

    assert str(caught.value) == "no Modelfile or safetensors files found"


def test_s26_the_modelfiles_own_folder_gives_the_gguf_beside_it(tmp_path: Path) -> None:
    model = write(tmp_path, "x.gguf")
    write(tmp_path, "Modelfile", b"FROM .")

    plan = planned_in(tmp_path, "FROM .\n")

    assert plan.files == {"x.gguf": model}
    assert plan.local_files == (model,)
    assert plan.request({model: Digest("0" * 64)}) == {"files": {"x.gguf": "sha256:" + "0" * 64}}


def test_s27_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    model = write(tmp_path, "home/m.gguf")

    assert planned_in(tmp_path, "FROM ~/m.gguf\n").files == {"m.gguf": model}


@pytest.mark.parametrize("text", ["FROM ./x.gguf\nDRAFT ./x.gguf\n", "DRAFT y/../x.gguf\nFROM x.gguf\n"])
def test_s28_a_draft_is_not_the_model_itself(tmp_path: Path, text: str) -> None:
    write(tmp_path, "x.gguf")

    with pytest.raises(InvalidInput) as caught:
        planned_in(tmp_path, text)

    assert str(caught.value) == f"DRAFT must not reference the same local path as FROM: {tmp_path}/x.gguf"


def test_a_draft_must_exist(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"stat .*/d: no such file or directory"):
        planned_in(tmp_path, "FROM a\nDRAFT d\n")


def test_a_file_named_like_the_model_wins_over_the_model(tmp_path: Path) -> None:
    model = write(tmp_path, "a")

    plan = planned_in(tmp_path, "FROM a\n")

    assert (plan.files, plan.fields) == ({"a": model}, {})


def test_local_paths_of_several_from_lines_are_merged_and_the_last_name_wins(tmp_path: Path) -> None:
    one, two = write(tmp_path, "one.gguf"), write(tmp_path, "sub/two.gguf")

    plan = planned_in(tmp_path, "FROM b\nFROM one.gguf\nFROM c\nFROM sub/two.gguf\nFROM ./one.gguf\n")

    assert plan.fields == {"from": "c"}
    assert plan.files == {"one.gguf": one, "sub/two.gguf": two}


def test_keys_of_several_files_are_relative_to_their_common_folder(tmp_path: Path) -> None:
    write(tmp_path, "deep/a/one.gguf")
    write(tmp_path, "deep/b/one.gguf")

    plan = planned_in(tmp_path, "FROM deep/a/one.gguf\nFROM deep/b/one.gguf\n")

    assert list(plan.files) == ["a/one.gguf", "b/one.gguf"]


def test_the_last_adapter_wins_and_drafts_are_merged(tmp_path: Path) -> None:
    paths = {name: write(tmp_path, name) for name in ("l1.gguf", "l2.gguf", "d1.gguf", "d2.gguf")}

    plan = planned_in(tmp_path, "FROM a\nADAPTER l1.gguf\nADAPTER l2.gguf\nDRAFT d1.gguf\nDRAFT d2.gguf\n")

    assert plan.adapters == {"l2.gguf": paths["l2.gguf"]}
    assert plan.draft_files == {"d1.gguf": paths["d1.gguf"], "d2.gguf": paths["d2.gguf"]}
    digests = {path: Digest(f"{number:064x}") for number, path in enumerate(plan.local_files)}
    assert plan.request(digests) == {
        "from": "a",
        "adapters": {"l2.gguf": f"sha256:{0:064x}"},
        "draft_files": {"d1.gguf": f"sha256:{1:064x}", "d2.gguf": f"sha256:{2:064x}"},
    }


def test_every_instruction_has_its_field_and_empty_texts_are_sent() -> None:
    lines = (
        'SYSTEM ""\nTEMPLATE """{{ .Prompt }}"""\nRENDERER r\nPARSER p\nREQUIRES 1\nMESSAGE system s\nMESSAGE user u'
    )

    assert planned(lines).request({}) == {
        "from": "a",
        "system": "",
        "template": "{{ .Prompt }}",
        "renderer": "r",
        "parser": "p",
        "requires": "1",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}],
    }


def test_the_first_instruction_that_fails_is_the_one_reported() -> None:
    with pytest.raises(InvalidInput, match="requires must be"):
        planned("REQUIRES x\nPARAMETER foo 1")


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("1", "1"),
        ("v0.14", "0.14"),
        ("0.14.0", "0.14.0"),
        ("v1.2.3-rc.1+b.01", "1.2.3-rc.1+b.01"),
        ("1.2.3--", "1.2.3--"),
        ("1.2.3-0a", "1.2.3-0a"),
    ],
)
def test_a_version_loses_its_v(text: str, version: str) -> None:
    assert check_requires(text) == version


@pytest.mark.parametrize(
    "text",
    [
        "",
        "v",
        "vv1",
        "V1",
        "1.",
        "01",
        "1.02",
        "1.2.3.4",
        "1-rc",
        "1.2+b",
        "1.2.3-",
        "1.2.3-01",
        "1.2.3-a..b",
        "1 ",
        "1\n",
    ],
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="requires must be a valid semver"):
        check_requires(text)
