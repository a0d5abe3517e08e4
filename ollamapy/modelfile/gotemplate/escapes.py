"""Go's escapers `html`, `js` and `urlquery`."""

import re
from urllib.parse import quote_plus

from ollamapy.modelfile.gotemplate.quoting import is_printable, to_bytes

_HTML = str.maketrans(
    {"\0": "\N{REPLACEMENT CHARACTER}", '"': "&#34;", "'": "&#39;", "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
_JS = {"\\": "\\\\", "'": "\\'", '"': '\\"', "<": "\\u003C", ">": "\\u003E", "&": "\\u0026", "=": "\\u003D"}
_JS_SPECIAL = re.compile(r"""[\\'"<>&=\x00-\x1f\x80-\U0010ffff]""")


def html(text: str) -> str:
    return text.translate(_HTML)


def is_plain_js(text: str) -> bool:
    """True when `js` leaves `text` as it is."""
    return not _JS_SPECIAL.search(text)


def js(text: str) -> str:
    return _JS_SPECIAL.sub(_js_character, text)


def _js_character(match: re.Match[str]) -> str:
    character = match[0]
    if character in _JS:
        return _JS[character]
    code = ord(character)
    is_raw_byte = 0xDC80 <= code <= 0xDCFF
    if code >= 0x80 and (is_raw_byte or is_printable(character)):
        return character
    return f"\\u{code:04X}"


def urlquery(text: str) -> str:
    return quote_plus(to_bytes(text))
