"""The morph of two faces (`001_…`, section 5.3): averaged landmarks and texture, blended seamlessly into the first face."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.poisson import seamless_clone
from rupantara.landmarks import spline
from rupantara.types import Gray, Landmarks, Picture, Points

FRAME = ((0, 0), (0.5, 0), (1, 0), (0, 0.5), (1, 0.5), (0, 1), (0.5, 1), (1, 1))
"""Control points on the crop's border, as fractions: they keep the surroundings in place."""

INNER_MARGIN_PX = 2
"""The mask stays this far from the border, where the blend needs pixels of the target."""

MIN_HULL_SHARE = 0.02
"""A hull of the outer landmarks below this share of the crop is no face."""


@dataclass(frozen=True)
class Morph:
    """The picture, its landmarks (the weighted mean of the parents', px) and the mask that was blended (0 or 255)."""

    picture: Picture
    landmarks: Landmarks
    mask: Gray


def frame_points(width: int, height: int) -> Points:
    """Return the fixed points on the border of a crop."""
    return np.array(FRAME) * (width - 1, height - 1)


def hull_mask(landmarks: Landmarks, height: int, width: int) -> Gray:
    """Fill the hull of the landmarks, kept off the border; raise ValueError when too little of it is left."""
    mask = np.zeros((height, width), np.uint8)
    hull = cv2.convexHull(np.round(landmarks).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, 255)
    m = INNER_MARGIN_PX
    mask[:m], mask[-m:], mask[:, :m], mask[:, -m:] = 0, 0, 0, 0
    share = float((mask > 0).mean())
    if share < MIN_HULL_SHARE:
        raise ValueError(f"the landmarks' hull must cover {MIN_HULL_SHARE:.0%} of the crop, got {share:.1%}")
    return mask


def morph(
    first: Picture, first_landmarks: Landmarks, second: Picture, second_landmarks: Landmarks, *, alpha: float, size: int
) -> Morph:
    """Morph two aligned crops: `alpha` = 0 is the first face, 1 the second's shape and texture in the first's surroundings.

    Both faces are carried to the averaged landmarks by one spline solve, their average is the source, the first face (so
    carried) the target, and the hull of the landmarks the mask of the Poisson blend: hair and outline, which cannot be
    averaged, stay those of one face. `size` is the side of the result in pixels. Raise spline.DegenerateError or ValueError
    for landmarks that no warp can be made of.
    """
    scales = [size / picture.shape[0] for picture in (first, second)]
    mean = (1 - alpha) * first_landmarks * scales[0] + alpha * second_landmarks * scales[1]
    target = np.concatenate([mean, frame_points(size, size)])
    frames = [frame_points(picture.shape[1], picture.shape[0]) for picture in (first, second)]
    sources = [np.concatenate(pair) for pair in zip((first_landmarks, second_landmarks), frames, strict=True)]
    mask = hull_mask(mean, size, size)
    maps = spline.flow(target, *sources, height=size, width=size)
    warped = [_remap(picture, xy) for picture, xy in zip((first, second), maps, strict=True)]
    texture = cv2.addWeighted(warped[0], 1 - alpha, warped[1], alpha, 0)
    return Morph(seamless_clone(texture, warped[0], mask), mean.astype(np.float32), mask)


def _remap(picture: Picture, xy: np.ndarray) -> Picture:
    return cv2.remap(picture, xy[0], xy[1], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
