"""Turns the bytes of an answer into text: whole characters only, and never a part of a stop string."""

import codecs
from collections.abc import Sequence


class TextStream:
    """The text of one answer. After `is_stopped` nothing more comes out."""

    __slots__ = ("_decoder", "_held", "_stops", "is_stopped")

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.is_stopped = False

    def push(self, data: bytes) -> str:
        """The text that is certain after `data`. Sets `is_stopped` when a stop string is complete."""
        if self.is_stopped:
            return ""
        self._held += self._decoder.decode(data)
        start = self._first_stop()
        if start is not None:
            text, self._held, self.is_stopped = self._held[:start], "", True
            return text
        keep = self._num_held()
        text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return text

    def finish(self) -> str:
        """What was held back, once no more data comes; an incomplete character is dropped."""
        text, self._held = self._held, ""
        return text

    def _first_stop(self) -> int | None:
        """Where the stop string begins that is complete first, so that the cut of `data` makes no difference."""
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        return min(found)[1] if found else None

    def _num_held(self) -> int:
        """Length of the longest end of the text that a stop string may begin with."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-size:]
            if any(stop.startswith(end) for stop in self._stops):
                return size
        return 0
