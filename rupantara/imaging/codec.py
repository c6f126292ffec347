"""Bytes of any photograph to RGB and back; what cannot be decoded says why."""

import importlib
import io
import struct
import warnings
import zlib
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from rupantara.errors import Rejected
from rupantara.imaging import colour_profiles, formats, levels
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


class Photograph(NamedTuple):
    """A decoded photograph, and what is worth saying of its file ("" = nothing)."""

    picture: Picture
    remark: str


def decode(data: bytes, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode any still picture that PIL reads, as `read` does, and leave the remark out."""
    return read(data, max_pixels).picture


def read(data: bytes, max_pixels: int = MAX_PIXELS) -> Photograph:
    """Decode any still picture that PIL reads (of an animation its first frame), upright by its EXIF orientation.

    Pictures come out as 8-bit sRGB by their embedded ICC profile; deep, CMYK, palette and grey ones as well. Transparency
    is laid on mid grey. A broken profile is ignored, and the remark says so. Raise Rejected with reason `empty`,
    `undecodable`, `truncated` or `too_large` (checked in the header, before anything is decoded).
    """
    if not data:
        raise Rejected("decode", "empty", "0 bytes")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = _open(data)
            _check_cost(image, data, max_pixels)
            image.load()
            return _to_rgb(image, data)
    except Image.DecompressionBombError as error:
        raise Rejected("decode", "too_large", str(error)) from error
    except UnidentifiedImageError as error:
        raise Rejected("decode", "undecodable", "not a picture in a known format") from error
    except DAMAGE as error:
        reason = "truncated" if "truncated" in str(error).lower() else "undecodable"
        raise Rejected("decode", reason, " ".join(str(error).split())[:200]) from error


PLUGINS = {"heic": ("pillow_heif", "register_heif_opener"), "jxl": ("pillow_jxl", "")}
"""Extra of this package -> module that opens the format for PIL, and what registers it ("" = its import)."""


def _open(data: bytes) -> Image.Image:
    """Open a picture; of a format that an extra decodes, with its plugin, or raise Rejected that names the extra."""
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        extra = formats.extra_of(data[: formats.HEAD_BYTES])
        if not extra:
            raise
        if not _registered(extra):
            raise Rejected(
                "decode", "undecodable", f"{extra.upper()} needs: pip install 'rupantara[{extra}]'"
            ) from None
        return Image.open(io.BytesIO(data))


@lru_cache(maxsize=len(PLUGINS))
def _registered(extra: str) -> bool:
    """Register the plugin of an extra; tell whether it is installed."""
    module, register = PLUGINS[extra]
    try:
        found = importlib.import_module(module)
    except ImportError:
        return False
    if register:
        getattr(found, register)()
    return True


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


def _turn(image: Image.Image) -> Image.Transpose | None:
    """Return the turn that the EXIF orientation asks for; damaged EXIF leaves a sound picture as it is.

    Not by `ImageOps.exif_transpose`, which also writes the EXIF anew: any odd tag would keep a picture from being turned.
    """
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except DAMAGE:
        return None


def _to_rgb(image: Image.Image, data: bytes) -> Photograph:
    clear = _transparent(image, data)
    shown = Image.fromarray(levels.to_gray(image)) if levels.is_deep(image) else image
    if shown.mode not in colour_profiles.SPACES:
        shown = shown.convert("L" if shown.mode in ("1", "LA") else "RGB")
    picture, remark = _in_srgb(shown, image.info.get("icc_profile"))
    if clear is not None:
        picture = Image.composite(Image.new("RGB", picture.size, (128, 128, 128)), picture, clear)
    turn = _turn(image)
    return Photograph(np.array(picture if turn is None else picture.transpose(turn)), remark)


def _in_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, str]:
    if not profile:
        return image.convert("RGB"), ""
    try:
        return colour_profiles.to_srgb(image, profile), ""
    except ValueError as error:
        return image.convert("RGB"), f"{error}; its colours are taken for sRGB"


def _transparent(image: Image.Image, data: bytes) -> Image.Image | None:
    """Return how transparent each pixel is (mode L, 255 = wholly); None for an opaque picture."""
    level = levels.transparent(image, data)
    if level is not None:
        return Image.fromarray(np.where(level, 255, 0).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or ("transparency" in image.info and not levels.is_deep(image)):
        return image.convert("RGBA").getchannel("A").point(lambda opaque: 255 - opaque)
    return None


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


PNG_EFFORT = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP)
"""Half the time of Pillow's fastest, which tries five filters a line, for files a twentieth larger."""

PNG_HEADER = 33
"""Bytes of a PNG's signature and first chunk, which must come before its text."""


def encode_png(picture: Picture, text: dict[str, str] | None = None) -> bytes:
    """Encode RGB as PNG with `text` as iTXt metadata."""
    ok, data = cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), PNG_EFFORT)
    if not ok:
        raise ValueError(f"picture of shape {picture.shape} could not be encoded as PNG")
    info = PngImagePlugin.PngInfo()
    for key, value in (text or {}).items():
        info.add_itxt(key, value)
    coded, sink = data.tobytes(), io.BytesIO()
    sink.write(coded[:PNG_HEADER])
    for kind, chunk, _ in info.chunks:
        PngImagePlugin.putchunk(sink, kind, chunk)
    sink.write(coded[PNG_HEADER:])
    return sink.getvalue()


def resize(picture: Picture, size: int) -> Picture:
    """Resize a square picture by area averaging (down) or cubic interpolation (up)."""
    if picture.shape[0] == size:
        return picture
    how = cv2.INTER_AREA if size < picture.shape[0] else cv2.INTER_CUBIC
    return cv2.resize(picture, (size, size), interpolation=how)
