"""Files that are something else, or nothing, under a photograph's name."""

import gzip
import io
import zipfile
import zlib

import numpy as np
from PIL import Image

from tests.hostile.craft import PNG_SIGNATURE
from tests.hostile.metadata import LAUGHS
from tests.hostile.pictures import BROKEN, JPEG, NOISE, TOO_LARGE, Files, encoded, every

MAGIC = {
    "jpg": b"\xff\xd8\xff\xe0\0\x10JFIF\0\1",
    "bare jpg": b"\xff\xd8\xff",
    "png": PNG_SIGNATURE,
    "gif": b"GIF89a",
    "bmp": b"BM",
    "little tif": b"II*\0",
    "big tif": b"MM\0*",
    "bigger tif": b"II+\0\x08\0\0\0",
    "webp": b"RIFF\x24\0\0\0WEBPVP8 ",
    "avif": b"\0\0\0\x1cftypavif",
    "heic": b"\0\0\0\x1cftypheic",
    "mp4": b"\0\0\0\x18ftypmp42",
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    "jxl": b"\xff\x0a",
    "psd": b"8BPS\0\1",
    "ico": b"\0\0\1\0\1\0",
    "icns": b"icns",
    "dds": b"DDS ",
    "ppm": b"P6\n160 160\n255\n",
    "sgi": b"\x01\xda\1\1",
    "qoi": b"qoif",
    "fits": b"SIMPLE  =",
    "exe": b"MZ\x90\0",
    "elf": b"\x7fELF\2\1\1",
    "7z": b"7z\xbc\xaf\x27\x1c",
    "rar": b"Rar!\x1a\7\1",
    "bz2": b"BZh9",
    "zst": b"\x28\xb5\x2f\xfd",
    "ole": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "pickle": b"\x80\x04\x95",
    "appledouble": b"\0\5\x16\7\0\2\0\0Mac OS X",
}
"""How files of each kind begin; random bytes follow."""


def mislabelled() -> Files:
    """None is a picture; a random header may claim one that is too large."""
    noise = np.random.default_rng(1)
    random = {f"random/{kind}.jpg": magic + noise.bytes(3000) for kind, magic in MAGIC.items()}
    return every(_something_else() | _no_levels(), {"undecodable"}) | every(random, BROKEN | TOO_LARGE)


def _no_levels() -> dict[str, bytes]:
    """Float pictures whose levels say nothing."""
    odd = {"not a number": np.nan, "infinite": np.inf}
    return {
        f"levels/{name}.tif": encoded("TIFF", Image.fromarray(np.full((160, 160), level, np.float32)))
        for name, level in odd.items()
    }


def _something_else() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("photo.jpg", JPEG)
    texts = {
        "page.jpg": b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not Found</body></html>",
        "denied.jpg": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "notes.png": b"eyes at 12 13\n" * 9,
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "billion laughs.svg.jpg": LAUGHS.replace(b"x:xmpmeta", b"svg"),
        "pointer.jpg": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
        "address.jpg": b"data:image/jpeg;base64,/9j/4AAQSkZJRgABAQ",
        "script.jpg": b"#!/bin/sh\nrm -rf /nowhere\n",
        "program that never ends.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n{} loop\n",
        "portable.jpg": encoded("PDF"),
    }
    others = {
        "archive.jpg": archive.getvalue(),
        "squeezed.jpg": gzip.compress(JPEG, mtime=0),
        "zip bomb.jpg": b"PK\x03\x04" + zlib.compress(bytes(10**7)),
        "gzip bomb.jpg": gzip.compress(bytes(10**7), mtime=0),
        "film.jpg": b"\0\0\0\x18ftypisom\0\0\2\0isomiso2" + b"\0\0\0\x08moov" + bytes(999),
        "answer with its head.jpg": b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + JPEG,
        "byte order mark.jpg": b"\xef\xbb\xbf" + JPEG,
        "zeros.jpg": bytes(4096),
        "one zero.jpg": bytes(1),
        "megabyte of zeros.png": bytes(2**20),
        "0xff.jpg": b"\xff" * 4096,
        "noise.jpg": NOISE.tobytes()[:5000],
    }
    return {f"mislabelled/{name}": data for name, data in (texts | others).items()}
