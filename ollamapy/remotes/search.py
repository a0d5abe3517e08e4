"""Looking for models on the Hugging Face hub: what fits some words, with the size of what a pull would bring.

The package behind `hub.py` does the talking, with the user's login and mirror. Blocks. Never fetches a model.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ollamapy.errors import RemoteError
from ollamapy.names import DEFAULT_TAG
from ollamapy.remotes.choose import choose
from ollamapy.remotes.hub import hub_faults

MAX_HITS = 10


@dataclass(frozen=True, slots=True)
class Hit:
    """A repository with GGUF files. `size` is in bytes, 0 when unknown."""

    repository: str
    num_downloads: int
    size: int


def search_hub(words: str, endpoint: str = "") -> list[Hit]:
    """The repositories that most people take, at most MAX_HITS. `endpoint` is the mirror. Raises RemoteError."""
    with hub_faults() as hub:
        api = hub.HfApi(endpoint=endpoint or None)
        found = list(api.list_models(search=words, filter="gguf", sort="downloads", limit=MAX_HITS))
    with ThreadPoolExecutor(max_workers=MAX_HITS) as threads:
        sizes = threads.map(lambda model: _size(api, model.id), found)
        return [Hit(model.id, model.downloads or 0, size) for model, size in zip(found, sizes, strict=True)]


def _size(api: Any, repository: str) -> int:
    """Bytes of the files that a pull without a tag brings; 0 when there are none, or the hub does not say."""
    with suppress(RemoteError), hub_faults():
        files = {file.rfilename: file.size or 0 for file in api.model_info(repository, files_metadata=True).siblings}
        return sum(files[name] for name in choose(list(files), DEFAULT_TAG))
    return 0
