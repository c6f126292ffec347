"""Square cuts of a face, as face-api's networks want them."""

import cv2
import numpy as np

from rupantara.landmarks.align import prefilter
from rupantara.types import Picture, Points


def square_around(points: Points, margin: float) -> tuple[np.ndarray, float]:
    """Return the corner x, y and the side of the square around points, `margin` times the longer side of their box."""
    low, high = points.min(0), points.max(0)
    side = max(margin * float((high - low).max()), 2.0)
    return (low + high) / 2 - side / 2, side


def cut(picture: Picture, corner: np.ndarray, side: float, size: int) -> Picture:
    """Cut a square out of a photograph and scale it to `size`; beyond the photograph its edge goes on."""
    scale = size / side
    transform = np.array([[scale, 0, -scale * corner[0]], [0, scale, -scale * corner[1]]])
    source, warp = prefilter(picture, transform)
    return cv2.warpAffine(source, warp, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
