"""Sound pictures with absurd EXIF, colour profiles, XMP and comments: the pixels are what counts."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile.craft import LONG, RATIONAL, SHORT, UNDEFINED, chunk, entry, tiff, with_chunks, with_segments
from tests.hostile.pictures import (
    ACCEPTED,
    DOUBTFUL,
    FACE,
    JPEG,
    NOISE,
    PICTURE,
    PNG,
    Files,
    encoded,
    every,
    exif_jpeg,
    turned,
)

SIXTH = encoded("JPEG", Image.fromarray(turned(FACE.image, 6)), quality=95)
"""Stored lying on its side: upright only by the orientation 6 in its EXIF."""

ORIENTATION_6 = entry(0x0112, SHORT, 1, 6)
GARBAGE = np.random.default_rng(2).integers(0, 256, 60_000, np.uint8).tobytes()
LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE z [<!ENTITY a0 "ha">%s]><x:xmpmeta xmlns:x="adobe:ns:meta/">&a40;</x:xmpmeta>'
    % (b"".join(b'<!ENTITY a%d "%s">' % (n, b"&a%d;" % (n - 1) * 10) for n in range(1, 41)))
)


def metadata() -> Files:
    """EXIF that can be read is followed; whatever else stands beside the pixels is of no account."""
    turned_ones = {f"exif/orientation {n}.jpg": exif_jpeg(FACE.image, n) for n in range(1, 9)}
    odd = {f"exif/{name}.jpg": with_segments(JPEG, b"Exif\0\0" + block) for name, block in _odd_exif().items()}
    lying = {f"exif/lying, {name}.jpg": with_segments(SIXTH, b"Exif\0\0" + block) for name, block in _lying().items()}
    return every(turned_ones | odd | lying | _profiles() | _xmp() | _comments(), ACCEPTED) | every(
        _malformed(), DOUBTFUL
    )


def _odd_exif() -> dict[str, bytes]:
    """EXIF of pictures that are stored upright: it says nothing, or nothing that can be followed."""
    return {
        **{f"orientation {n}": tiff(entry(0x0112, SHORT, 1, n)) for n in (0, 9, 255, 65_535)},
        "orientation in letters": tiff(entry(0x0112, 2, 2, ord("6"))),
        "orientation of three values": tiff(entry(0x0112, SHORT, 3, 26), data=struct.pack("<HHH", 1, 6, 6)),
        "orientation of no value": tiff(entry(0x0112, SHORT, 0, 6)),
        "orientation of 2 ^ 31 values": tiff(entry(0x0112, SHORT, 2**31, 26)),
        "orientation divided by zero": tiff(entry(0x0112, RATIONAL, 1, 26), data=struct.pack("<II", 6, 0)),
        "orientation outside the file": tiff(entry(0x0112, RATIONAL, 1, 2**32 - 16)),
        "orientation of unknown type": tiff(entry(0x0112, 99, 1, 6)),
        "directory that follows itself": tiff(entry(0x0112, SHORT, 1, 1), next_ifd=8),
        "directory within itself": tiff(entry(0x8769, LONG, 1, 8), entry(0x8825, LONG, 1, 8)),
        "directory outside the file": b"II*\0\xf0\xff\xff\xff",
        "directory that ends early": b"II*\0\x08\0\0\0\xff\xff" + ORIENTATION_6[:5],
        "60 KB of garbage": GARBAGE,
        "60 KB of garbage in a directory": b"II*\0\x08\0\0\0" + GARBAGE,
        "neither byte order": b"XX*\0\x08\0\0\0\x01\0" + ORIENTATION_6,
        "nothing in it": b"",
        "byte order only": b"MM",
        "thumbnail of something else": _thumbnail(),
    }


def _thumbnail() -> bytes:
    small = encoded("JPEG", NOISE.resize((64, 64)))
    first = tiff(entry(0x0112, SHORT, 1, 1), next_ifd=26)
    links = entry(0x0103, SHORT, 1, 6), entry(0x0201, LONG, 1, 68), entry(0x0202, LONG, 1, len(small))
    return first + struct.pack("<H", 3) + b"".join(links) + bytes(4) + small


def _lying() -> dict[str, bytes]:
    """EXIF whose orientation is sound, whatever stands beside it."""
    return {
        "long": tiff(entry(0x0112, LONG, 1, 6)),
        "number out of its range": tiff(entry(0x0100, 9, 1, 2**32 - 1), ORIENTATION_6),
        "bytes for a number": tiff(entry(0x0100, UNDEFINED, 4, 7), ORIENTATION_6),
        "letters for a number": tiff(entry(0x0102, 2, 4, 7), ORIENTATION_6),
        "maker outside the file": tiff(entry(0x010F, 2, 100, 2**32 - 16), ORIENTATION_6),
        "directories outside the file": tiff(
            ORIENTATION_6, entry(0x8769, LONG, 1, 2**31), entry(0x8825, LONG, 1, 2**31)
        ),
        "directory within itself": tiff(ORIENTATION_6, entry(0x8769, LONG, 1, 8)),
    }


def _profiles() -> dict[str, bytes]:
    head = b"ICC_PROFILE\0"
    return {
        "profile/garbage.jpg": with_segments(JPEG, head + b"\1\1" + GARBAGE, marker=0xE2),
        "profile/cut off.jpg": with_segments(JPEG, head + b"\1\1\0\0\2\x0c", marker=0xE2),
        "profile/claims 4 GB.jpg": with_segments(JPEG, head + b"\1\1\xff\xff\xff\xff" + bytes(124), marker=0xE2),
        "profile/one part of 255.jpg": with_segments(JPEG, head + b"\7\xff" + GARBAGE, marker=0xE2),
        "profile/2 MB in parts.jpg": with_segments(
            JPEG, *[head + bytes([n, 32]) + GARBAGE for n in range(1, 33)], marker=0xE2
        ),
        "profile/garbage.png": encoded("PNG", icc_profile=GARBAGE),
        "profile/not compressed.png": with_chunks(PNG, chunk(b"iCCP", b"profile\0\0" + GARBAGE)),
        "profile/garbage.tif": encoded("TIFF", icc_profile=GARBAGE),
        "profile/garbage.webp": encoded("WEBP", quality=95, icc_profile=GARBAGE),
    }


def _xmp() -> dict[str, bytes]:
    xmp = b"http://ns.adobe.com/xap/1.0/\0"
    return {
        "xmp/billion laughs.jpg": with_segments(JPEG, xmp + LAUGHS),
        "xmp/billion laughs.png": with_chunks(PNG, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + LAUGHS)),
        "xmp/billion laughs.tif": encoded("TIFF", tiffinfo={700: LAUGHS}),
        "xmp/billion laughs.webp": encoded("WEBP", quality=95, xmp=LAUGHS),
        "xmp/not utf-8.jpg": with_segments(JPEG, xmp + GARBAGE),
    }


def _comments() -> dict[str, bytes]:
    return {
        "comments/2 MB.jpg": with_segments(JPEG, *[GARBAGE] * 35, marker=0xFE),
        "comments/1000 segments.jpg": with_segments(JPEG, *[b"x"] * 1_000, marker=0xEF),
        "comments/padding.jpg": JPEG[:2] + b"\xff" * 20_000 + JPEG[2:],
        "comments/garbage.gif": encoded("GIF", PICTURE.quantize(250), comment=GARBAGE),
        "comments/unknown chunk.png": with_chunks(PNG, chunk(b"prVt", GARBAGE)),
        "comments/unknown chunk.webp": encoded("WEBP", quality=95, exif=GARBAGE),
        "comments/latin text.png": with_chunks(PNG, chunk(b"tEXt", b"Comment\0caf\xe9")),
    }


def _malformed() -> dict[str, bytes]:
    return {
        "profile/two bytes.jpg": with_segments(JPEG, b"ICC_PROFILE\0", marker=0xE2),
        "comments/segment of no length.jpg": JPEG[:2] + b"\xff\xe1\0\0" + JPEG[2:],
        "comments/text without a key.png": with_chunks(PNG, chunk(b"tEXt", b"no zero byte")),
        "comments/chunk of 4 GB.png": with_chunks(PNG, b"\xff\xff\xff\xffprVt"),
        "comments/broken CRC of a text.png": with_chunks(PNG, chunk(b"tEXt", b"Comment\0text", crc=1)),
        "comments/not compressed.png": with_chunks(PNG, chunk(b"zTXt", b"Comment\0\0" + GARBAGE[:99])),
        "comments/text of an unknown method.png": with_chunks(
            PNG, chunk(b"zTXt", b"Comment\0\7" + zlib.compress(b"text"))
        ),
    }
