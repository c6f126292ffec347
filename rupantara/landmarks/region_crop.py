"""The square about a region's box, as networks and reports see it."""

from collections.abc import Sequence

import cv2
import numpy as np

from rupantara.types import Picture


def region_crop(picture: Picture, box: Sequence[float], context: float, side: int) -> Picture:
    """Cut the square about a box (x0 y0 x1 y1, fractions of the picture), `context` times its longer side; reflected beyond the edge."""
    size = picture.shape[0]
    x0, y0, x1, y1 = (float(v) * size for v in box)
    scale = side / max((max(x1 - x0, y1 - y0) * context), 1.0)
    # Pixel centres are whole numbers; half a pixel more on both sides of the warp.
    shift = [(side - 1) / 2 - scale * ((a + b - 1) / 2) for a, b in ((x0, x1), (y0, y1))]
    warp = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    return cv2.warpAffine(picture, warp, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
