"""Pulls from files and from a real web server into a real store."""

import asyncio
import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from fakes.gguf_files import LYING, tiny_adapter, tiny_model
from fakes.http_files import FileServer, Stall, Status
from fakes.served_app import services_for, settings_for

from ollamapy.actions.pull import pull
from ollamapy.actions.services import Services
from ollamapy.errors import Error, InvalidInput, InvalidName, ModelFileError, RemoteError
from ollamapy.names import Digest, ModelName
from ollamapy.remotes.base import Entry, Source
from ollamapy.remotes.catalogue import Catalogue
from ollamapy.wire.native import Progress, PullRequest

MODEL = tiny_model(filler="x" * 3_000_000)
DIGEST = Digest(hashlib.sha256(MODEL).hexdigest())
ECHO = ModelName.parse("echo")


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    """A daemon's services with the shipped catalogue; the books of its store balance at the end."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    services = services_for(settings_for(tmp_path / "models", offline=False), Catalogue.load())
    services.store.start()
    yield services
    services.transfers.check()
    services.store.check(contents=True)
    services.store.close()


def with_catalogue(services: Services, path: Path, content: bytes = MODEL, name: str = "tiny", **known: Any) -> None:
    """A catalogue of one model, which is a file with this content."""
    path.write_bytes(content)
    entry = Entry(ModelName.parse(name), Source("file", str(path), **known))
    services.catalogue = Catalogue({entry.name.key: entry})


async def lines_of(services: Services, model: str, **fields: Any) -> list[Progress]:
    async with aclosing(pull(services, PullRequest(model=model, **fields))) as lines:
        return [line async for line in lines]


def run(services: Services, model: str, **fields: Any) -> list[Progress]:
    return asyncio.run(lines_of(services, model, **fields))


def fail(services: Services, model: str, kind: type[Error], text: str, **fields: Any) -> list[Progress]:
    """The lines before the error."""
    seen: list[Progress] = []

    async def main() -> None:
        async for line in pull(services, PullRequest(model=model, **fields)):
            seen.append(line)

    with pytest.raises(kind, match=text):
        asyncio.run(main())
    return seen


def statuses(lines: list[Progress]) -> list[str]:
    """Each step once: how often one is told depends on the time that it takes."""
    return list(dict.fromkeys(line.status for line in lines))


def last_of_each(lines: list[Progress]) -> list[Progress]:
    """The last line of each step."""
    return list({line.status: line for line in lines}.values())


def names(services: Services) -> list[str]:
    return [name.short for name in services.store.manifests.names()]


def test_the_lines_of_a_pull_come_in_the_contracts_order(services: Services) -> None:
    entry = services.catalogue.find(ECHO)
    assert entry is not None

    lines = run(services, "echo")

    short, digest, size = entry.source.digest.short, str(entry.source.digest), entry.source.size
    assert last_of_each(lines) == [
        Progress("pulling manifest"),
        Progress(f"pulling {short}", digest, size, size),
        Progress("verifying sha256 digest"),
        Progress("writing manifest"),
        Progress("success"),
    ]


def test_a_pulled_model_is_whole(services: Services) -> None:
    run(services, "echo")

    model = services.store.resolve(ECHO)
    assert model.licenses == ("MIT",)
    assert model.model_path.read_bytes()[:4] == b"GGUF"
    assert services.store.blobs.read(Digest.parse(model.manifest.manifest.config.digest)) == (
        b'{"model_format":"gguf","model_family":"echo","model_families":["echo"],"model_type":"0",'
        b'"file_type":"unknown","architecture":"amd64","os":"linux"}\n'
    )


def test_what_the_catalogue_says_becomes_layers(services: Services, tmp_path: Path) -> None:
    params = {"temperature": 0.2, "stop": ["a", "b"]}
    with_catalogue(services, tmp_path / "tiny.gguf", license="MIT", params=params)

    run(services, "tiny")

    model = services.store.resolve(ModelName.parse("tiny"))
    assert [layer.kind for layer in model.manifest.manifest.layers] == ["model", "license", "params"]
    assert model.params == params
    assert (model.config.model_family, model.config.model_type, model.config.file_type) == ("llama", "2K", "F16")


def test_a_second_pull_fetches_nothing_and_changes_nothing(services: Services) -> None:
    first = run(services, "echo")
    manifest = services.store.manifests.read(ECHO).raw

    assert statuses(run(services, "ECHO:latest")) == statuses(first)
    assert services.store.manifests.read(ECHO).raw == manifest
    assert names(services) == ["echo:latest"]


def test_what_only_the_old_version_used_goes(services: Services, tmp_path: Path) -> None:
    with_catalogue(services, tmp_path / "old.gguf")
    run(services, "tiny")
    with_catalogue(services, tmp_path / "new.gguf", tiny_model())

    lines = run(services, "tiny")

    assert [line.status for line in lines[-3:]] == ["writing manifest", "removing unused layers", "success"]
    assert not services.store.blobs.has(DIGEST)
    assert len(services.store.blobs.digests()) == 2


def test_with_noprune_the_old_version_stays(services: Services, tmp_path: Path) -> None:
    services.settings = settings_for(tmp_path / "models", offline=False, noprune=True)
    with_catalogue(services, tmp_path / "old.gguf")
    run(services, "tiny")
    with_catalogue(services, tmp_path / "new.gguf", tiny_model())

    assert "removing unused layers" not in [line.status for line in run(services, "tiny")]
    assert services.store.blobs.has(DIGEST)


def test_a_model_is_pulled_from_a_url(services: Services) -> None:
    async def main() -> list[Progress]:
        async with FileServer(MODEL) as server:
            return await lines_of(services, server.url, insecure=True)

    lines = asyncio.run(main())

    assert lines[-4] == Progress("pulling Tiny%20Model.gguf", total=len(MODEL), completed=len(MODEL))
    assert names(services) == ["tiny-model:latest"]
    assert services.store.blobs.has(DIGEST)


def test_a_pull_goes_on_where_the_last_one_was_left(services: Services) -> None:
    async def main() -> list[str]:
        async with FileServer(MODEL, [Stall(1_000_000)]) as server:
            lines = pull(services, PullRequest(model=server.url, insecure=True))
            async for line in lines:
                if line.completed >= 1_000_000:
                    break
            await lines.aclose()
            services.transfers.check()
            assert names(services) == []
            await lines_of(services, server.url, insecure=True)
            return [asked.headers.get("range", "") for asked in server.requests]

    assert asyncio.run(main()) == ["", "bytes=1000000-"]
    assert names(services) == ["tiny-model:latest"]


def test_two_pulls_share_one_transfer_and_one_of_them_may_leave(services: Services) -> None:
    async def main() -> tuple[int, str]:
        async with FileServer(MODEL, [Stall(1_000_000), Status(500)]) as server:
            leaver = asyncio.create_task(lines_of(services, server.url, insecure=True))
            stayer = pull(services, PullRequest(model=server.url, insecure=True))
            assert (await anext(stayer)).status == "pulling manifest"
            await server.stalled.wait()
            await anext(stayer)
            assert repr(services.transfers) == "<Transfers 1 running, 2 waiting>"
            leaver.cancel()
            await asyncio.wait({leaver})
            assert repr(services.transfers) == "<Transfers 1 running, 1 waiting>"
            await stayer.aclose()
            return len(server.requests), repr(services.transfers)

    assert asyncio.run(main()) == (1, "<Transfers 0 running, 0 waiting>")


def test_a_killed_daemon_leaves_no_half_model_and_the_next_pull_goes_on(services: Services, tmp_path: Path) -> None:
    services.store.close()
    script = """
import asyncio, sys
from pathlib import Path
from fakes.served_app import services_for, settings_for
from ollamapy.actions.pull import pull
from ollamapy.wire.native import PullRequest

async def main():
    services = services_for(settings_for(Path(sys.argv[1]), offline=False))
    services.store.start()
    async for line in pull(services, PullRequest(model=sys.argv[2], insecure=True)):
        print(line.completed, flush=True)

asyncio.run(main())
"""

    async def main() -> list[str]:
        async with FileServer(MODEL, [Stall(2_500_000)]) as server:
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", script, str(tmp_path / "models"), server.url),
                stdout=asyncio.subprocess.PIPE,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
            )
            assert child.stdout
            while int(await child.stdout.readline() or b"-1") not in (2_500_000, -1):
                pass
            child.send_signal(signal.SIGKILL)
            await child.wait()
            services.store.start()
            services.store.check(contents=True)
            assert names(services) == []
            await lines_of(services, server.url, insecure=True)
            return [asked.headers.get("range", "") for asked in server.requests]

    first, second = asyncio.run(main())

    assert first == ""
    assert second.startswith("bytes=")
    assert names(services) == ["tiny-model:latest"]


@pytest.mark.parametrize("lie", ["three bytes", "2^60 tensors", "an offset past the end", "tensor data that is cut"])
def test_a_file_that_is_no_model_leaves_nothing(services: Services, tmp_path: Path, lie: str) -> None:
    with_catalogue(services, tmp_path / "lie.gguf", LYING[lie])

    seen = fail(services, "tiny", ModelFileError, r"^lie\.gguf: ")

    assert seen[-1].status == "verifying sha256 digest"
    assert services.store.blobs.files() == []
    assert names(services) == []


def test_an_adapter_is_no_model(services: Services, tmp_path: Path) -> None:
    with_catalogue(services, tmp_path / "adapter.gguf", tiny_adapter())

    fail(services, "tiny", InvalidInput, "a model has one file of weights")

    assert services.store.blobs.files() == []


def test_a_page_instead_of_a_file_is_no_model(services: Services) -> None:
    """Servers like to answer 200 with a page that asks for a login."""

    async def main() -> None:
        async with FileServer(b"<html>Please log in</html>") as server:
            await lines_of(services, server.url, insecure=True)

    with pytest.raises(ModelFileError, match="not a GGUF file"):
        asyncio.run(main())
    assert services.store.blobs.files() == []


def test_a_wrong_digest_leaves_nothing(services: Services, tmp_path: Path) -> None:
    with_catalogue(services, tmp_path / "tiny.gguf", digest=Digest("0" * 64))

    fail(services, "tiny", RemoteError, "^digest mismatch, file must be downloaded again: want sha256:0")

    assert services.store.blobs.files() == []


def test_a_failed_pull_leaves_the_model_that_was_there(services: Services, tmp_path: Path) -> None:
    with_catalogue(services, tmp_path / "tiny.gguf")
    run(services, "tiny")
    manifest = services.store.manifests.read(ModelName.parse("tiny")).raw
    with_catalogue(services, tmp_path / "lie.gguf", b"GGUF")

    fail(services, "tiny", ModelFileError, r"^lie\.gguf: ")

    assert services.store.manifests.read(ModelName.parse("tiny")).raw == manifest


def test_an_unknown_model_does_not_exist_and_that_is_said_after_the_first_line(
    services: Services, tmp_path: Path
) -> None:
    """Offline, where no registry can be asked."""
    services.settings = settings_for(tmp_path / "models")

    seen = fail(services, "nothing", RemoteError, r"^pull model manifest: file does not exist$")

    assert seen == [Progress("pulling manifest")]


@pytest.mark.parametrize("model", ["", "a b", "/etc/passwd", "./x.gguf", "../x", "x" * 81])
def test_a_bad_name_is_refused_before_the_first_line(services: Services, model: str) -> None:
    assert fail(services, model, InvalidName, r"^invalid model name$") == []


def test_plain_http_needs_to_be_allowed(services: Services) -> None:
    assert fail(services, "http://127.0.0.1:1/x.gguf", RemoteError, r"^insecure protocol http$") == []


def test_the_old_name_of_the_field_works(services: Services) -> None:
    assert run(services, "", name="echo")[-1] == Progress("success")


def test_layers_that_cannot_be_removed_are_a_line_and_no_error(services: Services, tmp_path: Path) -> None:
    with_catalogue(services, tmp_path / "old.gguf")
    run(services, "tiny")
    with_catalogue(services, tmp_path / "new.gguf", tiny_model())
    blob = services.store.blobs.path(DIGEST)
    content = blob.read_bytes()
    blob.unlink()
    (blob / "in the way").mkdir(parents=True)

    lines = run(services, "tiny")

    assert lines[-3] == Progress("removing unused layers")
    assert lines[-2].status.startswith("couldn't remove unused layers: cannot remove the blob")
    assert lines[-1] == Progress("success")
    (blob / "in the way").rmdir()
    blob.rmdir()
    blob.write_bytes(content)


@pytest.mark.weights
def test_the_starter_is_pulled_and_is_a_model(services: Services) -> None:
    lines = run(services, "starter")

    model = services.store.resolve(ModelName.parse("starter"))
    assert lines[-1] == Progress("success")
    assert (model.config.model_family, model.config.model_type, model.config.file_type) == ("llama", "134.52M", "Q4_1")
    assert model.licenses == ("Apache-2.0",)


def test_a_url_brings_a_model_of_the_name_that_is_given(services: Services) -> None:
    async def main() -> None:
        async with FileServer(MODEL) as server:
            await lines_of(services, server.url, insecure=True, as_="mine:v1")

    asyncio.run(main())

    assert names(services) == ["mine:v1"]


def test_only_a_url_is_named(services: Services) -> None:
    fail(services, "echo", InvalidInput, "only what a URL brings is named", as_="mine")
    fail(services, "https://a.example/x.gguf", InvalidName, "invalid model name", as_="a/b/c/d e")

    assert names(services) == []


def test_offline_nothing_that_is_not_here_is_fetched_and_pip_does_not_start(
    services: Services, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.settings = settings_for(tmp_path / "models")
    monkeypatch.setattr(sys, "executable", "/no/python/may/start")

    seen = fail(services, "starter", RemoteError, "SmolLM2.* is not here, and OLLAMAPY_OFFLINE forbids starting pip")
    fail(services, "https://a.example/x.gguf", RemoteError, "x.gguf is not here, and OLLAMAPY_OFFLINE forbids asking a")

    assert seen == [Progress("pulling manifest")]
    assert [line.status for line in run(services, "echo")][-1] == "success"


def test_offline_a_wheels_file_that_is_here_is_used(services: Services, tmp_path: Path) -> None:
    digest, _ = services.store.blobs.put(MODEL)
    entry = Entry(ModelName.parse("tiny"), Source("wheel", "x==1", "x.gguf", digest=digest, size=len(MODEL)))
    services.catalogue = Catalogue({entry.name.key: entry})
    services.settings = settings_for(tmp_path / "models")

    run(services, "tiny")

    assert names(services) == ["tiny:latest"]
