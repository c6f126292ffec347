"""Grey pictures of any depth to 8 bits: which level is black, which is white, and which is transparent."""

import struct

import cv2
import numpy as np
from PIL import Image

from rupantara.errors import Rejected
from rupantara.types import Gray

PHOTOMETRIC, SAMPLE_FORMAT, BITS = 262, 339, 258
"""TIFF tags: 0 in the first = white is zero; 1, 2, 3 in the second = unsigned, signed, float."""

DEPTHS = (8, 10, 12, 14, 16, 24, 32)
"""Bits that cameras and scanners fill, of the 16 or 32 that a file spends on a level."""

SIGNED_DEPTHS = (8, 10, 12, 14, 15, 16, 24, 31, 32)
"""The same where one bit may be the sign's."""

ODD_SHARE = 0.005
"""Share of a float picture's levels that may lie outside its range: highlights, dead pixels, NaN."""


def is_deep(image: Image.Image) -> bool:
    """Tell whether a picture is grey with more than 8 bits a level."""
    return image.mode.startswith("I") or image.mode == "F"


def to_gray(image: Image.Image) -> Gray:
    """Bring a deep grey picture to 8 bits.

    Integers are scaled by the smallest usual depth that holds the picture's greatest level, so that 12 bits stored in 16
    are no black picture. Floats count from 0 to 1, 255 or a usual depth, whichever holds all levels but a few highlights; levels in
    [-1, 1] with many negative ones count from -1. Raise Rejected with reason `undecodable` where no range can be told.
    """
    tags = getattr(image, "tag_v2", {})
    levels = np.asarray(image)
    if image.mode == "F":
        shown = _of_floats(levels.astype(np.float64))
    else:
        signed = _first(tags.get(SAMPLE_FORMAT), 1) == 2
        shown = _of_integers(levels, _first(tags.get(BITS), 16), signed)
    gray = np.clip(np.round(shown * 255.0), 0, 255).astype(np.uint8)
    return 255 - gray if tags.get(PHOTOMETRIC) == 0 else gray


def _first(value: object, default: int) -> int:
    return int(value[0]) if isinstance(value, tuple) and value else default


def _of_integers(levels: np.ndarray, bits: int, signed: bool) -> np.ndarray:
    """Scale integer levels to [0, 1]; PIL hands 32-bit unsigned levels over as signed ones."""
    if bits == 32 and not signed:
        levels = levels.astype(np.int32).view(np.uint32)
    wide = levels.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if low < 0:
        depth = next(d for d in SIGNED_DEPTHS if max(-low, high + 1) <= 2.0 ** (d - 1))
        return (wide + 2.0 ** (depth - 1)) / (2.0**depth - 1)
    return wide / _white(high, SIGNED_DEPTHS if signed else DEPTHS)


def _white(high: float, depths: tuple[int, ...] = DEPTHS) -> float:
    return next((2.0**d - 1 for d in depths if high <= 2.0**d - 1), high)


def _of_floats(levels: np.ndarray) -> np.ndarray:
    """Scale float levels to [0, 1]; levels that are no numbers become black, infinite ones black or white."""
    finite = levels[np.isfinite(levels)]
    if finite.size < (1 - 10 * ODD_SHARE) * levels.size:
        raise Rejected("decode", "undecodable", f"{levels.size - finite.size} of {levels.size} levels are not finite")
    low, high = np.quantile(finite, [ODD_SHARE, 1 - ODD_SHARE])
    high = finite[finite <= max(2 * high, 1e-6)].max(initial=high)
    levels = np.nan_to_num(levels, nan=0.0)
    if low >= -1e-3:
        return levels / (1.0 if high <= 1.0 + 1e-3 else _white(float(high)))
    if low >= -1 - 1e-3 and high <= 1 + 1e-3:
        return (levels + 1) / 2
    raise Rejected("decode", "undecodable", f"float levels from {low:.4g} to {high:.4g} say no black and white")


def transparent(image: Image.Image, data: bytes) -> np.ndarray | None:
    """Return where the one transparent level of a PNG lies, bool [h, w]; None where PIL itself knows or there is none.

    PIL spreads grey levels of 1, 2 and 4 bits over 0..255, and cuts colours of 16 bits to 8, but leaves the transparent
    level as the file has it.
    """
    level = image.info.get("transparency")
    if isinstance(level, tuple) and image.format == "PNG" and struct.unpack_from("B", data, 24) == (16,):
        deep = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB | cv2.IMREAD_ANYDEPTH)
        return None if deep is None else (deep == np.array(level)).all(-1)
    if not isinstance(level, int) or image.mode not in ("1", "L", "I", "I;16", "I;16B"):
        return None
    (depth,) = struct.unpack_from("B", data, 24) if image.format == "PNG" else (8,)
    if image.mode == "1":
        return np.asarray(image) == bool(level)
    return np.asarray(image) == (level * 255 // (2**depth - 1) if depth < 8 else level)
