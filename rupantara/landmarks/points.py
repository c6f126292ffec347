"""Keypoints out of other sets of points."""

import numpy as np

from rupantara.types import Keypoints, Points

MIRRORED_POINTS = (1, 0, 2, 4, 3)
"""Where each of the five keypoints comes from after mirroring: left and right eye and mouth corner change places."""

MIRRORED_LANDMARKS = (
    *range(16, -1, -1), *range(26, 16, -1), *range(27, 31), *range(35, 30, -1),
    *(45, 44, 43, 42, 47, 46), *(39, 38, 37, 36, 41, 40),
    *range(54, 47, -1), *range(59, 54, -1), *range(64, 59, -1), *range(67, 64, -1),
)  # fmt: skip
"""Where each of the 68 points comes from after mirroring."""


def keypoints_from(points: Points) -> Keypoints:
    """Return five keypoints from 3, 5 or 68 points; missing mouth corners are put where the template has them."""
    if len(points) == 5:
        return points
    if len(points) == 68:
        eyes = (points[36:42].mean(0), points[42:48].mean(0))
        return np.array([*eyes, points[30], points[48], points[54]], np.float32)
    across = points[1] - points[0]
    down = np.array([-across[1], across[0]])
    middle = (points[0] + points[1]) / 2 + 1.25 * down
    return np.array([*points, middle - 0.35 * across, middle + 0.35 * across], np.float32)


def keypoints_from_six(points: Points) -> Keypoints:
    """Return five keypoints of an animal's eyes, nose and mouth [4, 2]: the mouth's corners are put beside its middle."""
    eyes, nose, mouth = points[:2], points[2], points[3]
    across = eyes[1] - eyes[0]
    if np.isnan(mouth).any():
        mouth = nose + 0.4 * np.array([-across[1], across[0]])
    return np.array([*eyes, nose, mouth - 0.3 * across, mouth + 0.3 * across], np.float32)
