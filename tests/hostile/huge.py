"""Small files that claim, or come to, huge pictures, texts or work."""

import struct
import zlib

from PIL import Image

from tests.hostile.craft import bitmap, canvas, chunk, frame_header, gif, png, tiff_of, webp, with_chunks, zero_rows
from tests.hostile.pictures import BROKEN, DOUBTFUL, FACE, JPEG, PNG, TOO_LARGE, Files, encoded, every


def huge() -> Files:
    """Bombs of pixels are seen in the header; those of text may cost the picture or be skipped."""
    return every(_pixels(), TOO_LARGE) | every(_short_of_data(), BROKEN) | every(_texts(), DOUBTFUL)


def _pixels() -> dict[str, bytes]:
    vp8 = encoded("WEBP")[20:]
    squeezed = png(12_000, 12_000, zero_rows(12_000, 1_500), depth=1)
    icon = struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(squeezed), 22)
    return {
        "huge/bomb 30000 x 30000.png": png(30_000, 30_000, zero_rows(30_000, 3_750), depth=1),
        "huge/just over the limit.png": png(10_000, 5_001, b"", depth=1),
        "huge/claimed in a png.png": png(2**31 - 1, 2**31 - 1, b""),
        "huge/one row of a png.png": png(2**31 - 1, 1, b""),
        "huge/sixteen bits of rgba.png": png(40_000, 40_000, b"", depth=16, colour=6),
        "huge/claimed in a jpeg.jpg": frame_header(JPEG, width=65_000, height=65_000),
        "huge/one side of a jpeg.jpg": frame_header(JPEG, height=65_500, width=800),
        "huge/many scans.jpg": _many_scans(2_000),
        "huge/claimed in a bmp.bmp": bitmap(encoded("BMP"), width=100_000, height=100_000),
        "huge/top down.bmp": bitmap(encoded("BMP"), width=2**31 - 1, height=-(2**31) + 1),
        "huge/negative width.bmp": bitmap(encoded("BMP"), width=-160),
        "huge/claimed in a gif.gif": gif((65_535, 65_535), (65_535, 65_535)),
        "huge/frame larger than the screen.gif": gif((1, 1), (65_535, 65_535)),
        "huge/screen larger than the frame.gif": gif((65_535, 65_535), (1, 1)),
        "huge/claimed in a tiff.tif": tiff_of(FACE.image, t256=2**31 - 1, t257=2**31 - 1),
        "huge/one row of a tiff.tif": tiff_of(FACE.image, t256=2**31 - 1, t257=1),
        "huge/deflated.tif": tiff_of(FACE.image, t256=100_000, t257=100_000, t259=8),
        "huge/canvas.webp": webp(canvas(2**24, 2**24), (b"VP8 ", vp8)),
        "huge/canvas of 16383.webp": webp(canvas(16_383, 16_383), (b"VP8 ", vp8)),
        "huge/lossless.webp": webp((b"VP8L", b"\x2f" + struct.pack("<I", 16_382 | 16_382 << 14) + bytes(100))),
        "huge/png in an icon.jpg": icon + squeezed,
        "huge/ascii.jpg": b"P3\n60000 60000\n255\n" + b"7 " * 99,
    }


def _many_scans(num: int) -> bytes:
    """Repeat the last scan of a flat progressive JPEG: each costs a pass over all pixels, for some ten bytes."""
    flat = encoded("JPEG", Image.new("RGB", (2_000, 2_000), (120, 120, 120)), progressive=True)
    return flat[:-2] + flat[flat.rindex(b"\xff\xda") : -2] * num + flat[-2:]


def _short_of_data() -> dict[str, bytes]:
    return {
        "huge/below the limit, no rows.png": png(7_000, 7_000, zlib.compress(b"")),
        "huge/below the limit, one row.gif": gif((7_000, 7_000), (7_000, 7_000)),
        "huge/below the limit, no strip.tif": tiff_of(FACE.image, t256=7_000, t257=7_000),
    }


def _texts() -> dict[str, bytes]:
    squeeze = zlib.compressobj(9)
    bomb = b"".join(squeeze.compress(bytes(2**20)) for _ in range(50)) + squeeze.flush()
    megabyte = zlib.compress(b"x" * 2**20)
    return {
        "huge/50 MB of text.png": with_chunks(PNG, chunk(b"zTXt", b"Comment\0\0" + bomb)),
        "huge/50 MB of international text.png": with_chunks(PNG, chunk(b"iTXt", b"Comment\0\1\0\0\0" + bomb)),
        "huge/80 texts of 1 MB.png": with_chunks(
            PNG, *[chunk(b"zTXt", b"Comment%d\0\0" % n + megabyte) for n in range(80)]
        ),
        "huge/2 MB of plain text.png": with_chunks(PNG, chunk(b"tEXt", b"Comment\0" + b"x" * 2**21)),
        "huge/profile of 50 MB.png": with_chunks(PNG, chunk(b"iCCP", b"profile\0\0" + bomb)),
        "huge/5000 chunks.png": with_chunks(PNG, *[chunk(b"prVt", b"")] * 5_000),
    }
