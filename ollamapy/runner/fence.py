"""Where a line ends an answer: bounds of clients that complete code while somebody types. Pure."""

from ollamapy.wire.options import Options


class LineFence:
    """Lets text through up to the line that ends it. After `is_over` nothing more comes out."""

    __slots__ = ("_indent", "_max_seconds", "_min_indent", "is_over")

    def __init__(self, options: Options) -> None:
        self._max_seconds, self._min_indent = options.t_max_predict_ms / 1000, options.n_indent
        self._indent = -1
        """White space since the last line began; -1 inside a line, and in the first, which began before the answer."""
        self.is_over = False

    def push(self, text: str, seconds: float) -> str:
        """What of `text` comes out, `seconds` after the first token: nothing of a line past the time, or that stands
        further left than it may."""
        if self.is_over:
            return ""
        for at, char in enumerate(text):
            if self._ends(char, seconds):
                self.is_over = True
                return text[:at]
        return text

    def _ends(self, char: str, seconds: float) -> bool:
        if char == "\n":
            self._indent = 0
            return 0 < self._max_seconds < seconds
        if self._indent < 0:
            return False
        if char in " \t":
            self._indent += 1
            return False
        is_left = self._indent < self._min_indent
        self._indent = -1
        return is_left


def fence_of(options: Options) -> LineFence | None:
    """None when no line can end the answer."""
    return LineFence(options) if options.t_max_predict_ms > 0 or options.n_indent > 0 else None
