"""Word wrap of text that comes in pieces. Pure: pieces in, what to write out."""

from dataclasses import dataclass

from ollamapy.cli.render import char_width, width

MARGIN_COLUMNS = 5
NARROWEST_COLUMNS = 10
_CONTROLS = {code: None for code in [*range(32), *range(0x7F, 0xA0)] if chr(code) not in "\n\t"}


def without_controls(text: str) -> str:
    """`text` without the characters that could steer a terminal; newlines and tabs stay."""
    return text.translate(_CONTROLS)


@dataclass(slots=True)
class WordWrap:
    """Where the line that is being written stands: its columns so far, and the word at its end."""

    column: int = 0
    word: str = ""

    def push(self, text: str, columns: int) -> str:
        """What to write so that `text` follows, on a terminal of so many columns.

        A word that does not fit is erased where it began and written again on the next line. A word as long as
        a line is cut.
        """
        if columns < NARROWEST_COLUMNS:
            return text
        return "".join(self._push(char, columns - MARGIN_COLUMNS) for char in text)

    def _push(self, char: str, limit: int) -> str:
        if char == "\n":
            self.column, self.word = 0, ""
            return char
        size = char_width(char)
        if self.column + size <= limit:
            self.column += size
            self.word = "" if char in " \t" or size > 1 else self.word + char
            return char
        return self._break(char, limit)

    def _break(self, char: str, limit: int) -> str:
        """Starts a new line, with the unfinished word and `char` on it."""
        word, self.word = self.word, ""
        if char in " \t":
            self.column = 0
            return "\n"
        back = width(word)
        if back + NARROWEST_COLUMNS > limit:
            self.column = char_width(char)
            return "\n" + char
        self.word = word + char if char_width(char) == 1 else ""
        self.column = back + char_width(char)
        erase = f"\x1b[{back}D\x1b[K" if back else ""
        return f"{erase}\n{word}{char}"
