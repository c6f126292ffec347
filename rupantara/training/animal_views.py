"""Marked photographs of animals to varied training pictures: turned, scaled, moved, mirrored, lit, blurred, put beside another."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np

from rupantara.models.animal_landmarks import MIRRORED, SIDE, VIEWS
from rupantara.types import Picture

MIRRORED_VIEWS = (0, 2, 1, 3)
BETWEEN_EYES_TO_HULL = 2.4
"""Side of all six points' hull over that of eyes and nose, where ears are not marked."""
SMALLEST, LARGEST, USUAL = 0.16, 0.95, 0.55
"""Side of the hull of a head's points over the picture's."""


@dataclass(frozen=True)
class Marked:
    """A photograph and the points of the head in it.

    `points` [6, 2] px, NaN where hidden; `known` [6] says of which points it is known whether they are hidden; `view` indexes
    VIEWS, -1 where unknown. Without a head (`has_head` false) it is an example of none.
    """

    picture: Picture
    points: np.ndarray
    known: np.ndarray
    view: int = -1
    has_head: bool = True


def nothing(picture: Picture) -> Marked:
    """Mark a photograph in which there is no animal."""
    return Marked(picture, np.full((6, 2), np.nan, np.float32), np.ones(6, bool), has_head=False)


def hull_side(mark: Marked) -> float:
    """Return the longer side of the points' hull in pixels; of a head whose ears were not marked, what it would be."""
    side = float(np.nanmax(np.nanmax(mark.points, 0) - np.nanmin(mark.points, 0)))
    return side * (1.0 if mark.known.all() else BETWEEN_EYES_TO_HULL)


def vary(mark: Marked, others: Sequence[Marked], random: np.random.Generator) -> list[Marked]:
    """Make one training picture of side SIDE: [the mark as seen in it], or two marks that share it (the same picture twice)."""
    if random.random() < 0.18 and others:
        both = [mark, others[int(random.integers(len(others)))]]
        return _beside(both, random)
    return [_lit(warp(mark, view_of(mark, random), SIDE, random), random)]


def view_of(mark: Marked, random: np.random.Generator, scale: float = 1.0) -> np.ndarray:
    """Draw a transform [2, 3] of the photograph's pixels to the training picture's."""
    height, width = mark.picture.shape[:2]
    if mark.has_head:
        share = np.clip(USUAL * np.exp(random.normal(-0.1, 0.38)), SMALLEST, LARGEST)
        zoom, middle = share * SIDE / max(hull_side(mark), 4.0), _middle(mark)
    else:
        zoom, middle = SIDE / max(height, width) * np.exp(random.normal(0.1, 0.35)), np.array([width, height]) / 2
    zoom *= scale
    turn = np.radians(random.normal(0, 14) if random.random() < 0.85 else random.uniform(-50, 50))
    stretch = np.exp(random.normal(0, 0.05))
    linear = (
        zoom * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([stretch, 1 / stretch])
    )
    free = max(0.5 - 0.4 * share, 0.1) if mark.has_head else 0.3
    goal = SIDE / 2 + random.uniform(-1, 1, 2) * SIDE * free * 0.7
    if random.random() < 0.5:
        linear = np.diag([-1.0, 1.0]) @ linear
    return np.concatenate([linear, (goal - linear @ middle)[:, None]], 1)


def warp(mark: Marked, transform: np.ndarray, side: int, random: np.random.Generator) -> Marked:
    """Carry a mark through a transform; points that leave the picture are hidden there, names follow a mirror."""
    scale = float(np.sqrt(abs(np.linalg.det(transform[:, :2]))))
    source = cv2.GaussianBlur(mark.picture, (0, 0), 0.4 / scale) if scale < 0.75 else mark.picture
    if random.random() < 0.5:
        border, fill = cv2.BORDER_REPLICATE, (0, 0, 0)
    else:
        border, fill = cv2.BORDER_CONSTANT, tuple(float(v) for v in random.integers(0, 256, 3))
    shown = cv2.warpAffine(source, transform, (side, side), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill)
    points = (mark.points @ transform[:, :2].T + transform[:, 2]).astype(np.float32)
    points[((points < 0) | (points > side - 1)).any(1)] = np.nan
    known, view = mark.known, mark.view
    if np.linalg.det(transform[:, :2]) < 0:
        points, known = points[list(MIRRORED)], known[list(MIRRORED)]
        view = MIRRORED_VIEWS[view] if view >= 0 else view
    has_head = mark.has_head and int(np.isfinite(points[:3]).all(1).sum()) >= 2
    return replace(mark, picture=shown, points=points, known=known, view=view, has_head=has_head)


def _beside(both: list[Marked], random: np.random.Generator) -> list[Marked]:
    """Put two photographs into the halves of one picture, side by side or one above the other."""
    across = random.random() < 0.5
    edge = int(SIDE * random.uniform(0.4, 0.6))
    canvas, placed = np.empty((SIDE, SIDE, 3), np.uint8), []
    for i, mark in enumerate(both):
        transform = view_of(mark, random, scale=random.uniform(0.5, 0.8))
        low, high = ((0, edge), (edge, SIDE))[i]
        target = np.array([(low + high) / 2, SIDE / 2 + random.uniform(-0.15, 0.15) * SIDE])
        target = target if across else target[::-1]
        at = (
            transform[:, :2] @ (_middle(mark) if mark.has_head else np.array(mark.picture.shape[1::-1]) / 2)
            + transform[:, 2]
        )
        transform[:, 2] += target - at
        seen = _lit(warp(mark, transform, SIDE, random), random)
        part = (slice(None), slice(low, high)) if across else (slice(low, high), slice(None))
        canvas[part] = seen.picture[part]
        axis = 0 if across else 1
        points = seen.points.copy()
        points[~((points[:, axis] >= low) & (points[:, axis] < high))] = np.nan
        has_head = seen.has_head and int(np.isfinite(points[:3]).all(1).sum()) >= 2
        placed.append(replace(seen, points=points, has_head=has_head))
    return [replace(mark, picture=canvas) for mark in placed]


def _middle(mark: Marked) -> np.ndarray:
    points = mark.points[np.isfinite(mark.points).all(1)]
    return (points.min(0) + points.max(0)) / 2


def _lit(mark: Marked, random: np.random.Generator) -> Marked:
    """Vary light, colour, sharpness and noise."""
    x = mark.picture.astype(np.float32)
    if random.random() < 0.12:
        x = np.repeat(x @ np.array([[0.299], [0.587], [0.114]], np.float32), 3, 2)
    elif random.random() < 0.7:
        gray = x.mean(2, keepdims=True)
        x = gray + (x - gray) * random.uniform(0.5, 1.5)
        x = x * np.exp(random.normal(0, 0.08, 3)).astype(np.float32)
    contrast, level = np.exp(random.normal(0, 0.22)), random.normal(0, 22)
    x = (x - 127) * contrast + 127 + level
    if random.random() < 0.3:
        slope = np.linspace(-1, 1, x.shape[0], dtype=np.float32) * random.normal(0, 30)
        x = x + (slope[:, None, None] if random.random() < 0.5 else slope[None, :, None])
    if random.random() < 0.2:
        x = cv2.GaussianBlur(x, (0, 0), random.uniform(0.5, 2.2))
    if random.random() < 0.2:
        x = x + random.normal(0, random.uniform(2, 12), x.shape).astype(np.float32)
    shown = np.clip(x, 0, 255).astype(np.uint8)
    return replace(mark, picture=shown)


def view_index(name: str) -> int:
    """Return the index of a view's name; -1 for one that is not known."""
    return VIEWS.index(name) if name in VIEWS else -1
