"""Bounds that a photographed face is accepted within, and the strict ones of the paper."""

from dataclasses import dataclass

from rupantara.imaging import codec


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds of a face's measures; what breaks one is rejected with the reason named."""

    max_pixels: int = codec.MAX_PIXELS
    """Largest photograph that is decoded, width times height."""
    max_bytes: int = 2**28
    """Largest file that is read (reject: too_large)."""
    min_interocular_px: float = 16.0
    """Smallest distance between the eyes in the photograph (reject: too_small)."""
    min_coverage: float = 0.28
    """Smallest share of the crop that lies inside the photograph (reject: out_of_frame)."""
    min_sharpness: float = 0.0
    """Smallest sharpness (reject: blurred); see rupantara.imaging.quality."""
    min_brightness: float = 15.0
    """Smallest mean luma, 0..255 (reject: too_dark)."""
    max_brightness: float = 245.0
    """Largest mean luma, 0..255 (reject: too_bright)."""
    min_chroma: float = 0.0
    """Smallest mean distance from grey in CIELAB (reject: monochrome)."""
    max_yaw: float = 60.0
    """Largest turn of the head to a side in degrees (reject: turned_away)."""
    max_pitch: float = 60.0
    """Largest tilt of the head up or down in degrees; humans with 68 points only (reject: tilted)."""
    max_roll: float = 180.0
    """Largest roll of the head in degrees (reject: rolled)."""
    max_expression: float = 100.0
    """Largest expression of the mouth, 0 neutral, 1 a plain smile or open mouth; 68 points only (reject: not_neutral)."""
    max_emotion: float = 1.0
    """Largest probability of joy, anger, surprise or sorrow of a person's face, 1 = any (reject: not_neutral)."""


STRICT: dict[str, float] = {
    "max_yaw": 5.0,
    "max_pitch": 5.0,
    "max_roll": 5.0,
    "max_expression": 0.75,
    "max_emotion": 0.5,
    "min_chroma": 4.0,
    "min_sharpness": 0.04,
    "min_interocular_px": 32.0,
    "min_coverage": 0.5,
}
"""The paper's criteria (`001_…`, 5.2): frontal to 5 degrees, neutral, in colour, sharp and not cut off.

Eyewear and headwear, which the paper also excludes, are not judged: no network for them is in the catalogue.
"""
