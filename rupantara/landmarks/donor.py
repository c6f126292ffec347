"""An animal ready to lend its face: picture, points, what of it is animal, its ears."""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from rupantara.imaging import matte
from rupantara.landmarks.ears import Ear, axes, base_of, filled, find_ears
from rupantara.types import Gray, Picture, Points

MIRRORED = (1, 0, 2, 3, 5, 4)
"""Where each of the six points comes from after mirroring."""

HEAD = ((-0.58, -0.62), (0.58, -0.62), (0.92, 0.0), (0.72, 0.75), (-0.72, 0.75), (-0.92, 0.0))
"""What is surely head on an animal that looks into the camera: eye distances right of and below the eyes' middle."""

REACH = 1.75
"""A head reaches no farther from between eyes and mouth, but for its ears, in eye distances."""


@dataclass(frozen=True)
class Donor:
    """One animal: OpenCV's 8-bit CIELAB with the background painted over, six points [6, 2], the cut-out (0..255), mean lightness, ears.

    `eyes_open` False says that its eyes are shut or hidden: a person then keeps their own.
    """

    lab: np.ndarray
    points: Points
    alpha: Gray
    lightness: float
    ears: tuple[Ear, Ear] | None = None
    eyes_open: bool = True
    name: str = ""
    species: str = ""

    def mirrored(self) -> "Donor":
        """Return the animal seen in a mirror."""
        points = (self.points * (-1, 1) + (self.lab.shape[1] - 1, 0))[list(MIRRORED)]
        lab, alpha = np.ascontiguousarray(self.lab[:, ::-1]), np.ascontiguousarray(self.alpha[:, ::-1])
        ears = None
        if self.ears is not None:
            left, right = (ear.mirrored() for ear in self.ears)
            # The picture turns with them: an ear is read from it as before.
            ears = (replace(right, flipped=self.ears[1].flipped), replace(left, flipped=self.ears[0].flipped))
        return replace(self, lab=lab, points=points, alpha=alpha, ears=ears)


def prepare(picture: Picture, points: Points, *, eyes_open: bool = True, name: str = "", species: str = "") -> Donor:
    """Cut an animal out of its aligned crop; six points px, NaN where not seen.

    ValueError where eyes, nose or mouth are not known. Takes a twentieth of a second, once an animal.
    """
    points = np.asarray(points, np.float64)
    if points.shape != (6, 2) or not np.isfinite(points[:4]).all():
        raise ValueError("a donor must have six points with eyes, nose and mouth known, got points that are not")
    sure, maybe = guesses(points, *picture.shape[:2])
    alpha = matte.cut_out(picture, sure, maybe)
    lab = cv2.cvtColor(matte.extend(picture, alpha), cv2.COLOR_RGB2LAB)
    face = filled(points[:4], alpha.shape)
    lightness = float((lab[..., 0] * face).sum() / max(float(face.sum()), 1.0)) * 100 / 255
    ears = find_ears(points, alpha)
    return Donor(lab, points, (alpha * 255 + 0.5).astype(np.uint8), lightness, ears, eyes_open, name, species)


def guesses(points: Points, height: int, width: int) -> tuple[Gray, Gray]:
    """Return masks (0 or 255) of what is certainly the animal's head and ears, and of what may be."""
    eyes, right, down, d = axes(points)
    frame = np.stack([right, down])
    sure, maybe = np.zeros((height, width), np.uint8), np.zeros((height, width), np.uint8)
    chin = points[3] + d * np.array([(-0.36, 0.1), (0.36, 0.1)]) @ frame
    _fill(sure, np.concatenate([eyes + d * np.array(HEAD) @ frame, chin]))
    middle = eyes + 0.25 * (points[3] - eyes)
    cv2.circle(maybe, _pixel(middle), int(REACH * d), 255, -1)
    for tip in points[4:]:
        if np.isfinite(tip).all():
            base = base_of(points, 1 if (tip - eyes) @ right > 0 else -1)
            cv2.line(sure, _pixel(base), _pixel(base + 0.8 * (tip - base)), 255, max(1, int(0.14 * d)))
            _fill(maybe, np.stack([tip + 0.15 * (tip - eyes), eyes + d * right, eyes - d * right]))
    return sure, maybe


def _fill(mask: Gray, outline: Points) -> None:
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(outline).astype(np.int32)), 255)


def _pixel(place: np.ndarray) -> tuple[int, int]:
    return round(float(place[0])), round(float(place[1]))
