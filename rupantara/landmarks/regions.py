"""The five regions of an aligned crop: the one definition for encoder, decoder, bank, heat maps and metrics.

A region is one box, but `ears`, which is two. Boxes of people come from 68 points (ears and forehead are extrapolated from the
jaw's ends and the brows), boxes of animals from their six (`landmarks.animal_regions`); without either they are at the canonical
places of the aligned crop.
"""

import numpy as np

from rupantara.landmarks.animal_regions import boxes_from_six
from rupantara.types import Boxes, Landmarks, SixPoints

REGIONS = ("eyes", "nose", "mouth", "ears", "forehead")
PARTS = ("eyes", "nose", "mouth", "left_ear", "right_ear", "forehead")
PART_REGION = (0, 1, 2, 3, 3, 4)
"""Index into REGIONS of each part."""
MIRRORED_PARTS = (0, 1, 2, 4, 3, 5)
"""Where each part comes from after mirroring: the ears change places."""

CANONICAL = {
    "human": (
        (0.28, 0.355, 0.72, 0.49),
        (0.40, 0.44, 0.60, 0.615),
        (0.35, 0.64, 0.65, 0.78),
        (0.14, 0.38, 0.28, 0.62),
        (0.72, 0.38, 0.86, 0.62),
        (0.28, 0.17, 0.72, 0.355),
    ),
    "animal": (
        (0.293, 0.453, 0.707, 0.588),
        (0.383, 0.597, 0.617, 0.75),
        (0.347, 0.723, 0.653, 0.876),
        (0.122, 0.138, 0.374, 0.426),
        (0.626, 0.138, 0.878, 0.426),
        (0.356, 0.246, 0.644, 0.462),
    ),
}
"""Boxes by eye over aligned LFW faces and animal heads, for the templates of `landmarks.align`."""

MIN_SIDE = 0.06
"""Shortest side of a box, as a fraction of the crop: below it a region has too few pixels to encode."""


def part_boxes(landmarks: Landmarks | None, domain: str, size: int, points: SixPoints | None = None) -> Boxes:
    """Return the six part boxes as fractions of the crop; the landmarks, or an animal's points, are in pixels of a crop of side `size`."""
    if landmarks is not None:
        return _sane(_boxes_from_68(landmarks / size))
    if points is not None and np.isfinite(points[:3]).all():
        return _sane(boxes_from_six(points / size))
    return np.array(CANONICAL[domain], np.float32)


def _around(points: np.ndarray, left: float, top: float, right: float, bottom: float) -> tuple[float, ...]:
    (x0, y0), (x1, y1) = points.min(0), points.max(0)
    return (x0 - left, y0 - top, x1 + right, y1 + bottom)


def _boxes_from_68(p: np.ndarray) -> np.ndarray:
    eyes = (p[36:42].mean(0), p[42:48].mean(0))
    d = float(np.hypot(*(eyes[1] - eyes[0])))
    brow_y, eye_y = float(p[17:27, 1].min()), float((eyes[0][1] + eyes[1][1]) / 2)
    ear_y = (eye_y - 0.2 * d, float(p[33, 1]) + 0.15 * d)
    return np.array(
        [
            _around(p[36:48], 0.22 * d, 0.22 * d, 0.22 * d, 0.16 * d),
            _around(p[28:36], 0.14 * d, 0.05 * d, 0.14 * d, 0.10 * d),
            _around(p[48:60], 0.12 * d, 0.12 * d, 0.12 * d, 0.12 * d),
            (p[0, 0] - 0.34 * d, ear_y[0], p[0, 0] + 0.12 * d, ear_y[1]),
            (p[16, 0] - 0.12 * d, ear_y[0], p[16, 0] + 0.34 * d, ear_y[1]),
            (p[17:27, 0].min(), brow_y - 0.62 * d, p[17:27, 0].max(), brow_y + 0.02 * d),
        ],
        np.float32,
    )


def _sane(boxes: np.ndarray) -> Boxes:
    """Keep boxes inside the crop and at least MIN_SIDE wide and high."""
    low, high = np.clip(boxes[:, :2], 0.0, 1.0 - MIN_SIDE), np.clip(boxes[:, 2:], MIN_SIDE, 1.0)
    return np.concatenate([low, np.maximum(high, low + MIN_SIDE)], axis=1).astype(np.float32)
