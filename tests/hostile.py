"""Files that a folder of photographs really holds: broken, odd, huge, mislabelled and sound ones."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from rupantara.synthetic import draw_face

FACE = draw_face("human", 3, size=160)
"""The face in every sound picture, upright and whole: its points are theirs."""

ACCEPTED, BROKEN = {"accepted"}, {"truncated", "undecodable"}
Files = dict[str, tuple[bytes, set[str]]]


def write_hostile_files(folder: Path) -> dict[str, set[str]]:
    """Write the files; return relative path -> allowed outcomes ("accepted" or a reject reason)."""
    files = {**_sound(), **_oriented(), **_damaged(), **_mislabelled(), **_huge()}
    for name, (data, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    outcomes = {name: allowed for name, (_, allowed) in files.items()}
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "folder.jpg").mkdir()
    outcomes |= {"dangling.jpg": {"unreadable"}, "folder.jpg": {"unreadable"}}
    if os.geteuid() != 0:
        (folder / "forbidden.jpg").write_bytes(encoded("JPEG"))
        (folder / "forbidden.jpg").chmod(0)
        outcomes["forbidden.jpg"] = {"unreadable"}
    return outcomes


def encoded(kind: str, picture: Image.Image | None = None, **options: object) -> bytes:
    """Encode a picture (FACE without one) with PIL."""
    sink = io.BytesIO()
    (picture or Image.fromarray(FACE.image)).save(sink, kind, **options)
    return sink.getvalue()


def turned(picture: np.ndarray, orientation: int) -> np.ndarray:
    """Store an upright picture so that EXIF's `orientation` shows it upright (its table of 0th row and 0th column)."""
    stored = {
        1: picture,  # row 0 at the top, column 0 at the left
        2: picture[:, ::-1],  # top, right
        3: picture[::-1, ::-1],  # bottom, right
        4: picture[::-1],  # bottom, left
        5: picture.swapaxes(0, 1),  # left, top
        6: picture[:, ::-1].swapaxes(0, 1),  # right, top
        7: picture[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: picture[::-1].swapaxes(0, 1),  # left, bottom
    }
    return np.ascontiguousarray(stored[orientation])


def exif_jpeg(picture: np.ndarray, orientation: int) -> bytes:
    """Encode an upright picture as a camera held in this orientation does."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded("JPEG", Image.fromarray(turned(picture, orientation)), quality=95, exif=exif)


def png(width: int, height: int, rows: bytes, *, depth: int = 8) -> bytes:
    """Build a grey PNG from its zlib-compressed rows, whatever its header claims."""
    header = struct.pack(">IIBBBBB", width, height, depth, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", rows) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def zero_rows(num: int, num_bytes: int) -> bytes:
    """Compress `num` PNG rows of zeros without holding them."""
    squeeze = zlib.compressobj(1)
    block = bytes(100 * (num_bytes + 1))
    return b"".join(squeeze.compress(block) for _ in range(num // 100)) + squeeze.flush()


def _sound() -> Files:
    face = Image.fromarray(FACE.image)
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, FACE.image.shape, np.uint8))
    sixteen = Image.fromarray(np.asarray(face.convert("L")).astype(np.uint16) * 257)
    pictures = {
        "sound/plain.jpg": encoded("JPEG", quality=95),
        "sound/progressive.jpg": encoded("JPEG", quality=95, progressive=True),
        "sound/cmyk.jpg": encoded("JPEG", face.convert("CMYK"), quality=95),
        "sound/grey.jpg": encoded("JPEG", face.convert("L"), quality=95),
        "sound/garbage after its end.jpg": encoded("JPEG", quality=95) + b"<html>\0\xff\xd8" * 99,
        "sound/plain.png": encoded("PNG"),
        "sound/grey 16 bit.png": encoded("PNG", sixteen),
        "sound/opaque.png": encoded("PNG", face.convert("RGBA")),
        "sound/palette, transparent.png": encoded("PNG", face.quantize(250), transparency=255),
        "sound/animated.gif": encoded("GIF", face.quantize(256), save_all=True, append_images=[noise.quantize(256)]),
        "sound/plain.tif": encoded("TIFF"),
        "sound/packed.tiff": encoded("TIFF", compression="tiff_lzw"),
        "sound/plain.webp": encoded("WEBP", quality=95),
        "sound/plain.bmp": encoded("BMP"),
        "sound/a jpeg named.png": encoded("JPEG", quality=95),
        "sound/no extension": encoded("JPEG", quality=95),
        "sound/UPPER.JPG": encoded("JPEG", quality=95),
        "sound/with  spaces .jpg": encoded("JPEG", quality=95),
        "sound/ünïcödé 猫 🐅.jpg": encoded("JPEG", quality=95),
        "sound/100% #1?&[x].jpg": encoded("JPEG", quality=95),
        "sound/two\nlines 'and' \"quotes\".jpg": encoded("JPEG", quality=95),
        os.fsdecode(b"sound/not utf-8 caf\xe9.jpg"): encoded("JPEG", quality=95),
    }
    return {name: (data, ACCEPTED) for name, data in pictures.items()}


def _oriented() -> Files:
    return {f"exif/orientation {n}.jpg": (exif_jpeg(FACE.image, n), ACCEPTED) for n in range(1, 9)}


def _damaged() -> Files:
    jpeg, lossless = encoded("JPEG", quality=95), encoded("PNG")
    header_crc = bytearray(lossless)
    header_crc[29] ^= 0xFF
    flipped = bytearray(lossless)
    flipped[len(flipped) // 2] ^= 0xFF
    cuts = {f"damaged/jpeg cut at {cut}.jpg": jpeg[:cut] for cut in (2, 20, 300, len(jpeg) // 2, len(jpeg) - 200)}
    damaged = {
        **cuts,
        "damaged/png cut in half.png": lossless[: len(lossless) // 2],
        "damaged/png signature only.png": lossless[:8],
        "damaged/png with a broken header CRC.png": bytes(header_crc),
        "damaged/png with a flipped byte.png": bytes(flipped),
        "damaged/tiff cut in half.tif": encoded("TIFF", compression="tiff_lzw")[:9000],
        "damaged/webp cut in half.webp": encoded("WEBP", quality=95)[:1500],
        "damaged/bmp cut in half.bmp": encoded("BMP")[:30000],
        "damaged/gif cut in half.gif": encoded("GIF")[:5000],
        "damaged/no width.png": png(0, 10, zero_rows(100, 1)),
        "damaged/no height.png": png(10, 0, b""),
    }
    files = {"damaged/empty.jpg": (b"", {"empty"})} | {name: (data, BROKEN) for name, data in damaged.items()}
    # PIL takes a whole zlib stream of too few rows for a picture whose rest is black: that is dark, at least.
    files["damaged/fewer rows than said.png"] = (png(100, 200, zero_rows(100, 100)), BROKEN | {"too_dark"})
    return files


def _mislabelled() -> Files:
    noise = np.random.default_rng(1).integers(0, 256, 5000, np.uint8).tobytes()
    html = b"<!DOCTYPE html><html><head><title>404 Not Found</title></head><body>Not Found</body></html>"
    texts = {
        "mislabelled/page.jpg": html,
        "mislabelled/noise.jpg": noise,
        "mislabelled/notes.png": b"eyes at 12 13\n" * 9,
        "mislabelled/zeros.jpg": bytes(4096),
        "mislabelled/drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
        "mislabelled/archive.jpg": b"PK\x03\x04" + noise[:200],
    }
    return {name: (data, {"undecodable"}) for name, data in texts.items()}


def _claimed_gif(side: int) -> bytes:
    screen = b"GIF89a" + struct.pack("<HH", side, side) + b"\x80\0\0" + bytes(6)
    return screen + b"," + struct.pack("<HHHH", 0, 0, side, side) + b"\0\x02\x02\x44\x01\0;"


def _huge() -> Files:
    frame = bytearray(encoded("JPEG"))
    frame_header = frame.index(b"\xff\xc0")
    frame[frame_header + 5 : frame_header + 9] = struct.pack(">HH", 65000, 65000)
    bitmap = bytearray(encoded("BMP"))
    bitmap[18:26] = struct.pack("<ii", 100_000, 100_000)
    huge = {
        "huge/bomb 30000 x 30000.png": png(30_000, 30_000, zero_rows(30_000, 3_750), depth=1),
        "huge/just over the limit.png": png(10_000, 5_001, b"", depth=1),
        "huge/claimed in a png.png": png(2**31 - 1, 2**31 - 1, b""),
        "huge/claimed in a jpeg.jpg": bytes(frame),
        "huge/claimed in a bmp.bmp": bytes(bitmap),
        "huge/claimed in a gif.gif": _claimed_gif(65535),
    }
    return {name: (data, {"too_large"}) for name, data in huge.items()}
