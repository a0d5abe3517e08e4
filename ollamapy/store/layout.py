"""The model directory's tree, and the only code that builds paths in it. Never touches the disk.

    <root>/
      manifests/<host>/<namespace>/<model>/<tag>   manifest: JSON that lists the blobs of one model
      blobs/sha256-<64 hex>                        content, named by its digest
      blobs/<key>-partial…                         unfinished downloads; may be folders
      blobs/.ollamapy-<hex>                        a file that is being written
      .ollamapy.lock                               held by the daemon that uses this directory
      .ollamapy.verified                           which blobs have been verified
      pulled.json                                  how models were pulled
      quarantine/                                  what was found damaged, under its name and the time

The tree is Ollama's: either program can use a directory that the other one made. What is ours lies beside the two
folders, because Ollama looks into those alone.
"""

import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from ollamapy.errors import InvalidDigest, InvalidName
from ollamapy.names import Digest, ModelName

_KEY = re.compile(r"[A-Za-z0-9_-]{1,100}\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths below `root`. A path that it builds never leaves its folder, because names and digests are parsed."""

    root: Path

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def blobs(self) -> Path:
        return self.root / "blobs"

    @property
    def lock(self) -> Path:
        return self.root / ".ollamapy.lock"

    @property
    def stamps(self) -> Path:
        return self.root / ".ollamapy.verified"

    @property
    def pulled(self) -> Path:
        return self.root / "pulled.json"

    @property
    def quarantine(self) -> Path:
        return self.root / "quarantine"

    def manifest(self, name: ModelName) -> Path:
        """Where the manifest of `name`, in exactly this spelling, lies."""
        return self.manifests / name.path

    def blob(self, digest: Digest) -> Path:
        """Where the blob lies when it is there."""
        return self.blobs / digest.filename

    def partial(self, key: str) -> Path:
        """Where unfinished work named `key` lies; `sha256-<hex>` is the key of a blob's download."""
        assert _KEY.match(key), f"not the key of a partial file: {key!r}"
        return self.blobs / f"{key}-partial"

    def temporary(self, folder: Path) -> Path:
        """A new name in `folder` for a file that is being written. No digest, no model name."""
        return folder / f".ollamapy-{secrets.token_hex(8)}"

    def name_of(self, manifest: Path) -> ModelName | None:
        """The model whose manifest lies at this path; None when it is no name."""
        try:
            return ModelName.from_path(manifest.relative_to(self.manifests).parts)
        except InvalidName:
            return None

    def digest_of(self, blob: Path) -> Digest | None:
        """The digest that the file name states, if it is a blob's name to the letter."""
        try:
            digest = Digest.parse(blob.name)
        except InvalidDigest:
            return None
        return digest if digest.filename == blob.name else None

    def renamed(self, blob: Path) -> Path | None:
        """Where a blob of the old spelling `sha256:<hex>` belongs; None for other files."""
        if not blob.name.startswith("sha256:"):
            return None
        try:
            return self.blob(Digest.parse(blob.name))
        except InvalidDigest:
            return None
