"""An animal ready to lend its face: picture, points, what of it is animal."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

from rupantara.imaging import matte
from rupantara.types import Gray, Picture

AnimalPoints = Float[np.ndarray, "6 2"]
"""x y px: left-in-image eye, right-in-image eye, nose pad, mouth, left and right ear tip; NaN where a point is not seen."""

MIRRORED = (1, 0, 2, 3, 5, 4)


@dataclass(frozen=True)
class Donor:
    """One animal: its picture (background painted over), its points, and how much of each pixel is animal."""

    picture: Picture
    points: AnimalPoints
    alpha: np.ndarray
    name: str = ""
    species: str = ""

    def mirrored(self) -> "Donor":
        """Return the animal seen in a mirror."""
        points = (self.points * (-1, 1) + (self.picture.shape[1] - 1, 0))[list(MIRRORED)].astype(np.float32)
        flipped = (np.ascontiguousarray(a[:, ::-1]) for a in (self.picture, self.alpha))
        picture, alpha = flipped
        return Donor(picture, points, alpha, self.name, self.species)


def prepare(picture: Picture, points: AnimalPoints, name: str = "", species: str = "") -> Donor:
    """Cut an animal out of its aligned crop; ValueError where eyes, nose or mouth are not known."""
    if not np.isfinite(points[:4]).all():
        raise ValueError("a donor must have its eyes, nose and mouth, got points that are not known")
    sure, maybe = guesses(points, *picture.shape[:2])
    alpha = matte.cut_out(picture, sure, maybe)
    return Donor(matte.extend(picture, alpha), points.astype(np.float32), alpha, name, species)


def guesses(points: AnimalPoints, height: int, width: int) -> tuple[Gray, Gray]:
    """Return masks (0 or 255) of what is certainly the animal's head, and of what may be."""
    eyes = points[:2].mean(0)
    across = points[1] - points[0]
    d = max(float(np.hypot(*across)), 1.0)
    right = across / d
    down = np.array([-right[1], right[0]])
    mouth = points[3]
    sure, maybe = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    shape = np.array([(-0.58, -0.62), (0.58, -0.62), (0.92, 0.0), (0.72, 0.75), (-0.72, 0.75), (-0.92, 0.0)])
    chin = np.stack([mouth + 0.36 * d * right + 0.1 * d * down, mouth - 0.36 * d * right + 0.1 * d * down])
    hull = np.concatenate([eyes + d * (shape @ np.stack([right, down])), chin])
    cv2.fillConvexPoly(sure, cv2.convexHull(hull.astype(np.int32)), 255)
    centre = eyes + 0.25 * (mouth - eyes)
    axes = (int(1.75 * d), int(1.75 * d))
    cv2.ellipse(maybe, tuple(int(v) for v in centre), axes, 0, 0, 360, 255, -1)
    for tip in points[4:]:
        if np.isfinite(tip).all():
            hull = np.stack([tip + 0.15 * d * (tip - eyes) / d, eyes + 1.0 * d * right, eyes - 1.0 * d * right])
            cv2.fillConvexPoly(maybe, cv2.convexHull(hull.astype(np.int32)), 255)
    # Of the neck little is seen below the chin: it counts as background to learn from only outside the ellipse.
    return sure, maybe
