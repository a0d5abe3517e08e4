"""What goes when a model goes, and what a start cleans up: every row of the contract's table."""

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest
from fakes.store_files import blob_path, digest_of, layer, manifest_bytes, tree, write_manifest, write_model

from ollamapy.errors import NotFound, StoreError
from ollamapy.names import Digest, ModelName
from ollamapy.store.prune import GRACE_SECONDS
from ollamapy.store.store import Store

LIBRARY = "registry.ollama.ai/library"
NOW = 1_800_000_000.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def store(root: Path) -> Store:
    return Store(root)


def name(text: str) -> ModelName:
    return ModelName.parse(text)


def blob(root: Path, content: bytes, age_seconds: float = 2 * GRACE_SECONDS) -> Path:
    """A blob that no manifest lists."""
    path = blob_path(root, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return aged(path, age_seconds)


def aged(path: Path, age_seconds: float = 2 * GRACE_SECONDS) -> Path:
    os.utime(path, (NOW - age_seconds, NOW - age_seconds), follow_symlinks=False)
    return path


def contents(root: Path) -> set[bytes]:
    return {path.read_bytes() for path in (root / "blobs").iterdir()}


def test_delete_removes_the_model_and_every_trace_of_it(store, root):
    write_model(root, f"{LIBRARY}/m/latest", template=b"t", license=b"l")

    store.delete(name("m"))

    assert tree(root) == set()
    assert not (root / "manifests").exists()


def test_delete_keeps_the_blobs_of_other_models(store, root):
    write_model(root, f"{LIBRARY}/a/latest", b"shared", template=b"only a")
    write_model(root, f"{LIBRARY}/b/latest", b"shared", template=b"only b")

    store.delete(name("a"))

    assert b"shared" in contents(root)
    assert b"only b" in contents(root)
    assert b"only a" not in contents(root)
    store.check(contents=True)


def test_delete_removes_blobs_however_young_they_are(store, root):
    """The hour of grace is for starts alone."""
    write_model(root, f"{LIBRARY}/m/latest", b"fresh")

    store.delete(name("M"))

    assert contents(root) == set()


def test_delete_keeps_what_is_only_a_config_elsewhere(store, root):
    """A blob counts as used whether it is listed as layer or as config."""
    weights = layer(root, "model", b"w")
    config = manifest_bytes(root, weights, config={"model_type": "7B"})
    write_manifest(root, f"{LIBRARY}/b/latest", config)
    (shared,) = contents(root) - {b"w"}
    write_manifest(root, f"{LIBRARY}/a/latest", manifest_bytes(root, weights, layer(root, "license", shared)))

    store.delete(name("a"))

    assert shared in contents(root)
    store.check(contents=True)


def test_delete_ignores_blobs_that_are_missing_already(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"gone")
    blob_path(root, b"gone").unlink()

    store.delete(name("m"))

    assert tree(root) == set()


def test_delete_of_an_unknown_model_removes_nothing(store, root):
    write_model(root, f"{LIBRARY}/m/latest")
    before = tree(root)

    with pytest.raises(NotFound, match="model 'other:latest' not found"):
        store.delete(name("other"))

    assert tree(root) == before


def test_a_model_with_a_broken_manifest_can_be_deleted(store, root):
    write_manifest(root, f"{LIBRARY}/m/latest", b"{")
    blob(root, b"perhaps its weights")

    store.delete(name("m"))

    assert store.manifests.names() == []
    assert contents(root) == {b"perhaps its weights"}


def test_delete_works_beside_a_broken_manifest(store, root):
    write_manifest(root, f"{LIBRARY}/broken/latest", b"{")
    write_model(root, f"{LIBRARY}/m/latest", b"w")

    store.delete(name("m"))

    assert contents(root) == set()


def test_delete_leaves_unrelated_blobs_alone(store, root):
    write_model(root, f"{LIBRARY}/m/latest")
    blob(root, b"being made")

    store.delete(name("m"))

    assert contents(root) == {b"being made"}


def test_linking_over_a_model_removes_what_only_the_old_one_used(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"old", template=b"kept")
    new = manifest_bytes(root, layer(root, "model", b"new"), layer(root, "template", b"kept"))

    store.link(name("M"), new)

    assert {b"new", b"kept"} < contents(root)
    assert b"old" not in contents(root)
    store.check(contents=True)


def test_linking_over_a_model_keeps_the_old_blobs_when_pruning_is_off(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"old")

    store.link(name("m"), manifest_bytes(root, layer(root, "model", b"new")), noprune=True)

    assert {b"old", b"new"} < contents(root)


def test_linking_over_a_broken_manifest_replaces_it(store, root):
    write_manifest(root, f"{LIBRARY}/m/latest", b"{")

    store.link(name("m"), manifest_bytes(root, layer(root, "model", b"new")))

    assert store.resolve(name("m")).model_path.read_bytes() == b"new"


def test_a_copy_removes_nothing(store, root):
    write_model(root, f"{LIBRARY}/a/latest", b"one")
    write_model(root, f"{LIBRARY}/b/latest", b"two")

    store.copy(name("a"), name("b"))

    assert {b"one", b"two"} < contents(root)


def test_replaced_layers_go_when_nothing_uses_them(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"used")
    blob(root, b"unused")
    candidates = [Digest.parse(digest_of(content)) for content in (b"used", b"unused", b"never there")]

    removed = store.remove_unused(candidates)

    assert set(removed) == set(candidates[1:])
    assert b"used" in contents(root)
    assert b"unused" not in contents(root)


def test_a_start_removes_old_files_that_no_model_uses(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"used")
    for path in (root / "blobs").iterdir():
        aged(path)
    used = tree(root)
    blob(root, b"unused")
    blob(root, b"young", GRACE_SECONDS - 1)
    for filename in ("sha256-123-partial", "sha256-123-partial-0", ".ollamapy-00ff", "sha256-9000", "anything"):
        path = root / "blobs" / filename
        path.write_bytes(b"")
        aged(path)
    (root / "blobs" / "young-partial").write_bytes(b"")
    aged(root / "blobs" / "young-partial", 10)

    store.start(now=NOW)
    store.close()

    young = {f"blobs/{blob_path(root, b'young').name}", "blobs/young-partial"}
    assert tree(root) == used | young


def test_a_start_removes_old_folders_of_broken_downloads(store, root):
    old, young = root / "blobs" / "wheel-1-partial", root / "blobs" / "wheel-2-partial"
    for folder, age in ((old, 2 * GRACE_SECONDS), (young, 10)):
        folder.mkdir(parents=True)
        (folder / "model.whl").write_bytes(b"w")
        aged(folder / "model.whl", age)
        aged(folder)

    store.start(now=NOW)
    store.close()

    assert not old.exists()
    assert young.exists()


def test_a_start_removes_old_links_and_not_what_they_lead_to(store, root, tmp_path):
    (root / "blobs").mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_bytes(b"precious")
    aged(tmp_path / "mine" / "file")
    (root / "blobs" / "link").symlink_to(tmp_path / "mine")
    aged(root / "blobs" / "link")

    store.start(now=NOW)
    store.close()

    assert not (root / "blobs" / "link").is_symlink()
    assert (tmp_path / "mine" / "file").read_bytes() == b"precious"


def test_a_start_without_pruning_removes_nothing(store, root):
    path = blob(root, b"unused")

    store.start(noprune=True, now=NOW)
    store.close()

    assert path.exists()


@pytest.mark.parametrize("content", [b"{", b'{"schemaVersion":2,"layers":[{"digest":"x"}]}'])
def test_a_start_prunes_nothing_when_a_manifest_cannot_be_read(store, root, caplog, content):
    write_manifest(root, f"{LIBRARY}/m/latest", content)
    path = blob(root, b"perhaps its weights")
    (root / "manifests" / "empty").mkdir()

    store.start(now=NOW)
    store.close()

    assert path.exists()
    assert (root / "manifests" / "empty").exists()
    assert [record.levelname for record in caplog.records if "pruning skipped" in record.message] == ["WARNING"]


def test_a_start_prunes_nothing_when_models_lie_on_a_disk_that_is_not_there(store, root, tmp_path):
    (root / "manifests" / LIBRARY).mkdir(parents=True)
    (root / "manifests" / LIBRARY / "m").symlink_to(tmp_path / "unplugged")
    path = blob(root, b"perhaps its weights")

    store.start(now=NOW)
    store.close()

    assert path.exists()


def test_a_start_prunes_in_spite_of_files_that_are_no_manifests(store, root):
    write_manifest(root, f"{LIBRARY}/m/.DS_Store", b"x")
    write_manifest(root, f"{LIBRARY}/m/deeper/x", b"x")
    path = blob(root, b"unused")

    store.start(now=NOW)
    store.close()

    assert not path.exists()


def test_a_start_counts_the_models_behind_linked_folders(store, root, tmp_path):
    write_model(root, f"{LIBRARY}/m/latest", b"used")
    for path in (root / "blobs").iterdir():
        aged(path)
    (root / "manifests" / LIBRARY / "m").rename(tmp_path / "moved")
    (root / "manifests" / LIBRARY / "m").symlink_to(tmp_path / "moved")

    store.start(now=NOW)
    store.close()

    assert b"used" in contents(root)
    store.check()


def test_a_start_removes_empty_manifest_folders(store, root):
    write_model(root, f"{LIBRARY}/m/latest")
    (root / "manifests" / "host" / "ns" / "m").mkdir(parents=True)
    (root / "manifests" / LIBRARY / "gone").mkdir()

    store.start(now=time.time())
    store.close()

    assert [path.name for path in (root / "manifests").iterdir()] == ["registry.ollama.ai"]
    assert [path.name for path in (root / "manifests" / LIBRARY).iterdir()] == ["m"]


def test_reusing_a_blob_saves_it_from_the_next_start(store, root):
    blob(root, b"unused")

    store.blobs.put(b"unused")
    store.start(now=time.time())
    store.close()

    assert contents(root) == {b"unused"}


def test_old_blob_names_are_brought_up_to_date_before_pruning(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"used")
    for path in (root / "blobs").iterdir():
        aged(path.rename(path.with_name(path.name.replace("-", ":", 1))))

    store.start(now=NOW)
    store.close()

    store.check(contents=True)
    assert store.resolve(name("m")).model_path.read_bytes() == b"used"


def test_the_check_finds_a_missing_blob_a_cut_one_and_a_wrong_one(store, root):
    write_model(root, f"{LIBRARY}/m/latest", b"weights", template=b"template")
    store.check(contents=True)

    blob_path(root, b"weights").write_bytes(b"weighty")
    store.check()
    with pytest.raises(StoreError, match="has other content"):
        store.check(contents=True)
    blob_path(root, b"weights").write_bytes(b"weigh")
    with pytest.raises(StoreError, match=r"m:latest: sha256:\w+ is missing or cut"):
        store.check()
    blob_path(root, b"template").unlink()
    with pytest.raises(StoreError, match=r"is missing or cut; .*is missing or cut"):
        store.check()


def test_the_check_finds_a_broken_manifest(store, root):
    write_manifest(root, f"{LIBRARY}/m/latest", b"{")

    with pytest.raises(StoreError, match="the manifest of m:latest is broken"):
        store.check()


def test_the_store_prints_how_many_models_it_has(store, root):
    write_model(root, f"{LIBRARY}/m/latest")

    assert repr(store) == f"<Store {root} 1 models>"
    assert repr(store.manifests) == f"<Manifests {root}/manifests 1 models>"


def test_threads_that_make_delete_copy_and_use_models_never_see_half_of_one(store, root):
    """The models share a blob, so that deleting one is always close to breaking another."""
    failures: list[Exception] = []

    def work(number: int) -> None:
        own, copied = name(f"m{number}"), name(f"c{number}")
        try:
            for turn in range(15):
                with store.manifests.lock:
                    own_layers = layer(root, "model", b"shared"), layer(root, "license", f"{number} {turn}".encode())
                    store.link(own, manifest_bytes(root, *own_layers))
                store.copy(own, copied)
                store.delete(own)
                store.delete(copied)
                with contextlib.suppress(NotFound):
                    assert store.resolve(name(f"m{1 - number}")).licenses
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert tree(root) == set()
