"""What an image says of itself before anybody decodes it: base64 text, kind, width and height. Decodes no pixel.

The bounds keep a small file from growing into gigabytes: they are checked on headers, before the engine sees the file.
"""

import base64
import re
import struct
from collections.abc import Iterator

from ollamapy.errors import InvalidInput, Unsupported

MAX_BYTES = 32 << 20
"""Of one image file."""
MAX_PIXELS = 50_000_000
"""Of one image: decoded it takes 4 bytes for each."""
MAX_IMAGES = 1000
"""Of one request."""
MAX_TOTAL_PIXELS = 2_000_000_000
"""Of all images of a request: a flat image of a few kilobytes takes as long to decode as a photograph."""

_PADDED = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_JPEG_SIZES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of frames: they begin with the size."""
_JPEG_BARE = frozenset(range(0xD0, 0xD9)) | {0x01}
"""Markers without a length."""


def base64_fault(text: str) -> str:
    """What is wrong with standard, padded base64, in Go's words; empty when nothing is."""
    good = _PADDED.match(text)
    at = good.end() if good else 0
    return f"illegal base64 data at input byte {at}" if at < len(text) or len(text) % 4 else ""


def check_total(num_images: int, num_pixels: int = 0) -> None:
    """Raises InvalidInput for more images, or more pixels in all of them, than a request may have."""
    if num_images > MAX_IMAGES:
        raise InvalidInput(f"the request has {num_images} images, and {MAX_IMAGES} are allowed")
    if num_pixels > MAX_TOTAL_PIXELS:
        raise InvalidInput(
            f"the images have {num_pixels} pixels in all, and {MAX_TOTAL_PIXELS} are allowed",
            hint="send them smaller: models scale them down",
        )


def check_image(text: str) -> int:
    """The pixels of the image in the base64 text `text`. Raises InvalidInput unless it is one within the bounds,
    Unsupported for sound."""
    num_bytes = len(text) // 4 * 3
    if num_bytes > MAX_BYTES:
        raise InvalidInput(
            f"the image has {num_bytes} bytes, and {MAX_BYTES} are allowed",
            hint="send it smaller: models scale it down",
        )
    data = base64.b64decode(text)
    if _is_sound(data):
        raise Unsupported("audio is not supported yet")
    size = image_size(data)
    if size is None:
        raise InvalidInput("the data is not an image that can be read", hint="send PNG, JPEG, GIF or WebP")
    width, height = size
    if not 0 < width * height <= MAX_PIXELS:
        raise InvalidInput(
            f"the image has {width} x {height} pixels, and {MAX_PIXELS} in all are allowed",
            hint="send it smaller: models scale it down",
        )
    return width * height


def _is_sound(data: bytes) -> bool:
    is_mp3 = data[:3] == b"ID3" or (data[:1] == b"\xff" and data[1:2] > b"" and data[1] & 0xE6 == 0xE2)
    return is_mp3 or (data[:4] == b"RIFF" and data[8:12] == b"WAVE")


def image_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that the header of a PNG, JPEG, GIF or WebP file gives; None for anything else."""
    try:
        if data[:8] == b"\x89PNG\r\n\x1a\n" and data[12:16] == b"IHDR":
            return _pair(">II", data, 16)
        if data[:6] in (b"GIF87a", b"GIF89a"):
            return _gif_size(data)
        if data[:2] == b"\xff\xd8":
            return next(_jpeg_sizes(data), None)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp_size(data)
    except (struct.error, IndexError):
        pass  # the file ends inside its header
    return None


def _pair(form: str, data: bytes, at: int) -> tuple[int, int]:
    first, second = struct.unpack_from(form, data, at)
    return first, second


def _gif_size(data: bytes) -> tuple[int, int]:
    """The screen, or the first picture where that is larger."""
    width, height = _pair("<HH", data, 6)
    flags, at = data[10], 13
    at += 3 * (2 << (flags & 7)) if flags & 0x80 else 0
    while data[at] == 0x21:  # extensions: a label, then blocks with their lengths
        at += 2
        while data[at]:
            at += data[at] + 1
        at += 1
    if data[at] != 0x2C:
        return width, height
    left, top, own_width, own_height = struct.unpack_from("<HHHH", data, at + 1)
    return max(width, left + own_width), max(height, top + own_height)


def _jpeg_sizes(data: bytes) -> Iterator[tuple[int, int]]:
    """The size in each frame header before the first scan."""
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:  # padding
            at += 1
        if data[at] != 0xFF or data[at + 1] == 0xDA:
            return
        marker = data[at + 1]
        if marker in _JPEG_SIZES:
            height, width = _pair(">HH", data, at + 5)
            yield width, height
        at += 2 if marker in _JPEG_BARE else 2 + max(2, struct.unpack_from(">H", data, at + 2)[0])


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = struct.unpack_from("<I", data, 21)[0]
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        width, height = _pair("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
