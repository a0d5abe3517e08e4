"""Which files of a repository a tag means. Only decides: who knows the files has asked for them.

The tag is a part of a file's path, its quantization; without one it is Q4_K_M, or else the first file. Of a model in
several files all parts are meant.
"""

from collections.abc import Sequence
from pathlib import PurePosixPath

from ollamapy.errors import RemoteError
from ollamapy.names import DEFAULT_TAG
from ollamapy.wire.shards import siblings

_PREFERRED = "q4_k_m"


def choose(files: Sequence[str], tag: str) -> tuple[str, ...]:
    """The file, or the parts in order. Raises RemoteError."""
    weights = [file for file in sorted(files) if _is_weights(PurePosixPath(file).name.lower())]
    wanted = _PREFERRED if tag == DEFAULT_TAG else tag.lower()
    fitting = [file for file in weights if wanted in file.lower()]
    if not fitting and tag == DEFAULT_TAG:
        fitting = weights
    if not fitting:
        raise RemoteError(f"the repository has no GGUF file for {tag}", hint=f"it has: {', '.join(weights) or 'none'}")
    parts = siblings(fitting[0])
    missing = [part for part in parts if part not in files]
    if missing:
        raise RemoteError(f"split GGUF: {fitting[0]} is one of {len(parts)} parts, and {missing[0]} is missing")
    return parts


def _is_weights(name: str) -> bool:
    return name.endswith(".gguf") and "mmproj" not in name
