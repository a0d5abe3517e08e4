"""Several GGUF files that are one model. The first has the metadata, each has its tensors and its place among them.

    split.no             the place, from 0
    split.count          how many files there are
    split.tensors.count  tensors in all of them

Decides from headers that were read; never touches a file.
"""

from collections.abc import Sequence
from dataclasses import replace

from ollamapy.errors import ModelFileError
from ollamapy.weights.gguf import GgufFile

_HINT = "the parts are named <prefix>-00001-of-0000N.gguf; all of them are needed, of one version"


def place_of(file: GgufFile) -> tuple[int, int] | None:
    """The number of a part, from 1, and of all parts; None for a file that is a whole model."""
    count, number = file.metadata.get("split.count"), file.metadata.get("split.no", 0)
    if not isinstance(count, int) or not isinstance(number, int) or count <= 1:
        return None
    return number + 1, count


def joined(files: Sequence[GgufFile]) -> GgufFile:
    """The header that the model would have in one file. Raises ModelFileError unless `files` are all, in order."""
    places = [place_of(file) for file in files]
    if len(files) == 1 and places[0] is None:
        return files[0]
    count = len(files)
    found = [f"{place[0]} of {place[1]}" if place else "a whole model" for place in places]
    if places != [(number, count) for number in range(1, count + 1)]:
        raise ModelFileError(f"split GGUF: wanted parts 1 to N of one model, found {', '.join(found)}", hint=_HINT)
    tensors = tuple(tensor for file in files for tensor in file.tensors)
    promised = files[0].metadata.get("split.tensors.count", len(tensors))
    if promised != len(tensors) or len({tensor.name for tensor in tensors}) != len(tensors):
        raise ModelFileError(
            f"split GGUF: the parts have {len(tensors)} tensors, the first one promises {promised}, each once",
            hint=_HINT,
        )
    metadata = {key: value for key, value in files[0].metadata.items() if not key.startswith("split.")}
    return replace(files[0], metadata=metadata, tensors=tensors, size_bytes=sum(file.size_bytes for file in files))
