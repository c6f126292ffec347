"""The guided filter with a grey guide (K. He, J. Sun and X. Tang, "Guided Image Filtering", ECCV 2010, PAMI 2013)."""

import cv2
import numpy as np
from jaxtyping import Float

Plane = Float[np.ndarray, "height width"]
"""float32, one number a pixel."""


def guided_filter(guide: Plane, plane: Plane, radius: int, epsilon: float) -> Plane:
    """Smooth `plane` except where `guide` has edges: in every window a line `a guide + b` is fitted, and the lines averaged.

    Windows are squares of side 2 `radius` + 1, cut off at the picture's border; `epsilon` is the variance of the guide
    (scale [0, 1]) below which a window counts as flat (equations 5, 6 and 8 of the paper).
    """
    # A side beyond twice the picture's adds only emptiness.
    size = tuple(min(2 * radius + 1, 2 * n + 1) for n in guide.shape[::-1])
    counted = cv2.boxFilter(np.ones_like(guide), -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT)
    share = 1 / counted

    def mean(x: Plane) -> Plane:
        return cv2.boxFilter(x, -1, size, normalize=False, borderType=cv2.BORDER_CONSTANT) * share

    # Both are taken from their middle values, so that float32's differences of squares lose nothing on flat pictures.
    middle, level = guide.mean(), plane.mean()
    guide, plane = guide - middle, plane - level
    mean_guide, mean_plane = mean(guide), mean(plane)
    variance = mean(guide * guide) - mean_guide * mean_guide
    covariance = mean(guide * plane) - mean_guide * mean_plane
    a = covariance / (np.maximum(variance, 0) + np.float32(epsilon))
    b = mean_plane - a * mean_guide
    return mean(a) * guide + mean(b) + level
