"""Owns the grammars that requests ask for: made of schemas, or checked, once, and kept while they are in use.

They are made one at a time in a thread: a crowd with one schema has it made once, and a stranger's large ones take one
thread at most.
"""

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import msgspec

from ollamapy.modelfile.grammar import check_grammar, json_grammar, schema_to_grammar

_MAX_BYTES = 16 * 2**20
_ENTRY_BYTES = 200
"""What an entry takes besides its text."""


class Grammars:
    """GBNF texts by the digest of what they were made of; the least recently used go when all together are too long."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._texts: OrderedDict[bytes, str] = OrderedDict()
        self._num_bytes = 0
        self._turn = asyncio.Lock()

    async def of_format(self, wanted: Any) -> str:
        """The grammar of "json" or of a schema. Raises InvalidInput for a schema that cannot be held."""
        if wanted == "json":
            return await self.made(wanted, json_grammar)
        return await self.made(wanted, lambda: schema_to_grammar(wanted))

    async def checked(self, text: str) -> str:
        """`text`, a stranger's GBNF. Raises InvalidInput when it is none, or not safe to run."""

        def check() -> str:
            check_grammar(text)
            return ""

        await self.made(["gbnf", text], check)
        return text

    async def made(self, key: Any, make: Callable[[], str]) -> str:
        """What `make` answers, or answered before for an equal `key`, which is any JSON value."""
        digest = hashlib.sha256(msgspec.json.encode(key)).digest()
        text = self._find(digest)
        if text is None:
            async with self._turn:
                text = self._find(digest)
                if text is None:
                    text = await asyncio.to_thread(make)
                    self._keep(digest, text)
        return text

    def _find(self, digest: bytes) -> str | None:
        if digest in self._texts:
            self._texts.move_to_end(digest)
        return self._texts.get(digest)

    def _keep(self, digest: bytes, text: str) -> None:
        self._texts[digest] = text
        self._num_bytes += _cost(text)
        while self._num_bytes > self._max_bytes:
            _, oldest = self._texts.popitem(last=False)
            self._num_bytes -= _cost(oldest)

    def __repr__(self) -> str:
        return f"<Grammars {len(self._texts)} kept, {self._num_bytes} of {self._max_bytes} bytes>"


def _cost(text: str) -> int:
    """Bytes in memory; grammars are written in ASCII."""
    return len(text) + _ENTRY_BYTES
