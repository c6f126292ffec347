"""An animal's ears: found by tip and base, cut along the animal's outline, or left out."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.landmarks.layout import Layout
from rupantara.types import Points, Similarity

BASE = (0.85, 0.72)
"""Where the middle of an ear's base lies on an animal, in its eye distances aside from and above the eyes' middle."""

PERSON_BASE = (0.92, 0.86)
"""Where it is put on a person's head, the same way."""

HIGHEST = 1.5
"""An ear's tip rises no higher over the eyes, in eye distances: there the crop ends."""

SHAPE = ((-0.25, -1), (-0.25, 1), (0.45, 1), (0.85, 0.62), (1.1, 0.3), (1.1, -0.3), (0.85, -0.62), (0.45, -1))
"""What holds an ear: shares of its length from base to tip, and of half its width aside."""

WIDE, LEAST_WIDE = 0.5, 0.34
"""Half an ear's width: a share of its length, and at least so many eye distances."""

LEAST_INSIDE, MOST_BEYOND = 0.55, 0.3
"""Mean cut-out inside an ear's outline and beyond its tip: where the animal's outline was not found, the ear is left out."""


@dataclass(frozen=True)
class Ear:
    """One ear: base and tip (px), how much of each pixel is ear (0..255, the picture's size), and whether all that is mirrored."""

    base: np.ndarray
    tip: np.ndarray
    mask: np.ndarray
    flipped: bool = False

    def mirrored(self) -> "Ear":
        """Return the ear seen in a mirror."""
        last = np.array([self.mask.shape[1] - 1, 0])
        base, tip = (last + place * (-1, 1) for place in (self.base, self.tip))
        return Ear(base, tip, np.ascontiguousarray(self.mask[:, ::-1]), not self.flipped)


def axes(points: Points) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Return an animal's eyes' middle, its unit vectors to the right and down, and its eye distance."""
    across = (points[1] - points[0]).astype(np.float64)
    distance = max(float(np.hypot(*across)), 1.0)
    right = across / distance
    return points[:2].mean(0).astype(np.float64), right, np.array([-right[1], right[0]]), distance


def base_of(points: Points, side: int) -> np.ndarray:
    """Return where the left (-1) or right (1) ear's base is taken to be."""
    eyes, right, down, distance = axes(points)
    return eyes + distance * (side * BASE[0] * right - BASE[1] * down)


def find_ear(points: Points, alpha: np.ndarray, side: int) -> Ear | None:
    """Return one ear out of six points and the cut-out (0..1), None where it is hidden or its outline was not found."""
    eyes, right, _, distance = axes(points)
    tip, base = points[4 if side < 0 else 5].astype(np.float64), base_of(points, side)
    if not np.isfinite(tip).all() or (tip - eyes) @ right * side < 0.2 * distance:
        return None
    axis = tip - base
    length = float(np.hypot(*axis))
    if not 0.25 * distance < length < 3 * distance:
        return None
    half = max(WIDE * length, LEAST_WIDE * distance)
    beside = np.array([-axis[1], axis[0]]) / length * half
    outline = np.array([base + u * axis + v * beside for u, v in SHAPE])
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
    along = ((x - base[0]) * axis[0] + (y - base[1]) * axis[1]) / length**2
    inside = filled(outline, alpha.shape)
    middle = (base + tip) / 2
    beyond = np.clip(filled(middle + 1.45 * (outline - middle), alpha.shape) - inside, 0, 1) * (along > 0.4)
    if beyond.sum() < 20 or _mean(alpha, inside) < LEAST_INSIDE or _mean(alpha, beyond) > MOST_BEYOND:
        return None
    rise = np.clip((along + 0.15) / 0.45, 0, 1)
    mask = alpha * cv2.GaussianBlur(inside, (0, 0), 0.05 * distance) * rise * rise * (3 - 2 * rise)
    return Ear(base, tip, (mask * 255 + 0.5).astype(np.uint8))


def find_ears(points: Points, alpha: np.ndarray) -> tuple[Ear, Ear] | None:
    """Return both ears; one that is hidden or not found is the other one's mirror image, put at its own base. None where none is."""
    left, right = (find_ear(points, alpha, side) for side in (-1, 1))
    if left is not None and right is not None:
        return left, right
    if left is not None:
        return left, left.mirrored()
    return None if right is None else (right.mirrored(), right)


def onto_person(ear: Ear, points: Points, layout: Layout, side: int, amount: float) -> Similarity:
    """Return the similarity that puts an ear on a person's head: it grows from 0.4 of its size to all of it with the amount."""
    _, right, down, distance = axes(points)
    if ear.flipped:
        right, down = right * (1, -1), down * (-1, 1)
    up = -float((ear.tip - ear.base) @ down) / distance
    scale = min(1.0, (HIGHEST - PERSON_BASE[1]) / up) if up > 0.05 else 1.0
    scale *= (0.4 + 0.6 * amount) * layout.distance / distance
    linear = scale * np.stack([layout.across, -layout.up], 1) @ np.stack([right, down])
    base = layout.at(side * PERSON_BASE[0], PERSON_BASE[1])
    return np.concatenate([linear, (base - linear @ ear.base)[:, None]], axis=1)


def filled(outline: Points, shape: tuple[int, ...]) -> np.ndarray:
    """Return the inside of a hull, float32 0 or 1."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(outline).astype(np.int32)), 1)
    return mask.astype(np.float32)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    return float((values * weights).sum() / max(float(weights.sum()), 1.0))
