"""One daemon per model directory: a second one is told who has it, and a dead one has nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.store_files import tree, write_model

from ollamapy.errors import StoreError
from ollamapy.store.store import Store

_HOLDER = """
import sys
from pathlib import Path
from ollamapy.store.store import Store
store = Store(Path(sys.argv[1]))
store.start()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def other_daemon(root):
    """Another process that holds the directory until it is killed."""
    command = [sys.executable, "-c", _HOLDER, str(root)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, env=environment) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


def test_a_second_daemon_is_told_who_has_the_directory(root, other_daemon):
    with pytest.raises(StoreError) as caught:
        Store(root).start()

    assert caught.value.message == (
        f"the model directory {root} is in use by another ollamapy daemon (process {other_daemon.pid})"
    )
    assert "OLLAMA_MODELS" in caught.value.hint


def test_a_daemon_that_was_killed_leaves_the_directory_free(root, other_daemon):
    os.kill(other_daemon.pid, signal.SIGKILL)
    other_daemon.wait()
    store = Store(root)

    store.start()

    assert store.layout.lock.read_text() == f"{os.getpid()}\n"
    store.close()


def test_a_closed_store_leaves_the_directory_free(root):
    first, second = Store(root), Store(root)
    first.start()
    with pytest.raises(StoreError, match="in use"):
        second.start()

    first.close()
    second.start()
    second.close()
    second.close()


def test_a_start_that_fails_leaves_the_directory_free(root):
    (root / "blobs").parent.mkdir(parents=True)
    (root / "blobs").write_bytes(b"a file")
    with pytest.raises(StoreError, match="cannot"):
        Store(root).start()
    (root / "blobs").unlink()
    store = Store(root)

    store.start()

    store.close()


def test_the_lock_lies_beside_what_ollama_reads(root):
    write_model(root, "registry.ollama.ai/library/m/latest")
    before = tree(root)
    store = Store(root)
    store.start()
    store.close()

    assert tree(root) == before
    assert [path.name for path in root.iterdir() if path.is_file()] == [".ollamapy.lock"]


def test_children_do_not_inherit_the_lock(root):
    """A runner that outlives its daemon must not keep the next daemon out."""
    store = Store(root)
    store.start()
    with subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE) as child:
        store.close()
        second = Store(root)
        second.start()
        second.close()
        child.kill()


def test_a_directory_that_cannot_be_made_is_an_error_with_its_reason(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(StoreError, match=r"cannot use the model directory .*: (not a directory|file exists)"):
        Store(tmp_path / "file" / "models").start()
