"""Landmarks as pictures: the points of a face, and how far off each is."""

import cv2
import numpy as np

from rupantara.types import Landmarks, Picture

LINES = (
    *((0, 17, False), (17, 22, False), (22, 27, False), (27, 31, False), (31, 36, False)),
    *((36, 42, True), (42, 48, True), (48, 60, True), (60, 68, True)),
)
"""First and last + 1 of the points that a line joins, and whether it closes (iBUG 300-W order)."""

INK = (40, 70, 160)


def draw_points(faces: np.ndarray, side: int) -> list[Picture]:
    """Draw 68 points [n, 68, 2] in px of a picture of `side`, joined into jaw, brows, nose, eyes and mouth."""
    return [_draw(points, side) for points in faces]


def _draw(points: Landmarks, side: int) -> Picture:
    picture = np.full((side, side, 3), 255, np.uint8)
    for start, stop, closed in LINES:
        line = np.round(points[start:stop] * 16).astype(np.int32)
        cv2.polylines(picture, [line], closed, INK, 1, cv2.LINE_AA, shift=4)
    return picture
