"""Calls that stand between two marks, read when the second has come: what the formats of this kind share."""

from collections.abc import Callable, Sequence

from ollamapy.modelfile.tools.found import Call, Found
from ollamapy.modelfile.tools.jsontext import Unreadable
from ollamapy.modelfile.tools.machine import Finder, Gap, Move, State, give_back

Read = Callable[[str], tuple[Call, ...]]
"""The calls that a text between the marks holds. Raises Unreadable."""


class Between:
    """Reads from `begin` on, after an opening mark, up to `closing` or the end of the answer.

    The marks of `outer` end the call too, and are left to `content`.
    """

    def __init__(self, begin: int, closing: str, read: Read, content: State, outer: Sequence[str] = ()) -> None:
        self._begin = begin
        self._closing = closing
        self._read = read
        self._content = content
        self._finder = Finder((closing, *outer), begin)

    def __call__(self, text: str, is_end: bool) -> Move | None:
        match = self._finder.find(text)
        if not match and not is_end:
            return None
        stop = match.start() if match else len(text)
        end = match.end() if match and match[0] == self._closing else stop
        try:
            return Move(Found(calls=self._read(text[self._begin : stop])), text[end:], Gap(self._content))
        except Unreadable as error:
            return give_back(text, end, str(error), self._content)
