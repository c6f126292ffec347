"""Textures (`001_…`, 4.1 and 4.6): a face warped so that its 68 points lie where the mean face has them."""

from typing import Any, TypeVar

import cv2
import numpy as np
from torch import Tensor

from rupantara.imaging import codec
from rupantara.landmarks import spline
from rupantara.landmarks.morph import frame_points
from rupantara.types import Landmarks, Picture

SIDE = 224
"""Side of the picture that landmarks of textures and decoders are given in, px: the paper's."""

P = TypeVar("P", np.ndarray, Tensor)


def rescale(points: P, before: float | np.ndarray, after: float) -> P:
    """Carry points from a picture of side `before` to the same picture of side `after` (pixel centres are whole numbers on both)."""
    scale: Any = after / before
    return (points + 0.5) * scale - 0.5


def texture_of(picture: Picture, landmarks: Landmarks, mean: Landmarks, size: int) -> Picture:
    """Warp an aligned crop so that its landmarks (its own px) come to lie at the mean's (px of SIDE): [size, size, 3].

    Cubic, with the corners and the middles of the edges held. Raise spline.DegenerateError for points that no warp can be made of.
    """
    small = codec.resize(picture, size)
    frame = frame_points(size, size)
    target = np.concatenate([rescale(np.asarray(mean, np.float64), SIDE, size), frame])
    source = np.concatenate([rescale(np.asarray(landmarks, np.float64), picture.shape[0], size), frame])
    (xy,) = spline.flow(target, source, height=size, width=size)
    return cv2.remap(small, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
