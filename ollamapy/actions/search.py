"""`GET /api/search`: models that can be pulled, of the catalogue and, when it may be asked, of the Hugging Face hub.

Says of each whether this machine has the memory for it now. Fetches nothing.
"""

import asyncio
from collections.abc import Iterable, Iterator

from ollamapy.actions.services import Services
from ollamapy.errors import RemoteError
from ollamapy.pool.memory import available_bytes, has_room
from ollamapy.remotes.base import Entry
from ollamapy.remotes.search import Hit, search_hub
from ollamapy.wire.sources import Match, SearchAnswer

_HUB_SECONDS = 10.0


async def search(services: Services, words: str) -> SearchAnswer:
    """What fits all `words`, the catalogue first; without words the whole catalogue. Never raises for want of a hub."""
    words, settings = words.strip(), services.settings
    free_bytes = await asyncio.to_thread(available_bytes)
    matches = [_of_entry(entry, free_bytes) for entry in matching(services.catalogue.entries, words)]
    if settings.offline:
        return SearchAnswer(tuple(matches), ("the hub was not asked: OLLAMAPY_OFFLINE forbids it",))
    if not words:
        return SearchAnswer(tuple(matches), ("the hub was not asked: it wants a word to look for",))
    try:
        asking = asyncio.to_thread(search_hub, words, settings.hub_endpoint)
        hits = await asyncio.wait_for(asking, _HUB_SECONDS)
    except TimeoutError:
        note = f"the hub was not searched: it did not answer within {_HUB_SECONDS:.0f} seconds"
        return SearchAnswer(tuple(matches), (note,))
    except RemoteError as error:
        note = f"the hub was not searched: {error.message}{f' ({error.hint})' if error.hint else ''}"
        return SearchAnswer(tuple(matches), (note,))
    return SearchAnswer((*matches, *(_of_hit(hit, free_bytes) for hit in hits)), ())


def matching(entries: Iterable[Entry], words: str) -> Iterator[Entry]:
    """The entries whose name or description has every word, in any case."""
    for entry in entries:
        text = f"{entry.name.short} {entry.source.description}".lower()
        if all(word in text for word in words.lower().split()):
            yield entry


def _of_entry(entry: Entry, free_bytes: int) -> Match:
    source, size = entry.source, entry.source.size or 0
    name = entry.name.short.removesuffix(":latest")
    return Match(name, "catalogue", source.description, size, has_room(size, free_bytes))


def _of_hit(hit: Hit, free_bytes: int) -> Match:
    description = f"{hit.num_downloads} downloads"
    return Match(f"hf.co/{hit.repository}", "hub", description, hit.size, has_room(hit.size, free_bytes))
