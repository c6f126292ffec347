"""Sound pictures as odd as the formats allow: each must show the face."""

import struct
import zlib

import numpy as np
from PIL import Image

from tests.hostile.craft import bitmap, chunk, interlaced_png, png, tiff_of, webp, with_chunks, zero_rows
from tests.hostile.pictures import ACCEPTED, FACE, GREY, JPEG, NOISE, PICTURE, PNG, Files, encoded, every, turned

SIXTEEN = np.asarray(GREY).astype(np.uint16) * 257


def sound() -> Files:
    """Every depth, colour space, number of frames and name that a reader knows, and shapes that hold no face."""
    shown = _jpegs() | _pngs() | _tiffs() | _others() | _many_pictures() | _lying_names()
    return every({f"sound/{name}": data for name, data in shown.items()}, ACCEPTED) | _shapes()


def _jpegs() -> dict[str, bytes]:
    cmyk = encoded("JPEG", PICTURE.convert("CMYK"), quality=95)
    adobe = cmyk.index(b"\xff\xee")
    small = encoded("JPEG", NOISE.resize((32, 32)))
    return {
        "plain.jpg": JPEG,
        "progressive.jpg": encoded("JPEG", quality=95, progressive=True),
        "optimised, with restarts.jpg": encoded("JPEG", quality=95, optimize=True, restart_marker_rows=1),
        "not subsampled.jpg": encoded("JPEG", quality=95, subsampling=0),
        "rgb.jpg": encoded("JPEG", quality=95, keep_rgb=True),
        "grey.jpg": encoded("JPEG", GREY, quality=95),
        "cmyk.jpg": cmyk,
        "cmyk without Adobe's marker.jpg": cmyk[:adobe] + cmyk[adobe + 16 :],
        "ycck.jpg": _ycck(),
        "garbage after its end.jpg": JPEG + b"<html>\0\xff\xd8" * 99,
        "zeros after its end.jpg": JPEG + bytes(99_999),
        "another jpeg after its end.jpg": JPEG + encoded("JPEG", NOISE),
        "truncated jpeg after its end.jpg": JPEG + small[:200],
        "zip after its end.jpg": JPEG + b"PK\x03\x04" + bytes(99),
    }


def _ycck() -> bytes:
    """PIL stores CMYK inverted and untransformed: give it YCCK's channels so, and say that they are transformed."""
    inks = Image.merge("RGB", PICTURE.convert("CMYK").split()[:3]).convert("YCbCr")
    inverted = [channel.point(lambda level: 255 - level) for channel in inks.split()]
    data = bytearray(encoded("JPEG", Image.merge("CMYK", [*inverted, Image.new("L", PICTURE.size, 0)]), quality=95))
    data[data.index(b"\xff\xee") + 15] = 2
    return bytes(data)


def _pngs() -> dict[str, bytes]:
    deep = b"".join(b"\0" + row.tobytes() for row in FACE.image.astype(">u2") * np.array(257, ">u2"))
    return {
        "plain.png": PNG,
        "interlaced.png": interlaced_png(FACE.image),
        "grey 16 bit.png": encoded("PNG", Image.fromarray(SIXTEEN)),
        "rgb 16 bit.png": png(160, 160, zlib.compress(deep), depth=16, colour=2),
        "grey and alpha.png": encoded("PNG", GREY.convert("LA")),
        "opaque.png": encoded("PNG", PICTURE.convert("RGBA")),
        "palette, transparent.png": encoded("PNG", PICTURE.quantize(250), transparency=255),
        "palette, transparent by table.png": encoded("PNG", PICTURE.quantize(250), transparency=b"\xff" * 250),
        "transparent colour.png": encoded("PNG", transparency=(1, 2, 3)),
        "without its end.png": PNG[:-12],
        "two ends.png": PNG + chunk(b"IEND", b""),
        "garbage after its end.png": PNG + b"\xff\xd8" * 99,
        "background, gamma and size.png": with_chunks(PNG, chunk(b"gAMA", bytes(4)), chunk(b"pHYs", bytes(9))),
    }


def _tiffs() -> dict[str, bytes]:
    lying = Image.fromarray(turned(FACE.image, 6))
    return {
        "plain.tif": encoded("TIFF"),
        "packed.tiff": encoded("TIFF", compression="tiff_lzw"),
        "deflated.tif": encoded("TIFF", compression="tiff_adobe_deflate"),
        "packbits.tif": encoded("TIFF", compression="packbits"),
        "jpeg inside.tif": encoded("TIFF", compression="jpeg", quality=95),
        "big.tif": encoded("TIFF", big_tiff=True),
        "cmyk.tif": encoded("TIFF", PICTURE.convert("CMYK")),
        "grey 16 bit.tif": encoded("TIFF", Image.fromarray(SIXTEEN)),
        "grey as fractions.tif": encoded("TIFF", Image.fromarray(np.asarray(GREY).astype(np.float32) / 255)),
        "palette.tif": encoded("TIFF", PICTURE.quantize(256)),
        "lying.tif": encoded("TIFF", lying, tiffinfo={0x0112: 6}),
        "lying, packed.tif": encoded("TIFF", lying, tiffinfo={0x0112: 6}, compression="tiff_lzw"),
        "several pages.tif": encoded("TIFF", save_all=True, append_images=[NOISE.copy(), NOISE.copy()]),
        "pages in a loop.tif": tiff_of(FACE.image, next_ifd=8),
        "next page outside the file.tif": tiff_of(FACE.image, next_ifd=2**32 - 8),
    }


def _others() -> dict[str, bytes]:
    flipped = encoded("BMP", Image.fromarray(FACE.image[::-1]))
    return {
        "plain.bmp": encoded("BMP"),
        "palette.bmp": encoded("BMP", PICTURE.quantize(256)),
        "opaque.bmp": encoded("BMP", PICTURE.convert("RGBA")),
        "top down.bmp": bitmap(flipped, height=-160),
        "plain.gif": encoded("GIF"),
        "not interlaced.gif": encoded("GIF", interlace=0),
        "transparent.gif": encoded("GIF", PICTURE.quantize(250), transparency=255),
        "without its end.gif": encoded("GIF")[:-1],
        "plain.webp": encoded("WEBP", quality=95),
        "lossless.webp": encoded("WEBP", lossless=True),
        "opaque.webp": encoded("WEBP", PICTURE.convert("RGBA"), quality=95),
        "with an unknown chunk.webp": webp((b"VP8 ", encoded("WEBP", quality=95)[20:]), (b"prVt", bytes(9))),
    }


def _many_pictures() -> dict[str, bytes]:
    """Of an animation the first picture counts."""
    film = {"save_all": True, "append_images": [NOISE] * 3}
    indexed = {"save_all": True, "append_images": [NOISE.quantize(256)] * 3}
    return {
        "animated.gif": encoded("GIF", PICTURE.quantize(256), **indexed),
        "animated for ever.gif": encoded("GIF", PICTURE.quantize(256), **indexed, loop=0, duration=0),
        "animated, cut in its second frame.gif": encoded("GIF", PICTURE.quantize(256), **indexed)[:40_000],
        "animated.webp": encoded("WEBP", quality=95, **film),
        "animated.png": encoded("PNG", **film),
        "several.mpo.jpg": encoded("MPO", quality=95, **film),
    }


def _lying_names() -> dict[str, bytes]:
    """The bytes say what a picture is, not its name."""
    kinds = {"PNG": "jpg", "GIF": "png", "WEBP": "jpeg", "BMP": "gif", "TIFF": "bmp", "AVIF": "webp", "JPEG2000": "tif"}
    options = {"WEBP": {"quality": 95}, "AVIF": {"quality": 95}}
    named = {f"a {kind} named.{name}": encoded(kind, **options.get(kind, {})) for kind, name in kinds.items()}
    return named | {"a JPEG named.png": JPEG, "no extension": JPEG, "jpg": JPEG, "UPPER.JPG": JPEG, "Mixed.JpEg": JPEG}


def _shapes() -> Files:
    """Sound, but no place for the face's points: one row with a reason about the face, not about the file."""
    faceless = {"bad_keypoints", "out_of_frame", "too_dark", "too_bright"}
    pictures = {
        "shapes/1 x 1.jpg": encoded("JPEG", Image.new("RGB", (1, 1), (90, 90, 90))),
        "shapes/1 x 1.png": encoded("PNG", Image.new("1", (1, 1))),
        "shapes/1 x 5000.jpg": encoded("JPEG", Image.new("RGB", (1, 5_000), (90, 90, 90))),
        "shapes/5000 x 1.jpg": encoded("JPEG", Image.new("RGB", (5_000, 1), (90, 90, 90))),
        "shapes/5000 x 1.gif": encoded("GIF", Image.new("P", (5_000, 1))),
        "shapes/65500 x 2.jpg": encoded("JPEG", Image.new("L", (65_500, 2), 90)),
        "shapes/black and white.png": encoded("PNG", Image.new("1", (160, 160))),
        "shapes/white.png": encoded("PNG", Image.new("RGB", (160, 160), "white")),
        "shapes/wholly transparent dots.png": encoded("PNG", Image.new("LA", (2, 2))),
        "shapes/20 million black dots.png": png(5_000, 4_000, zero_rows(4_000, 625), depth=1),
        "shapes/one pixel.ppm.jpg": b"P6 1 1 255\n" + struct.pack("BBB", 9, 9, 9),
    }
    return every(pictures, faceless)
