"""Manifests: which names there are, in which spelling, and what is passed over."""

import hashlib
import json
import logging
import os
from pathlib import Path

import pytest
from fakes.store_files import layer, manifest_bytes, tree, write_blob, write_manifest, write_model

from ollamapy.errors import NotFound, StoreError
from ollamapy.names import ModelName
from ollamapy.store.layout import Layout
from ollamapy.store.manifests import Manifests

LIBRARY = "registry.ollama.ai/library"


@pytest.fixture
def manifests(tmp_path: Path) -> Manifests:
    return Manifests(Layout(tmp_path))


def name(text: str) -> ModelName:
    return ModelName.parse(text)


def raw(root: Path, weights: bytes = b"weights") -> bytes:
    return manifest_bytes(root, layer(root, "model", weights))


def test_a_manifest_lies_where_ollama_looks_for_it(manifests, tmp_path):
    manifests.link(name("m"), raw(tmp_path))
    manifests.link(name("localhost:5000/ns/m:8b"), raw(tmp_path))

    assert (tmp_path / LIBRARY / "m/latest").exists() is False
    assert (tmp_path / "manifests" / LIBRARY / "m/latest").is_file()
    assert (tmp_path / "manifests/localhost:5000/ns/m/8b").is_file()


def test_a_manifest_is_kept_byte_for_byte(manifests, tmp_path):
    """Its sha256 is the model's id, and fields that are not ours belong to somebody."""
    document = json.loads(raw(tmp_path)) | {"annotations": {"a": [1, 2]}}
    odd = json.dumps(dict(reversed(document.items())), indent=3).encode() + b"\n\n"

    manifests.link(name("m"), odd)

    stored = manifests.read(name("m"))
    assert stored.raw == odd
    assert stored.digest == hashlib.sha256(odd).hexdigest()
    assert stored.manifest.of_kind("model")[0].size == 7


def test_reading_answers_the_time_of_the_file(manifests, tmp_path):
    path = write_model(tmp_path, f"{LIBRARY}/m/latest")
    os.utime(path, (1234.5, 1234.5))

    assert manifests.read(name("m")).modified == 1234.5


def test_a_missing_model_is_not_found_and_the_hint_says_how_to_get_it(manifests):
    with pytest.raises(NotFound, match="model 'm:latest' not found") as caught:
        manifests.read(name("m"))

    assert caught.value.hint == "ollamapy pull m:latest fetches it"


def test_a_folder_in_the_place_of_a_manifest_is_no_model(manifests, tmp_path):
    (tmp_path / "manifests" / LIBRARY / "m" / "latest").mkdir(parents=True)

    with pytest.raises(NotFound):
        manifests.read(name("m"))
    with pytest.raises(NotFound):
        manifests.unlink(name("m"))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"schemaVersion":2,"layers":7}',
        b'{"schemaVersion":2,"layers":[{"mediaType":"x","digest":"sha256:12","size":1}]}',
        b'{"schemaVersion":2,"layers":[{"mediaType":"x","digest":"","size":1}]}',
        b"[" * 100_000,
        b" " * (5 << 20),
    ],
)
def test_a_broken_manifest_cannot_be_read_or_linked_and_is_not_listed(manifests, tmp_path, content):
    write_manifest(tmp_path, f"{LIBRARY}/broken/latest", content)
    write_model(tmp_path, f"{LIBRARY}/good/latest")

    with pytest.raises(StoreError, match="the manifest of broken:latest is"):
        manifests.read(name("broken"))
    with pytest.raises(StoreError, match="the manifest of other:latest is"):
        manifests.link(name("other"), content)
    assert [stored.name.short for stored in manifests.all()] == ["good:latest"]
    assert len(manifests.broken()) == 1


def test_a_manifest_without_a_config_is_fine(manifests, tmp_path):
    document = json.loads(raw(tmp_path))
    del document["config"]
    write_manifest(tmp_path, f"{LIBRARY}/none/latest", json.dumps(document).encode())
    document["config"] = {"mediaType": "", "digest": "", "size": 0}
    write_manifest(tmp_path, f"{LIBRARY}/empty/latest", json.dumps(document).encode())

    assert [len(stored.blobs) for stored in manifests.all()] == [1, 1]


def test_a_model_is_linked_only_when_all_of_it_is_there(manifests, tmp_path):
    content = raw(tmp_path)
    next((tmp_path / "blobs").iterdir()).unlink()

    with pytest.raises(StoreError, match=r"cannot link m:latest, its blob sha256:\w+ is missing"):
        manifests.link(name("m"), content)

    assert manifests.names() == []


def test_a_model_with_a_cut_blob_is_not_linked(manifests, tmp_path):
    content = raw(tmp_path)
    write_blob(tmp_path, b"weights")
    (path,) = [path for path in (tmp_path / "blobs").iterdir() if path.read_bytes() == b"weights"]
    path.write_bytes(b"weigh")

    with pytest.raises(StoreError, match="has 5 bytes, the manifest says 7"):
        manifests.link(name("m"), content)


def test_linking_over_a_model_replaces_it(manifests, tmp_path):
    manifests.link(name("m"), raw(tmp_path, b"one"))

    manifests.link(name("m"), raw(tmp_path, b"two!"))

    assert manifests.read(name("m")).manifest.layers[0].size == 4
    assert len(manifests.names()) == 1


def test_what_is_not_a_manifest_is_ignored_with_one_warning_each(manifests, tmp_path, caplog):
    write_model(tmp_path, f"{LIBRARY}/m/latest")
    for path in (
        ".hidden",
        f"{LIBRARY}/.DS_Store",
        f"{LIBRARY}/m/.hidden",
        f"{LIBRARY}/m/deeper/latest",
        f"{LIBRARY}/shallow",
        "host/name.space/m/latest",
        f"{LIBRARY}/m/{'x' * 81}",
    ):
        write_manifest(tmp_path, path, b"{}")

    with caplog.at_level(logging.WARNING):
        assert [stored.name.short for stored in manifests.all()] == ["m:latest"]
        list(manifests.all())

    assert len(caplog.messages) == 7
    assert manifests.broken() == []


def test_a_linked_model_folder_is_read(manifests, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "latest").write_bytes(raw(tmp_path))
    (tmp_path / "manifests" / LIBRARY).mkdir(parents=True)
    (tmp_path / "manifests" / LIBRARY / "m").symlink_to(elsewhere)

    assert [stored.name.short for stored in manifests.all()] == ["m:latest"]
    assert manifests.read(name("M")).name.short == "m:latest"


def test_a_linked_folder_is_emptied_and_not_removed(manifests, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "latest").write_bytes(raw(tmp_path))
    (tmp_path / "manifests" / LIBRARY).mkdir(parents=True)
    link = tmp_path / "manifests" / LIBRARY / "m"
    link.symlink_to(elsewhere)

    manifests.unlink(name("m"))

    assert link.is_symlink()
    assert list(elsewhere.iterdir()) == []


def test_a_link_to_nothing_makes_the_list_uncertain(manifests, tmp_path):
    """The models behind it may be on a disk that is not mounted: their blobs must not be pruned."""
    (tmp_path / "manifests" / LIBRARY).mkdir(parents=True)
    (tmp_path / "manifests" / LIBRARY / "m").symlink_to(tmp_path / "nowhere")

    assert manifests.names() == []
    assert manifests.broken() == [f"{tmp_path}/manifests/{LIBRARY}/m: a link to nothing"]


def test_unlinking_removes_every_folder_that_is_empty_then(manifests, tmp_path):
    manifests.link(name("a"), raw(tmp_path))
    manifests.link(name("h/n/b"), raw(tmp_path))
    (tmp_path / "manifests" / "old" / "empty").mkdir(parents=True)

    manifests.unlink(name("h/n/b"))
    assert sorted(path.name for path in (tmp_path / "manifests").iterdir()) == ["registry.ollama.ai"]

    manifests.unlink(name("a"))
    assert not (tmp_path / "manifests").exists()


def test_unlinking_what_is_not_there_is_not_found(manifests):
    with pytest.raises(NotFound, match="model 'm:latest' not found"):
        manifests.unlink(name("m"))


def test_a_copy_is_the_same_manifest_under_another_name(manifests, tmp_path):
    manifests.link(name("a"), raw(tmp_path))

    manifests.copy(name("a"), name("ns/b:2"))

    assert manifests.read(name("ns/b:2")).raw == manifests.read(name("a")).raw


def test_a_copy_over_a_model_replaces_it(manifests, tmp_path):
    manifests.link(name("a"), raw(tmp_path, b"one"))
    manifests.link(name("b"), raw(tmp_path, b"two!"))

    manifests.copy(name("a"), name("b"))

    assert manifests.read(name("b")).raw == manifests.read(name("a")).raw


@pytest.mark.parametrize("same", ["a", "A", "library/a:LATEST"])
def test_a_copy_onto_itself_changes_nothing(manifests, tmp_path, same):
    manifests.link(name("a"), raw(tmp_path))
    path = tmp_path / "manifests" / LIBRARY / "a" / "latest"
    os.utime(path, (1000, 1000))

    manifests.copy(name("a"), name(same))

    assert path.stat().st_mtime == 1000
    assert len(manifests.names()) == 1


def test_a_copy_of_nothing_is_not_found(manifests):
    with pytest.raises(NotFound, match="model 'a:latest' not found"):
        manifests.copy(name("a"), name("b"))


def test_names_are_found_in_any_case(manifests, tmp_path):
    manifests.link(name("Host.Example/Org/Model:Q4_K_M"), raw(tmp_path))

    for text in ("host.example/org/model:q4_k_m", "HOST.EXAMPLE/ORG/MODEL:Q4_K_M", "Host.Example/Org/Model:Q4_K_M"):
        assert manifests.read(name(text)).name.full == "Host.Example/Org/Model:Q4_K_M"


def test_writing_keeps_the_spelling_that_is_there(manifests, tmp_path):
    """The contract's own example: copy A to b, then create B."""
    manifests.link(name("A"), raw(tmp_path))
    manifests.copy(name("A"), name("b"))

    used = manifests.link(name("B"), raw(tmp_path, b"new"))

    assert used.short == "b:latest"
    assert [stored.short for stored in manifests.names()] == ["A:latest", "b:latest"]
    assert manifests.read(name("B")).manifest.layers[0].size == 3


def test_a_new_name_takes_each_part_in_the_spelling_that_is_there(manifests, tmp_path):
    manifests.link(name("Org/Model:Tag"), raw(tmp_path))

    assert manifests.resolve_spelling(name("org/other:tag")).short == "Org/other:Tag"
    assert manifests.resolve_spelling(name("ORG/model:new")).short == "Org/Model:new"


def test_two_models_that_differ_in_case_alone_are_both_reachable(manifests, tmp_path):
    """Only other programs make such a store; each exact spelling must still lead to its own model."""
    for path, weights in (("Foo", b"1"), ("foo", b"22")):
        write_model(tmp_path, f"{LIBRARY}/{path}/latest", weights)
    if len(manifests.names()) < 2:
        pytest.skip("this disk ignores case")

    assert manifests.read(name("Foo")).manifest.layers[0].size == 1
    assert manifests.read(name("foo")).manifest.layers[0].size == 2
    assert manifests.read(name("FOO")).manifest.layers[0].size in (1, 2)


def test_the_tag_of_another_model_does_not_hide_a_model(manifests, tmp_path):
    """Compared part by part alone, `latest` would become `LATEST`, which the first model does not have."""
    manifests.link(name("z"), raw(tmp_path))
    write_model(tmp_path, f"{LIBRARY}/a/LATEST", b"other")

    assert manifests.read(name("Z")).name.short == "z:latest"


def test_the_scheme_of_a_request_survives(manifests, tmp_path):
    manifests.link(name("h/n/m"), raw(tmp_path))

    assert manifests.resolve_spelling(name("http://H/n/m")).scheme == "http"


def test_listing_is_in_order_of_the_paths(manifests, tmp_path):
    for text in ("c", "a", "b", "a:1", "ns/a"):
        manifests.link(name(text), raw(tmp_path))

    assert [each.short for each in manifests.names()] == ["a:1", "a:latest", "b:latest", "c:latest", "ns/a:latest"]


def test_an_empty_directory_has_no_models(manifests, tmp_path):
    assert manifests.names() == []
    assert list(manifests.all()) == []
    assert manifests.broken() == []
    assert tree(tmp_path) == set()


def test_a_write_that_fails_leaves_the_old_manifest_and_nothing_else(manifests, tmp_path):
    content = raw(tmp_path)
    (tmp_path / "manifests" / LIBRARY / "m" / "latest").mkdir(parents=True)
    before = tree(tmp_path)

    with pytest.raises(StoreError, match="cannot write the manifest of m:latest"):
        manifests.link(name("m"), content)

    assert tree(tmp_path) == before
