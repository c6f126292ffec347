"""How fit an animal is to lend its face: it looks into the camera, its eyes are open, it is sharp, whole, and not cut off."""

from collections.abc import Mapping

import numpy as np

from rupantara.imaging.quality import to_gray
from rupantara.landmarks.align import yaw_degrees
from rupantara.landmarks.ears import axes
from rupantara.types import Picture, Points

LEAST = 0.35
"""An animal less fit than this lends its face only where its species has none that is fitter."""

FULL_EYES_PX, FULL_COVERAGE = 36.0, 0.85
"""Eye distance in the photograph, and share of the crop inside it, from which more does not help."""

YAW_SPREAD, ASIDE_SPREAD, HALVES_SPREAD = 20.0, 0.12, 0.35
"""Yaw (degrees), sideways shift of the mouth (eye distances) and difference of the halves' lightness that cost two thirds."""

OPEN_EYES, OPEN_MOUTH = 0.35, 0.75
"""Least `eye_openness` of open eyes, and `mouth_openness` from which a mouth gapes."""


def fitness(picture: Picture, points: Points, quality: Mapping[str, float | None]) -> float:
    """Return 0 (unfit) to 1 from the crop, its six points and the measures of its row; a measure that is not there costs nothing."""
    if not np.isfinite(points[:4]).all():
        return 0.0
    eyes, right, _, distance = axes(points)
    aside = abs(float((points[3] - eyes) @ right)) / distance
    score = np.exp(-((yaw_of(points) / YAW_SPREAD) ** 2) - (aside / ASIDE_SPREAD) ** 2)
    score *= np.exp(-((halves_differ(picture, points) / HALVES_SPREAD) ** 2))
    for name, full in (("interocular_px", FULL_EYES_PX), ("coverage", FULL_COVERAGE), ("sureness", 0.6)):
        value = quality.get(name)
        score *= 1.0 if value is None else float(np.clip(value / full, 0, 1))
    score *= 1.0 if eyes_open(quality) else 0.3
    gape = quality.get("mouth_openness")
    return float(score * (0.7 if gape is not None and gape > OPEN_MOUTH else 1.0))


def eyes_open(quality: Mapping[str, float | None]) -> bool:
    """Tell whether the eyes count as open; they do where nobody measured them."""
    value = quality.get("eye_openness")
    return value is None or value >= OPEN_EYES


def yaw_of(points: Points) -> float:
    """Return the yaw in degrees that eyes and nose tell."""
    return yaw_degrees(np.asarray(points[:3], np.float64))


def halves_differ(picture: Picture, points: Points) -> float:
    """Return the difference of lightness of the face's left and right half over their sum: hard light from one side, or half a head."""
    eyes, right, down, distance = axes(points)
    gray = to_gray(picture).astype(np.float32)
    height, width = gray.shape
    means = []
    for side in (-1, 1):
        places = [
            eyes + distance * (side * u * right + v * down) for u in (0.3, 0.5, 0.7) for v in (-0.4, 0.0, 0.4, 0.8)
        ]
        at = np.clip(np.round(places), 0, (width - 1, height - 1)).astype(int)
        means.append(float(gray[at[:, 1], at[:, 0]].mean()))
    return abs(means[0] - means[1]) / max(sum(means), 1.0)
