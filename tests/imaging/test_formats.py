"""Photographs are known by name, whatever its case, and by their first bytes."""

import io

import pytest
from PIL import Image

from rupantara.errors import Rejected
from rupantara.imaging import codec, formats

SAVED = {"jpe": "JPEG", "jfif": "JPEG", "mpo": "MPO", "avif": "AVIF", "jp2": "JPEG2000", "webp": "WEBP", "bmp": "BMP"}
SAVED |= {"tif": "TIFF", "gif": "GIF", "png": "PNG", "ppm": "PPM", "sgi": "SGI"}


@pytest.mark.parametrize("ending", SAVED)
def test_what_is_known_by_its_ending_is_known_by_its_bytes_and_decodes(ending: str) -> None:
    sink = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(sink, SAVED[ending])
    data = sink.getvalue()
    assert formats.ending(f"a.b/photo.{ending.upper()}") == ending in formats.ENDINGS
    assert formats.is_picture(data[: formats.HEAD_BYTES])
    assert codec.decode(data).shape == (256, 256, 3)


@pytest.mark.parametrize(
    "head", [b"", b"BM", b"BMI is a number.", b"%PDF-1.7", b"PK\x03\x04", b"RIFF\0\0\0\0WAVE", b"{}"]
)
def test_other_files_are_no_pictures(head: bytes) -> None:
    assert not formats.is_picture(head)


def test_endings_are_compared_without_case_and_dot() -> None:
    assert formats.wanted(["JPG", ".Png "]) == {"jpg", "png"}
    assert [formats.ending(p) for p in ("x", ".jpg", "a.d/x", "x.tar.GZ", "a\\b.JPG")] == ["", "", "", "gz", "jpg"]


def test_what_is_left_out_is_counted_by_ending() -> None:
    assert formats.count_endings(["a.txt", "b.TXT", "c", "d.mov"]) == {"txt": 2, "no ending": 1, "mov": 1}


@pytest.mark.parametrize(
    "path", ["a/.DS_Store", "Thumbs.db", "a/._b.jpg", "__MACOSX/a/b.jpg", "x\\@eaDir\\b.jpg/SYNOPHOTO_THUMB_M.jpg"]
)
def test_what_systems_leave_behind_is_litter(path: str) -> None:
    assert formats.is_litter(path) and not formats.is_litter("a/.b._c/_d.jpg")


@pytest.mark.parametrize(
    ("head", "extra"),
    [
        (b"\0\0\0\x18ftypheic", "heic"),
        (b"\0\0\0\x18ftyphevc", "heic"),
        (b"\xff\x0a", "jxl"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    ],
)
def test_formats_of_extras_are_rejects_that_name_the_extra(head: bytes, extra: str) -> None:
    assert formats.is_picture(head.ljust(formats.HEAD_BYTES, b"\0"))
    with pytest.raises(Rejected) as rejected:
        codec.decode(head + bytes(64))
    assert rejected.value.reason == "undecodable" and f"rupantara[{extra}]" in rejected.value.detail
