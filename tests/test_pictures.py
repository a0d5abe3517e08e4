"""Sizes of images from their headers, held to what Pillow reads, and the bounds that keep small files small."""

import base64
import random
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from fakes.tiny_projector import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ollamapy.errors import InvalidInput, Unsupported
from ollamapy.pictures import (
    MAX_BYTES,
    MAX_IMAGES,
    MAX_PIXELS,
    MAX_TOTAL_PIXELS,
    check_image,
    check_total,
    image_size,
)

KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {}),
    "gif": ("GIF", {}),
    "jpeg": ("JPEG", {}),
    "progressive jpeg": ("JPEG", {"progressive": True}),
    "jpeg with exif": ("JPEG", {"exif": b"Exif\0\0" + b"x" * 500}),
    "lossy webp": ("WEBP", {}),
    "lossless webp": ("WEBP", {"lossless": True}),
    "extended webp": ("WEBP", {"exif": b"Exif\0\0" + b"x" * 50}),
}


def sent(data: bytes) -> str:
    return base64.b64encode(data).decode()


def png_header(width: int, height: int) -> bytes:
    """A PNG of some 60 bytes that claims to be of this size."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(1, 1), (3, 700), (640, 480)])
def test_the_size_is_read_from_the_header(kind: str, size: tuple[int, int]) -> None:
    form, fields = KINDS[kind]

    assert image_size(picture(1, form, size, **fields)) == size


def test_an_animation_has_the_size_of_its_screen() -> None:
    frames = [Image.new("RGB", (30, 20), colour) for colour in ("red", "green", "blue")]
    data = BytesIO()
    frames[0].save(data, "GIF", save_all=True, append_images=frames[1:])

    assert image_size(data.getvalue()) == (30, 20)


def test_a_gif_whose_picture_is_larger_than_its_screen_has_the_size_of_the_picture() -> None:
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)

    assert image_size(screen + b"," + struct.pack("<HHHHB", 2, 3, 60000, 50000, 0)) == (60002, 50003)


@given(
    st.binary(max_size=200),
    st.sampled_from([b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP", b""]),
)
def test_no_bytes_at_all_make_the_reader_fail(data: bytes, start: bytes) -> None:
    size = image_size(start + data)

    assert size is None or all(side >= 0 for side in size)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_cut_anywhere_is_read_or_refused(kind: str) -> None:
    form, fields = KINDS[kind]
    data = picture(1, form, (40, 50), **fields)

    for end in random.Random(1).sample(range(len(data)), min(60, len(data))):
        assert image_size(data[:end]) in (None, (40, 50))


@pytest.mark.parametrize("size", [(100_000, 100_000), (2**32 - 1, 2**32 - 1), (1, MAX_PIXELS + 1), (0, 10)])
def test_a_bomb_is_refused_by_what_it_claims(size: tuple[int, int]) -> None:
    with pytest.raises(InvalidInput, match=rf"the image has {size[0]} x {size[1]} pixels"):
        check_image(sent(png_header(*size)))


def test_a_file_that_is_too_large_is_refused_before_it_is_decoded() -> None:
    with pytest.raises(InvalidInput, match=f"the image has {MAX_BYTES + 1} bytes"):
        check_image("A" * (-(-MAX_BYTES // 3) * 4))


@pytest.mark.parametrize("data", [b"", b"hello", b"%PDF-1.7", b"BM" + b"\0" * 60])
def test_what_is_no_image_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput, match="not an image that can be read"):
        check_image(sent(data))


@pytest.mark.parametrize("data", [b"RIFF\0\0\0\0WAVEfmt ", b"ID3\x04" + b"\0" * 20, b"\xff\xfb\x90\x00" + b"\0" * 20])
def test_sound_is_not_supported_yet(data: bytes) -> None:
    with pytest.raises(Unsupported, match="audio is not supported yet"):
        check_image(sent(data))


def test_an_image_within_the_bounds_passes() -> None:
    assert check_image(sent(picture(1, size=(40, 50)))) == 2000
    assert check_image(sent(png_header(5000, 10000))) == 50_000_000


@pytest.mark.parametrize(
    ("num_images", "num_pixels", "complaint"),
    [(MAX_IMAGES + 1, 0, "the request has 1001 images"), (41, 41 * MAX_PIXELS, "2050000000 pixels in all")],
)
def test_many_small_bombs_are_one(num_images: int, num_pixels: int, complaint: str) -> None:
    check_total(MAX_IMAGES, MAX_TOTAL_PIXELS)

    with pytest.raises(InvalidInput, match=complaint):
        check_total(num_images, num_pixels)


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_counts_as_its_first_frame(kind: str) -> None:
    """Later frames are never decoded, so it does not matter how many there are."""
    frames = [Image.new("RGB", (30, 20), (number % 256, number // 256, 0)) for number in range(400)]
    data = BytesIO()
    frames[0].save(data, kind, save_all=True, append_images=frames[1:])

    assert check_image(sent(data.getvalue())) == 600
