"""What is found in the folders of other programs, and what it is called."""

from pathlib import Path

import pytest
from fakes.store_files import write_model

from ollamapy.errors import InvalidInput
from ollamapy.store.neighbours import default_places, find, lonely_shards, name_for


def write(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"GGUF")
    return path


@pytest.mark.parametrize(
    ("file", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct.q4_1:latest"),
        ("My Model (v2).GGUF", "my-model-v2-:latest"),
        ("…gguf.gguf", "gguf:latest"),
        ("模型.gguf", "model:latest"),
        ("x" * 90 + ".gguf", "x" * 80 + ":latest"),
    ],
)
def test_a_file_gives_its_name_in_letters_that_names_may_have(file: str, name: str) -> None:
    assert name_for(Path(file)).short == name


def test_ollama_s_models_keep_their_names_and_files(tmp_path: Path) -> None:
    write_model(tmp_path, "hf.co/org/Repo/q4", b"w", template=b"t")

    (found,) = find(tmp_path)

    assert found.name.full == "hf.co/org/Repo:q4"
    assert len(found.files) == len(found.digests) == 3
    assert all(path.is_file() for path in found.files)
    assert found.manifest.startswith(b"{")


def test_a_folder_gives_each_file_with_the_projector_beside_it(tmp_path: Path) -> None:
    a, b = write(tmp_path / "pub/repo/a.gguf"), write(tmp_path / "pub/repo/B.gguf")
    projector = write(tmp_path / "pub/repo/mmproj-a.gguf")
    c = write(tmp_path / "pub/other/c.gguf")
    parts = tuple(write(tmp_path / f"pub/big/big-0000{number}-of-00002.gguf") for number in (1, 2))
    lonely = write(tmp_path / "pub/big/half-00001-of-00002.gguf")
    (tmp_path / "pub/readme.md").write_text("x")

    found = {str(each.name): each.files for each in find(tmp_path)}

    assert found == {"a:latest": (a, projector), "b:latest": (b, projector), "c:latest": (c,), "big:latest": parts}
    assert lonely_shards(tmp_path) == [lonely]


def test_the_cache_of_hugging_face_has_a_file_once_however_many_names_it_has(tmp_path: Path) -> None:
    blob = write(tmp_path / "models--o--r/blobs/abc")
    for revision in ("1", "2"):
        link = tmp_path / f"models--o--r/snapshots/{revision}/m.gguf"
        link.parent.mkdir(parents=True)
        link.symlink_to("../../blobs/abc")

    (found,) = find(tmp_path)

    assert found.files[0].resolve() == blob


def test_no_folder_is_an_error_and_the_default_places_are_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / ".lmstudio/models").mkdir(parents=True)

    assert default_places(tmp_path) == [tmp_path / ".lmstudio/models"]
    with pytest.raises(InvalidInput, match="no file and no folder"):
        list(find(tmp_path / "nowhere"))
