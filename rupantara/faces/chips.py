"""Faces as published networks want them cut, by their five keypoints."""

from collections.abc import Sequence

import cv2
import numpy as np

from rupantara.landmarks.align import fit_similarity, prefilter
from rupantara.models import dlib_identity, e4e, mobilefacenet
from rupantara.types import Picture


def arcface_chip(picture: Picture, keypoints: np.ndarray) -> Picture:
    """Cut the 112 x 112 chip whose five keypoints lie nearest ArcFace's template."""
    return _chip(picture, keypoints, mobilefacenet.TEMPLATE, mobilefacenet.SIDE)


def dlib_chip(picture: Picture, keypoints: np.ndarray) -> Picture:
    """Cut the 150 x 150 chip whose five keypoints lie nearest those of dlib's own chips."""
    return _chip(picture, keypoints, dlib_identity.TEMPLATE, dlib_identity.SIDE)


def _chip(picture: Picture, keypoints: np.ndarray, template: Sequence[Sequence[float]], side: int) -> Picture:
    transform = fit_similarity(keypoints.astype(np.float64), np.array(template))
    source, warp = prefilter(picture, transform)
    return cv2.warpAffine(source, warp, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def ffhq_chip(picture: Picture, keypoints: np.ndarray) -> Picture:
    """Cut the 256 x 256 chip that FFHQ's alignment takes (Karras et al., 2019, appendix A): a square by eyes and mouth."""
    left, right, mouth = keypoints[0], keypoints[1], keypoints[3:5].mean(0)
    across, down = right - left, mouth - (left + right) / 2
    axis = across - np.array([-down[1], down[0]])
    half = max(2.0 * float(np.hypot(*across)), 1.8 * float(np.hypot(*down)))
    x = axis / max(float(np.hypot(*axis)), 1e-6) * half
    y = np.array([-x[1], x[0]])
    centre = (left + right) / 2 + 0.1 * down
    corners = np.array([centre - x - y, centre + x - y, centre - x + y], np.float64)
    edge = e4e.SIDE - 0.5
    transform = fit_similarity(corners, np.array([[-0.5, -0.5], [edge, -0.5], [-0.5, edge]]))
    source, warp = prefilter(picture, transform)
    return cv2.warpAffine(source, warp, (e4e.SIDE,) * 2, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
