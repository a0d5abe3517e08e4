"""How the models of a directory were pulled, so that they can be compared with where they came from and pulled again.

Owns one file beside the blobs. A note holds as long as the model still is what was pulled: one that was made anew under
the same name is nobody's but the user's. Losing the notes costs the comparison and nothing else.
"""

import contextlib
import logging
import threading

import msgspec

from ollamapy.names import ModelName
from ollamapy.store.files import StagedFile
from ollamapy.store.layout import Layout
from ollamapy.store.manifests import StoredManifest

_MAX_BYTES = 16 << 20

log = logging.getLogger(__name__)


class Pull(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was asked for, and the manifest (in hex) that came of it."""

    model: str
    digest: str
    insecure: bool = False
    from_peer: str = ""
    as_: str = ""
    source: str = ""
    """The manifest that the source had, in hex: another one where archives were unpacked, none for a file."""


class Pulled:
    """The notes of one model directory. Blocks; safe from any thread."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._lock = threading.Lock()

    def of(self, stored: StoredManifest) -> Pull | None:
        """How the model was pulled; None when it was not, or is another one by now."""
        found = self.all().get(stored.name.key)
        return found if found and found.digest == stored.digest else None

    def all(self) -> dict[str, Pull]:
        """Every note by the key of the model's name, whether it still holds or not."""
        with contextlib.suppress(OSError, msgspec.DecodeError), self._layout.pulled.open("rb") as file:
            return msgspec.json.decode(file.read(_MAX_BYTES), type=dict[str, Pull])
        return {}

    def note(self, name: ModelName, pull: Pull, known: set[str]) -> None:
        """Writes down how `name` was pulled, and forgets models whose keys are not `known` any more."""
        with self._lock:
            before = self.all()
            after = {key: kept for key, kept in before.items() if key in known} | {name.key: pull}
            if after != before:
                self._write(after)

    def _write(self, pulls: dict[str, Pull]) -> None:
        try:
            with StagedFile(self._layout.temporary(self._layout.root)) as file:
                file.write(msgspec.json.encode(pulls))
                file.publish(self._layout.pulled)
        except OSError as error:  # the model is there; it cannot be compared
            log.warning("pull not noted path=%s reason=%s", self._layout.pulled, error.strerror)
