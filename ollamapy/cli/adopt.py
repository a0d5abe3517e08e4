"""`ollamapy adopt`: models of other programs become the daemon's, without taking the room twice where the disk allows.

This process opens the files and puts them among the blobs, with the rights of whoever typed the command: a route that
takes paths would let whoever reaches the port read this machine's files. The daemon does the rest: it makes models of
blobs that it finds in its store.
"""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ollamapy import units
from ollamapy.cli.daemon import connect
from ollamapy.client import Client
from ollamapy.errors import Error, InvalidInput, Refused
from ollamapy.names import Digest
from ollamapy.settings import Settings
from ollamapy.store.blobs import hash_file
from ollamapy.store.files import disk_faults
from ollamapy.store.layout import Layout
from ollamapy.store.neighbours import Neighbour, default_places, find, lonely_shards
from ollamapy.store.place import place


def adopt(settings: Settings, paths: Sequence[str], is_dry: bool) -> int:
    """Adopts what lies at `paths`, or where other programs keep models; 1 when something could not be adopted."""
    if not settings.host.is_loopback:
        raise Refused("only the daemon of this machine can adopt its files", hint="OLLAMA_HOST names another machine")
    places = [Path(path).expanduser().absolute() for path in paths] or default_places(Path.home())
    if not places:
        raise InvalidInput("no model folder of another program was found", hint="ollamapy adopt PATH names one")
    with connect(settings) as client:
        adopter = _Adopter(client, Layout(Path(client.disk_usage().root)), is_dry)
        adopter.taken = {model.name.lower(): model.digest for model in client.list().models}
        for path in places:
            adopter.take_all(path)
    return int(adopter.num_failures > 0)


@dataclass(slots=True)
class _Adopter:
    """`taken` are the names that models have, with the digests of their manifests."""

    client: Client
    layout: Layout
    is_dry: bool
    taken: dict[str, str] = field(default_factory=dict)
    num_failures: int = 0

    def take_all(self, path: Path) -> None:
        """Everything at `path`, a line for each model."""
        if path.resolve() == self.layout.root.resolve():
            print(f"{path} is the daemon's own store")
            return
        for shard in lonely_shards(path):
            print(f"passed over {shard}: a part of a model whose other parts are missing", file=sys.stderr)
        for found in find(path):
            try:
                print(self._take(found), flush=True)
            except (Error, OSError) as error:
                self.num_failures += 1
                reason = error.message if isinstance(error, Error) else str(error)
                print(f"cannot adopt {found.name} from {found.files[0]}: {reason}", file=sys.stderr)

    def _take(self, found: Neighbour) -> str:
        name = found.name.short
        if name.lower() in self.taken:
            return f"passed over {name}: a model has that name"
        size = units.format_bytes(sum(path.stat().st_size for path in found.files))
        if self.is_dry:
            return f"would adopt {name}, {size}, from {found.files[0]}"
        placed = [self._place(path, expected) for path, expected in _expectations(found)]
        digests = [digest for digest, _ in placed]
        if found.manifest:
            self.client.link(found.name.full, found.manifest)
        else:
            files = {path.name: str(digest) for path, digest in zip(found.files, digests, strict=True)}
            for _ in self.client.create({"model": found.name.full, "files": files}):
                pass
        self.taken[name.lower()] = ""
        methods = Counter(method for _, method in placed)
        how = ", ".join(f"{method} ({count})" if len(placed) > 1 else method for method, count in methods.items())
        return f"adopted {name}, {size}, from {found.files[0]}: {how}"

    def _place(self, path: Path, expected: Digest | None) -> tuple[Digest, str]:
        """The file's digest, and how it became a blob."""
        with disk_faults(f"read {path}"):
            digest = hash_file(path)
        if expected not in (None, digest):
            raise InvalidInput(f"{path} is damaged: what it holds has the digest {digest}")
        if self.client.has_blob(digest):
            return digest, "there already"
        method = place(path, self.layout, digest)
        if not self.client.has_blob(digest):
            self.layout.blob(digest).unlink(missing_ok=True)
            hint = "it may run in a container; use ollamapy create with a Modelfile, which uploads"
            raise InvalidInput(f"the daemon does not see {self.layout.root} of this machine", hint=hint)
        return digest, method


def _expectations(found: Neighbour) -> list[tuple[Path, Digest | None]]:
    if not found.digests:
        return [(path, None) for path in found.files]
    return list(zip(found.files, found.digests, strict=True))
