"""Pictures whose bytes are damaged, or whose headers claim what cannot be."""

import struct
import zlib

from tests.hostile.craft import PNG_SIGNATURE, bitmap, chunk, frame_header, gif, png, tiff, tiff_of, webp, zero_rows
from tests.hostile.pictures import (
    BROKEN,
    DOUBTFUL,
    FACE,
    JPEG,
    PICTURE,
    PNG,
    Files,
    encoded,
    every,
)


def broken() -> Files:
    """Say `truncated` or `undecodable`; what no reader can see is set apart under `unseen/`."""
    files = every(_damaged() | _not_decodable(), BROKEN) | every(_unseen(), DOUBTFUL)
    files |= {"damaged/empty.jpg": (b"", {"empty"}), "damaged/empty.png": (b"", {"empty"})}
    files["damaged/flipped bytes of a jpeg's tables.jpg"] = (_flip(JPEG, 20, 25, 30), DOUBTFUL)
    # PIL takes a whole zlib stream of too few rows for a picture whose rest is black: that is dark, at least.
    files["damaged/fewer rows than said.png"] = (png(100, 200, zero_rows(100, 100)), BROKEN | {"too_dark"})
    return files


def _flip(data: bytes, *places: int) -> bytes:
    flipped = bytearray(data)
    for place in places:
        flipped[place] ^= 0xFF
    return bytes(flipped)


def _damaged() -> dict[str, bytes]:
    cuts = {f"damaged/jpeg cut at {cut}.jpg": JPEG[:cut] for cut in (1, 2, 3, 20, 300, len(JPEG) - 200, len(JPEG) - 1)}
    half = len(JPEG) // 2
    return {
        **cuts,
        "damaged/zeros after the half.jpg": JPEG[:half] + bytes(len(JPEG) - half),
        "damaged/0xff after the half.jpg": JPEG[:half] + b"\xff" * (len(JPEG) - half),
        "damaged/whole jpeg after the half.jpg": JPEG[:half] + JPEG,
        "damaged/through a text editor.jpg": JPEG.decode("utf-8", "replace").encode(),
        "damaged/line ends changed.png": PNG.replace(b"\r\n", b"\n"),
        "damaged/line ends changed.jpg": JPEG.replace(b"\n", b"\r\n")[:half],
        "damaged/signature only.png": PNG[:8],
        "damaged/broken header CRC.png": _flip(PNG, 29),
        "damaged/flipped byte.png": _flip(PNG, len(PNG) // 2),
        "damaged/zeros after the half.png": PNG[: len(PNG) // 2] + bytes(len(PNG) // 2),
        "damaged/no rows.png": PNG[:33] + chunk(b"IEND", b""),
        "damaged/rows not compressed.png": png(160, 160, bytes(160 * 161)),
        "damaged/palette of no colours.png": PNG_SIGNATURE
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 9, 9, 8, 3, 0, 0, 0))
        + chunk(b"PLTE", b""),
        "damaged/no frame.gif": gif((10, 10), None),
        "damaged/header only.gif": encoded("GIF")[:13],
        "damaged/header only.bmp": encoded("BMP")[:54],
        "damaged/header only.webp": encoded("WEBP")[:30],
        "damaged/no picture.webp": webp((b"VP8X", bytes(10))),
        "damaged/flipped byte.webp": _flip(encoded("WEBP", lossless=True), 21, 40),
        "damaged/flipped byte.tif": _flip(encoded("TIFF", compression="tiff_adobe_deflate"), 400, 2_000),
    }


def _not_decodable() -> dict[str, bytes]:
    """Headers that claim what cannot be, or what PIL does not read."""
    wrong = {"sides": {"t256": 0}, "height": {"t257": 0}, "bits": {"t258": 77}, "compression": {"t259": 65_000}}
    wrong |= {"samples": {"t277": 60_000}, "offset": {"t273": 2**32 - 9}, "colours": {"t262": 999}}
    return {
        **{f"damaged/wrong {name}.tif": tiff_of(FACE.image, **fields) for name, fields in wrong.items()},
        "damaged/no fields.tif": tiff(),
        "damaged/directory outside the file.tif": b"II*\0\xff\xff\xff\x7f" + bytes(99),
        "damaged/directory in a loop without picture.tif": tiff(next_ifd=8),
        "damaged/no width.png": png(0, 10, zero_rows(100, 1)),
        "damaged/no height.png": png(10, 0, b""),
        "damaged/no bits.png": png(10, 10, zero_rows(100, 1), depth=0),
        "damaged/unknown colours.png": png(10, 10, zero_rows(100, 1), colour=5),
        "damaged/no width.jpg": frame_header(JPEG, width=0),
        "damaged/no height.jpg": frame_header(JPEG, height=0),
        "damaged/12 bit.jpg": frame_header(JPEG, precision=12),
        "damaged/lossless.jpg": frame_header(JPEG, marker=0xC3),
        "damaged/hierarchical.jpg": frame_header(JPEG, marker=0xC5),
        "damaged/said to be progressive.jpg": frame_header(JPEG, marker=0xC2),
        "damaged/progressive and arithmetic.jpg": frame_header(JPEG, marker=0xCA),
        "damaged/no width.gif": gif((0, 10), (0, 10)),
        "damaged/no sides.gif": gif((0, 0), (0, 0)),
        "damaged/no sides of the frame.gif": gif((1, 1), (0, 0)),
        "damaged/no width.bmp": bitmap(encoded("BMP"), width=0),
        "damaged/no height.bmp": bitmap(encoded("BMP"), height=0),
        "damaged/seven bits.bmp": bitmap(encoded("BMP"), bits=7),
        "damaged/compression 99.bmp": bitmap(encoded("BMP"), compression=99),
        "damaged/said to be run lengths.bmp": bitmap(encoded("BMP"), compression=1),
        "damaged/pixels outside the file.bmp": bitmap(encoded("BMP"), offset=2**31),
        "damaged/header of 4 GB.bmp": bitmap(encoded("BMP"), head=2**32 - 1),
        "damaged/4 billion colours.bmp": bitmap(encoded("BMP", PICTURE.quantize(256)), colours=2**32 - 1),
    }


def _unseen() -> dict[str, bytes]:
    """Damage that leaves a file whole by its format: readers show what there is, and cannot know better."""
    half, progressive = len(JPEG) // 2, encoded("JPEG", quality=95, progressive=True)
    rows = b"".join(b"\0" + row.tobytes() for row in FACE.image)
    return {
        "unseen/end moved to the half.jpg": JPEG[:half] + b"\xff\xd9",
        "unseen/end moved to the half, progressive.jpg": progressive[: len(progressive) // 2] + b"\xff\xd9",
        "unseen/zeros up to the end.jpg": JPEG[:half] + bytes(len(JPEG) - half - 2) + JPEG[-2:],
        "unseen/flipped bytes of pixels.jpg": _flip(JPEG, half, half + 99, half + 999),
        "unseen/said to be arithmetic.jpg": frame_header(JPEG, marker=0xC9),
        "unseen/half of the rows.png": png(160, 160, zlib.compress(rows[: len(rows) // 2]), colour=2),
        "unseen/zeros after the half.bmp": encoded("BMP")[:40_000] + bytes(36_854),
    }
