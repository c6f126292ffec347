"""The head's pose and the mouth's expression from 68 points."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.types import Landmarks

RIGID = {
    **{36: (-45, 0, 0), 39: (-16, 2, -4), 42: (16, 2, -4), 45: (45, 0, 0)},
    **{27: (0, -4, -17), 28: (0, 8, -24), 29: (0, 19, -31), 30: (0, 31, -41)},
    **{31: (-13, 38, -23), 32: (-7, 40, -27), 33: (0, 42, -28), 34: (7, 40, -27), 35: (13, 38, -23)},
}
"""Points that no expression moves: corners of the eyes and the nose; x right in the picture, y down, z away from the camera, mm.
Mean adult distances (outer canthi 90, inner 32, nasion to subnasale 46, protrusion of the tip 13 from there)."""

FOCAL_IN_EYE_SPANS = 10.0
"""Focal length over the outer eye corners' distance: a portrait's perspective (90 mm at about a metre)."""

PITCH_ZERO_DEGREES = 4.1
"""Pitch that the model gives the median LFW face, which looks level into the camera."""

OPEN_GAP = 0.12
"""Gap of the inner lips, over the distance between the eyes, from which a mouth is plainly open."""

NEUTRAL_LIFT, NEUTRAL_RANGE, SMILE_LIFT = 0.035, 0.03, 0.08
"""Height of the mouth's corners over the lips' middle: a neutral mouth's, its range, and how much beyond it is a plain smile (or
frown). Read off LFW faces sorted by each measure."""


@dataclass(frozen=True)
class Pose:
    """Degrees: yaw positive to the picture's right, pitch positive downwards, roll clockwise."""

    yaw: float
    pitch: float
    roll: float


def head_pose(landmarks: Landmarks) -> Pose | None:
    """Solve the pose of the rigid points (solvePnP); None when they determine none."""
    points = landmarks[list(RIGID)].astype(np.float64)
    span = float(np.hypot(*(landmarks[45] - landmarks[36])))
    if not np.isfinite(points).all() or span < 1e-3:
        return None
    focal = FOCAL_IN_EYE_SPANS * span
    camera = np.array([[focal, 0, points[:, 0].mean()], [0, focal, points[:, 1].mean()], [0, 0, 1]])
    model = np.array(list(RIGID.values()), np.float64)
    start = (np.zeros(3), np.array([0.0, 0.0, 90 * FOCAL_IN_EYE_SPANS]))
    guesses = (start[0].copy(), start[1].copy())
    found, rotation, _ = cv2.solvePnP(
        model, points, camera, None, *guesses, useExtrinsicGuess=True, flags=cv2.SOLVEPNP_ITERATIVE
    )
    matrix = cv2.Rodrigues(rotation)[0]
    if not found or not np.isfinite(matrix).all():
        return None
    # Where the face's own forward (-z), and its right, point to.
    forward, right = -matrix[:, 2], matrix[:, 0]
    yaw = np.degrees(np.arctan2(forward[0], -forward[2]))
    pitch = np.degrees(np.arctan2(forward[1], np.hypot(forward[0], forward[2]))) - PITCH_ZERO_DEGREES
    return Pose(float(yaw), float(pitch), float(np.degrees(np.arctan2(right[1], right[0]))))


def mouth_expression(landmarks: Landmarks) -> float:
    """Measure how far the mouth is from closed and level: 0 neutral, above about 1 plainly smiling or open.

    The gap between the inner lips, and the corners' height over the lips' middle beyond that of a neutral mouth, both over
    the distance between the eyes. It judges the mouth only: a frown of the brows is not seen.
    """
    eyes = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    distance = float(np.hypot(*(eyes[1] - eyes[0])))
    right = (eyes[1] - eyes[0]) / max(distance, 1e-6)
    down = np.array([-right[1], right[0]])
    gap = float(((landmarks[[67, 66, 65]] - landmarks[[61, 62, 63]]) @ down).mean()) / max(distance, 1e-6)
    middle = (landmarks[51] + landmarks[57]) / 2
    lift = float((middle - landmarks[[48, 54]].mean(0)) @ down) / max(distance, 1e-6)
    smile = max(abs(lift - NEUTRAL_LIFT) - NEUTRAL_RANGE, 0.0)
    return float(np.hypot(max(gap, 0.0) / OPEN_GAP, smile / SMILE_LIFT))
