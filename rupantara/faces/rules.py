"""What curation decides rows by: bounds of a face's measures, and the split of an identity."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.bounds import Bounds
from rupantara.faces.paths import DEFAULT_RULES

SEVERAL_FACES = ("subject", "all", "reject")
"""What becomes of a photograph with several faces: its subject is kept, or each face that passes, or none."""

PLAIN = ("happy", "angry", "surprised", "sad")
"""Expressions that a neutral face very unlikely has: joy, anger, surprise and sorrow (`001_…`, section 5.2)."""


@dataclass(frozen=True, kw_only=True)
class CurateRules(Bounds):
    """Everything about curation that decides rows."""

    rules: tuple[str, ...] = DEFAULT_RULES
    size: int = 256
    several_faces: str = "subject"
    people_among_animals: str = "keep"
    license: str = "unknown"
    split_percent: tuple[int, int, int] = (80, 10, 10)
    jpeg_quality: int = 95
    seed: int = 0


def broken_bound(
    rules: CurateRules, measured: Mapping[str, float | None], emotions: Mapping[str, float] | None
) -> Rejected | None:
    """Return why a found face is rejected, by the first bound that it breaks."""
    bounds = (
        ("interocular_px", "too_small", rules.min_interocular_px, None),
        ("coverage", "out_of_frame", rules.min_coverage, None),
        ("brightness", "too_dark", rules.min_brightness, None),
        ("brightness", "too_bright", None, rules.max_brightness),
        ("chroma", "monochrome", rules.min_chroma, None),
        ("sharpness", "blurred", rules.min_sharpness, None),
        ("yaw", "turned_away", -rules.max_yaw, rules.max_yaw),
        ("pitch", "tilted", -rules.max_pitch, rules.max_pitch),
        ("roll", "rolled", -rules.max_roll, rules.max_roll),
        ("expression", "not_neutral", None, rules.max_expression),
    )
    for name, reason, low, high in bounds:
        value = measured[name]
        if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
            rule = f"below {low:g}" if low is not None and value < low else f"above {high:g}"
            return Rejected("quality", reason, f"{name} {value:.4g} is {rule}")
    plain = max(((emotions[name], name) for name in PLAIN), default=None) if emotions else None
    if plain is not None and plain[0] > rules.max_emotion:
        return Rejected("quality", "not_neutral", f"{plain[1]} {plain[0]:.2f} is above {rules.max_emotion:g}")
    return None


def split_of(identity: str, percent: tuple[int, int, int], seed: int) -> str:
    """Put an identity into train, val or test by its hash, so that no person is in two of them."""
    bucket = int.from_bytes(hashlib.sha256(f"{seed}/{identity}".encode()).digest()[:8], "big") % sum(percent)
    return schema.SPLITS[int(np.searchsorted(np.cumsum(percent), bucket, side="right"))]
