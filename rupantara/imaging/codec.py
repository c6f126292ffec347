"""Bytes of any photograph to RGB and back; what cannot be decoded says why."""

import io
import struct
import warnings
import zlib

import cv2
import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from rupantara.errors import Rejected
from rupantara.types import Picture

DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, LookupError, RuntimeError),
    *(struct.error, zlib.error, AttributeError, TypeError, ArithmeticError, MemoryError),
)
"""What Pillow's readers raise on damaged files (found by mutating some 30 formats)."""

MAX_PIXELS = 50_000_000
"""Largest photograph decoded by default: about 8,700 x 5,800, over three times a 16-megapixel camera's."""

MAX_SCANS = 100
"""Most scans of a progressive JPEG of the largest size; a file has some 10, and each costs a pass over all of its pixels."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation to the turn that shows the picture upright."""


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode any still picture that PIL reads (of an animation its first frame), upright by its EXIF orientation.

    16-bit, CMYK, palette and grey pictures become 8-bit RGB; transparency is laid on mid grey. Raise Rejected with reason
    `empty`, `undecodable`, `truncated` or `too_large` (checked in the header, before anything is decoded).
    """
    if not data:
        raise Rejected("decode", "empty", "0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data))
            _check_cost(image, data, max_pixels)
            image.load()
            return _to_rgb(_upright(image))
    except Image.DecompressionBombError as error:
        raise Rejected("decode", "too_large", str(error)) from error
    except UnidentifiedImageError as error:
        raise Rejected("decode", "undecodable", "not a picture in a known format") from error
    except DAMAGE as error:
        reason = "truncated" if "truncated" in str(error).lower() else "undecodable"
        raise Rejected("decode", reason, " ".join(str(error).split())[:200]) from error


def _check_cost(image: Image.Image, data: bytes, max_pixels: int) -> None:
    """Raise Rejected for an opened picture that would take too much memory or time to decode."""
    width, height = image.size
    if width * height > max_pixels:
        raise Rejected("decode", "too_large", f"{width} x {height} is over {max_pixels} pixels")
    scans = data.count(b"\xff\xda") if image.info.get("progressive") else 1
    if scans * width * height > MAX_SCANS * max_pixels:
        raise Rejected(
            "decode", "too_large", f"{scans} scans of {width} x {height} are over {MAX_SCANS} x {max_pixels} pixels"
        )
    if image.format == "EPS":
        # A program: PIL would run Ghostscript on it, without a limit of time.
        raise Rejected("decode", "undecodable", "a PostScript program is no photograph")


def _upright(image: Image.Image) -> Image.Image:
    """Turn by the EXIF orientation; damaged EXIF leaves a sound picture as it is.

    Not by `ImageOps.exif_transpose`, which also writes the EXIF anew: any odd tag would keep a picture from being turned.
    """
    try:
        turn = TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except DAMAGE:
        return image
    return image if turn is None else image.transpose(turn)


def _to_rgb(image: Image.Image) -> Picture:
    if image.mode.startswith("I") or image.mode == "F":
        levels = np.asarray(image, np.float64)
        top = 65535.0 if image.mode.startswith("I") else max(float(levels.max()), 1.0)
        gray = np.clip(np.nan_to_num(levels) * (255.0 / top), 0, 255).astype(np.uint8)
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, (128, 128, 128, 255)), rgba)
    return np.array(image.convert("RGB"))


def encode_jpeg(picture: Picture, quality: int = 95) -> bytes:
    """Encode RGB as JPEG."""
    ok, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not ok:
        raise ValueError(f"picture of shape {picture.shape} could not be encoded as JPEG")
    return data.tobytes()


def decode_jpeg(data: bytes) -> Picture:
    """Decode a picture that this project wrote (no checks, three times as fast as `decode`)."""
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError(f"a stored picture of {len(data)} bytes cannot be decoded: the table is damaged")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def read_size(data: bytes) -> tuple[int, int]:
    """Read width and height from a file's header, without decoding it."""
    with Image.open(io.BytesIO(data)) as image:
        return image.size


def encode_png(picture: Picture, text: dict[str, str] | None = None) -> bytes:
    """Encode RGB as PNG with `text` as tEXt/iTXt metadata."""
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "PNG", pnginfo=info)
    return sink.getvalue()


def resize(picture: Picture, size: int) -> Picture:
    """Resize a square picture by area averaging (down) or cubic interpolation (up)."""
    if picture.shape[0] == size:
        return picture
    how = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(picture, (size, size), interpolation=how)
