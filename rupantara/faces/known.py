"""Points of faces that are known beforehand: files `*keypoints.json` beside photographs, and what a caller gives with an upload."""

import json
from typing import Any

import numpy as np

from rupantara.errors import Rejected, UserError
from rupantara.landmarks import align
from rupantara.landmarks.points import keypoints_from
from rupantara.schema import POINTS
from rupantara.types import Picture

SHAPES = ((3, 2), (5, 2), (68, 2))
SIX = len(POINTS)
"""Rows of an animal's named points; NaN where one is hidden."""


def load_known_keypoints(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Read `[{"file": path, "points": …}, …]`: points are a list of 3 (eyes, nose), 5 or 68, or an animal's by name, null where hidden."""
    try:
        rows = [(row["file"], row["points"]) for row in json.loads(data)]
        known = {file: _points(points) for file, points in rows}
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise UserError(f"{name} must be a JSON list of {{file, points}}: {error!r}") from error
    for file, points in known.items():
        if points.shape not in (*SHAPES, (SIX, 2)):
            raise UserError(f"{name}: points of {file} must be [3, 2], [5, 2] or [68, 2], got {list(points.shape)}")
    return known


def _points(value: Any) -> np.ndarray:
    if not isinstance(value, dict):
        return np.array(value, np.float32)
    if not set(value) <= set(POINTS):
        raise ValueError(
            f"named points must be of {', '.join(POINTS)}, got {', '.join(sorted(set(value) - set(POINTS)))}"
        )
    return np.array([value.get(point) or (np.nan, np.nan) for point in POINTS], np.float32)


def check_known(points: np.ndarray, picture: Picture) -> None:
    """Raise Rejected for known points that cannot be a face's in this picture, or of which an eye or the nose is hidden."""
    height, width = picture.shape[:2]
    if len(points) == SIX:
        if np.isnan(points[:3]).any():
            raise Rejected("detect", "turned_away", "an eye or the nose is hidden, the known points say")
        points = points[:3]
    if not np.isfinite(points).all() or (np.abs(points) > 4 * max(height, width)).any():
        raise Rejected("detect", "bad_keypoints", f"known points lie outside the {width} x {height} picture")
    distance = align.interocular(keypoints_from(points))
    if not 1.0 <= distance <= 2 * max(height, width):
        raise Rejected("detect", "bad_keypoints", f"the known eyes are {distance:.3g} px apart")
