"""Pieces of PNG, JPEG, TIFF, GIF, BMP and WebP files, put together as no encoder would."""

import struct
import zlib

import numpy as np

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
SHORT, LONG, RATIONAL, UNDEFINED = 3, 4, 5, 7
"""TIFF's field types."""


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    """Build a PNG chunk; its CRC is right unless given."""
    checksum = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(width: int, height: int, rows: bytes, *, depth: int = 8, colour: int = 0, interlaced: bool = False) -> bytes:
    """Build a PNG (grey without `colour`) from its zlib-compressed rows, whatever its header claims."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return PNG_SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def zero_rows(num: int, num_bytes: int) -> bytes:
    """Compress `num` PNG rows of zeros without holding them."""
    squeeze = zlib.compressobj(1)
    block = bytes(100 * (num_bytes + 1))
    return b"".join(squeeze.compress(block) for _ in range(num // 100)) + squeeze.flush()


def interlaced_png(picture: np.ndarray) -> bytes:
    """Encode RGB in Adam7's seven passes (PIL does not)."""
    starts_and_steps = (
        (0, 0, 8, 8),
        (0, 4, 8, 8),
        (4, 0, 8, 4),
        (0, 2, 4, 4),
        (2, 0, 4, 2),
        (0, 1, 2, 2),
        (1, 0, 2, 1),
    )
    passes = [picture[y::dy, x::dx] for y, x, dy, dx in starts_and_steps]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    return png(picture.shape[1], picture.shape[0], zlib.compress(rows), colour=2, interlaced=True)


def with_chunks(data: bytes, *chunks: bytes) -> bytes:
    """Put chunks after a PNG's header."""
    return data[:33] + b"".join(chunks) + data[33:]


def with_segments(data: bytes, *payloads: bytes, marker: int = 0xE1) -> bytes:
    """Put application segments (EXIF's and XMP's, unless the marker says otherwise) at the head of a JPEG."""
    segments = [struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload for payload in payloads]
    return data[:2] + b"".join(segments) + data[2:]


def frame_header(data: bytes, **fields: int) -> bytes:
    """Change the marker, precision, height or width in a baseline JPEG's frame header."""
    formats = {"marker": (1, ">B"), "precision": (4, ">B"), "height": (5, ">H"), "width": (7, ">H")}
    changed, start = bytearray(data), data.index(b"\xff\xc0")
    for name, value in fields.items():
        offset, form = formats[name]
        struct.pack_into(form, changed, start + offset, value)
    return bytes(changed)


def entry(tag: int, kind: int, count: int, value: int) -> bytes:
    """Build a little-endian TIFF or EXIF entry; `value` is an offset where the field is over 4 bytes."""
    return struct.pack("<HHII", tag, kind, count, value)


def tiff(*entries: bytes, data: bytes = b"", next_ifd: int = 0) -> bytes:
    """Build a TIFF (or the inside of EXIF) with one directory at byte 8, then `data`."""
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + b"".join(entries) + struct.pack("<I", next_ifd) + data


def tiff_of(picture: np.ndarray, *extra: bytes, next_ifd: int = 0, **fields: int) -> bytes:
    """Build an uncompressed RGB TIFF whose fields can be given other values (tags: `t258=8`), and extra entries."""
    height, width, _ = picture.shape
    values = {256: width, 257: height, 258: 8, 259: 1, 262: 2, 273: 0, 277: 3, 278: height, 279: picture.nbytes}
    offset = 8 + 2 + 12 * (len(values) + len(extra)) + 4
    values |= {273: offset} | {int(name[1:]): value for name, value in fields.items()}
    entries = [entry(tag, LONG, 1, value) for tag, value in values.items()]
    return tiff(*entries, *extra, data=picture.tobytes(), next_ifd=next_ifd)


def gif(screen: tuple[int, int], frame: tuple[int, int] | None) -> bytes:
    """Build a GIF of a two-colour palette and two pixels, whatever its screen and its frame claim."""
    head = b"GIF89a" + struct.pack("<HH", *screen) + b"\x80\0\0" + bytes(6)
    return head + (b"" if frame is None else b"," + struct.pack("<HHHH", 0, 0, *frame) + b"\0\x02\x02\x44\x01\0") + b";"


def bitmap(data: bytes, **fields: int) -> bytes:
    """Change fields of a BMP's headers."""
    formats = {"offset": (10, "<I"), "head": (14, "<I"), "width": (18, "<i"), "height": (22, "<i")}
    formats |= {"planes": (26, "<H"), "bits": (28, "<H"), "compression": (30, "<I"), "colours": (46, "<I")}
    changed = bytearray(data)
    for name, value in fields.items():
        offset, form = formats[name]
        struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def webp(*chunks: tuple[bytes, bytes]) -> bytes:
    """Build a WebP from its RIFF chunks."""
    body = b"".join(kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def canvas(width: int, height: int, flags: int = 0) -> tuple[bytes, bytes]:
    """Build WebP's VP8X chunk."""
    return b"VP8X", struct.pack("<I", flags) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
