"""Sound pictures cut off at each tenth of their bytes: never a face that is half grey."""

from tests.hostile.craft import interlaced_png, tiff_of
from tests.hostile.pictures import BROKEN, FACE, GREY, JPEG, PICTURE, PNG, Files, encoded


def truncated() -> Files:
    """Cut each picture nine times; the whole ones are among the sound files."""
    whole = {
        "jpg": JPEG,
        "progressive.jpg": encoded("JPEG", quality=95, progressive=True),
        "cmyk.jpg": encoded("JPEG", PICTURE.convert("CMYK"), quality=95),
        "png": PNG,
        "interlaced.png": interlaced_png(FACE.image),
        "gif": encoded("GIF", interlace=0),
        "interlaced.gif": encoded("GIF", interlace=1),
        "bmp": encoded("BMP"),
        "webp": encoded("WEBP", quality=95),
        "lossless.webp": encoded("WEBP", lossless=True),
        "tif": tiff_of(FACE.image),
        "lzw.tif": encoded("TIFF", compression="tiff_lzw"),
        "deflate.tif": encoded("TIFF", compression="tiff_adobe_deflate"),
        "grey.jp2": encoded("JPEG2000", GREY),
    }
    return {
        f"truncated/{tenths} tenths.{name}": (data[: len(data) * tenths // 10], BROKEN)
        for name, data in whole.items()
        for tenths in range(1, 10)
    }
