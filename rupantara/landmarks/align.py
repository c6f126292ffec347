"""Alignment: the least-squares similarity that carries a face's keypoints to the canonical crop."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.types import Keypoints, Picture, Points, Similarity

TEMPLATES = {
    "human": ((0.365, 0.43), (0.635, 0.43), (0.5, 0.572), (0.392, 0.708), (0.608, 0.708)),
    "animal": ((0.392, 0.52), (0.608, 0.52), (0.5, 0.687)),
}
"""Fractions of the crop. Humans: five points, eyes 0.27 apart, room for ears and forehead. Animals: eyes and nose only
(the mouth's place varies most between species), lower and smaller: of 797 heads marked from the front, with this template
the tips of the ears of all but one in fifty lie in the crop."""


MIN_SPAN, MAX_SCALE = 4.0, 64.0
"""A photograph narrower than 4 px after scaling, or a face enlarged over 64 times, is no face."""


@dataclass(frozen=True)
class Aligned:
    """A crop, the transform source px -> crop px, and the share of the crop that lies inside the photograph."""

    crop: Picture
    transform: Similarity
    coverage: float


def fit_similarity(source: Points, target: Points) -> Similarity:
    """Fit scale, rotation and shift in the least-squares sense (no reflection); at least two distinct points."""
    centre, goal = source.mean(0), target.mean(0)
    s, t = source - centre, target - goal
    norm = float((s**2).sum())
    if norm < 1e-6:
        raise ValueError("keypoints must be distinct points, got all the same")
    a = float((s * t).sum()) / norm
    b = float((s[:, 0] * t[:, 1] - s[:, 1] * t[:, 0]).sum()) / norm
    linear = np.array([[a, -b], [b, a]])
    return np.concatenate([linear, (goal - linear @ centre)[:, None]], axis=1)


def transform_points(points: Points, transform: Similarity) -> Points:
    """Carry points [n, 2] through a similarity."""
    return (points @ transform[:, :2].T + transform[:, 2]).astype(np.float32)


def align(picture: Picture, keypoints: Keypoints, domain: str, size: int = 256) -> Aligned:
    """Cut the canonical crop of a face; what lies outside the photograph is its blurred reflection."""
    template = np.array(TEMPLATES[domain]) * size
    transform = fit_similarity(keypoints[: len(template)].astype(np.float64), template)
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    span = np.array(picture.shape[:2]) * scale
    if not span.min() >= MIN_SPAN or not scale <= MAX_SCALE:
        raise ValueError(
            f"keypoints must span a face of this picture, got a scale of {scale:.3g} for {picture.shape[:2]}"
        )
    source, warp = prefilter(picture, transform)
    crop = cv2.warpAffine(source, warp, (size, size), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.ones(source.shape[:2], np.float32), warp, (size, size))
    coverage = float(inside.mean())
    if coverage < 0.999:
        crop = _blur_outside(crop, inside)
    return Aligned(crop, transform, coverage)


def prefilter(picture: Picture, transform: Similarity) -> tuple[Picture, Similarity]:
    """Shrink by area before a warp that shrinks, so that it does not alias; return the picture and the warp that is left."""
    scale = float(np.hypot(transform[0, 0], transform[1, 0]))
    if scale > 0.6:
        return picture, transform
    # By size, not by factor: OpenCV would scale by the exact factor and the rounded size would not be the ratio undone below.
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    fx, fy = small.shape[1] / picture.shape[1], small.shape[0] / picture.shape[0]
    # Pixel centres: x_small = fx * (x + 0.5) - 0.5, undone before the transform.
    undo = np.array([[1 / fx, 0, 0.5 / fx - 0.5], [0, 1 / fy, 0.5 / fy - 0.5], [0, 0, 1]])
    return small, transform @ undo


def _blur_outside(crop: Picture, inside: np.ndarray) -> Picture:
    blurred = cv2.GaussianBlur(crop, (0, 0), crop.shape[0] / 24).astype(np.float32)
    weight = cv2.GaussianBlur(cv2.erode(inside, np.ones((5, 5))), (0, 0), 2.0)[:, :, None]
    return np.clip(crop * weight + blurred * (1 - weight) + 0.5, 0, 255).astype(np.uint8)


def yaw_degrees(keypoints: Keypoints, protrusion: float = 0.5) -> float:
    """Estimate yaw from the nose tip's offset along the eye line: 0 frontal, positive to the picture's right.

    A person's nose tip stands out by about half the distance between the eyes, so tan(yaw) = offset / (protrusion * distance).
    """
    across = keypoints[1] - keypoints[0]
    distance = max(float(np.hypot(*across)), 1e-6)
    offset = float((keypoints[2] - (keypoints[0] + keypoints[1]) / 2) @ across) / distance
    return float(np.degrees(np.arctan2(offset, protrusion * distance)))


def roll_degrees(keypoints: Keypoints) -> float:
    """Return the eye line's angle, clockwise in the picture positive."""
    across = keypoints[1] - keypoints[0]
    return float(np.degrees(np.arctan2(across[1], across[0])))


def interocular(keypoints: Keypoints) -> float:
    """Return the distance between the eyes in pixels."""
    return float(np.hypot(*(keypoints[1] - keypoints[0])))
