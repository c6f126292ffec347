"""Laplacian blending (Burt and Adelson, "A Multiresolution Spline", 1983): each band of frequencies has its own soft mask."""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float

Layer = Float[np.ndarray, "height width channels"]
LEVELS = 5
"""Bands, finest first; the last holds what is left, at 1/16 of the side."""


def gaussian_pyramid(layer: np.ndarray, levels: int = LEVELS) -> list[np.ndarray]:
    """Return the picture at sides 1, 1/2, 1/4, …, finest first."""
    out = [layer]
    for _ in range(levels - 1):
        # OpenCV drops the channels of a picture that has one.
        small = cv2.pyrDown(out[-1])
        out.append(small.reshape(*small.shape[:2], *layer.shape[2:]))
    return out


def laplacian_pyramid(layer: np.ndarray, levels: int = LEVELS) -> list[np.ndarray]:
    """Return the bands of a float picture, finest first: they sum, each enlarged, to the picture."""
    small = gaussian_pyramid(layer, levels)
    bands = [small[i] - _enlarge(small[i + 1], small[i]) for i in range(levels - 1)]
    return [*bands, small[-1]]


def collapse(bands: Sequence[np.ndarray]) -> np.ndarray:
    """Sum the bands to the picture: the inverse of `laplacian_pyramid`."""
    out = bands[-1]
    for band in reversed(bands[:-1]):
        out = band + _enlarge(out, band)
    return out


def _enlarge(small: np.ndarray, like: np.ndarray) -> np.ndarray:
    return cv2.pyrUp(small, dstsize=(like.shape[1], like.shape[0])).reshape(like.shape)


def blend(below: Layer, above: Layer, masks: Sequence[np.ndarray]) -> Layer:
    """Lay `above` over `below`; `masks` are a mask a band, finest first, each at its band's side: 0 keeps `below`, 1 takes `above`."""
    difference = laplacian_pyramid(above - below, len(masks))
    return below + collapse([band * mask[..., None] for band, mask in zip(difference, masks, strict=True)])
