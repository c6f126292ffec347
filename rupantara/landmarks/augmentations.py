"""Small alterations of a face that a code should survive: match accuracy asks whether the altered picture finds its own face.

The keypoints and part boxes move with the picture. Each alteration draws its strength from the Generator passed in, evenly over the
range its constant states. It lies here, not in `imaging`, because a flip must know which keypoints and parts are left and right.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rupantara.landmarks.points import MIRRORED_POINTS
from rupantara.landmarks.regions import MIRRORED_PARTS
from rupantara.types import Boxes, Keypoints, Picture

SHIFT = 0.04
"""Largest shift along each axis, as a fraction of the side: what a detector's keypoints wander by."""
ZOOM = (0.92, 1.08)
"""Size of the face against what it was: below 1 shows more of the surroundings, above 1 crops."""
BRIGHTNESS = 0.15
"""Largest change of all levels, as a fraction of 255."""
CONTRAST = (0.8, 1.2)
"""Factor of the distance from the mean luma."""
SATURATION = (0.6, 1.4)
"""Factor of the distance from each pixel's luma."""
CAST = (0.92, 1.08)
"""Factor of each channel: a colour cast."""
BLUR = (0.003, 0.012)
"""Standard deviation of the Gaussian as a fraction of the side: 0.4 to 1.5 px at 128."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""BT.601."""


@dataclass(frozen=True)
class MarkedFace:
    """A crop with its keypoints (px) and part boxes (fractions, not clipped: after a zoom they may leave the crop)."""

    picture: Picture
    keypoints: Keypoints
    boxes: Boxes


Augmentation = Callable[[MarkedFace, np.random.Generator], MarkedFace]


def shift_zoom(face: MarkedFace, rng: np.random.Generator) -> MarkedFace:
    """Shift by up to SHIFT and zoom by ZOOM about the middle; what comes in from outside is the reflection."""
    zoom, (dx, dy) = rng.uniform(*ZOOM), rng.uniform(-SHIFT, SHIFT, 2)
    height, width = face.picture.shape[:2]
    size = np.array([width, height], np.float32)
    # In fractions of the crop f -> zoom f + offset; a pixel's centre x lies at (x + 0.5) / width.
    offset = np.array([0.5 + dx - 0.5 * zoom, 0.5 + dy - 0.5 * zoom], np.float32)
    shift = offset * size + 0.5 * zoom - 0.5
    warp = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
    picture = cv2.warpAffine(
        face.picture, warp, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
    )
    points = (face.keypoints * zoom + shift).astype(np.float32)
    boxes = (face.boxes * zoom + np.tile(offset, 2)).astype(np.float32)
    return MarkedFace(picture, points, boxes)


def flip(face: MarkedFace, _: np.random.Generator | None = None) -> MarkedFace:
    """Mirror left to right: eyes, mouth corners and ears exchange, as in `models.placement.mirror`."""
    points = face.keypoints[list(MIRRORED_POINTS)].copy()
    points[:, 0] = face.picture.shape[1] - 1 - points[:, 0]
    boxes = face.boxes[list(MIRRORED_PARTS)]
    boxes = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)
    return MarkedFace(np.ascontiguousarray(face.picture[:, ::-1]), points, boxes.astype(face.boxes.dtype))


def jitter(face: MarkedFace, rng: np.random.Generator) -> MarkedFace:
    """Change brightness, contrast, saturation and colour cast; levels are clipped."""
    levels = face.picture.astype(np.float32) * rng.uniform(*CAST, 3).astype(np.float32)
    luma = (levels @ LUMA)[..., None]
    levels = luma + (levels - luma) * np.float32(rng.uniform(*SATURATION))
    mean = luma.mean()
    levels = mean + (levels - mean) * np.float32(rng.uniform(*CONTRAST))
    levels += np.float32(255 * rng.uniform(-BRIGHTNESS, BRIGHTNESS))
    return replace(face, picture=np.clip(levels + 0.5, 0, 255).astype(np.uint8))


def blur(face: MarkedFace, rng: np.random.Generator) -> MarkedFace:
    """Blur by a Gaussian."""
    sigma = rng.uniform(*BLUR) * max(face.picture.shape[:2])
    return replace(face, picture=cv2.GaussianBlur(face.picture, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


AUGMENTATIONS: dict[str, Augmentation] = {"shift_zoom": shift_zoom, "flip": flip, "jitter": jitter, "blur": blur}


def augment(face: MarkedFace, rng: np.random.Generator) -> MarkedFace:
    """Apply all in turn, the flip to every other face by chance."""
    for name, alter in AUGMENTATIONS.items():
        if name != "flip" or rng.random() < 0.5:
            face = alter(face, rng)
    return face
