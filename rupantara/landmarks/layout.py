"""Where an animal's face belongs on a person's: target points, and outlines of the regions and of the features in them.

All of it follows from the person's 68 points. Lengths are in eye distances of the person.
"""

from dataclasses import dataclass

import numpy as np

from rupantara.types import Landmarks, Points

NOSE_SHARE, MOUTH_SHARE = 0.80, 1.12
"""How far from the eyes' middle to the person's mouth the nose pad and the animal's mouth lie."""

FOLLOWS_NOSE = 0.5
"""How much of the person's nose's sideways shift (a turned head) the nose pad takes."""

BROW_RAISE, JAW_DRAWN_IN = 0.72, 0.93
"""The whole face's top over the brows, and its jaw line as a share of the person's: fur then ends at hair and jaw, as a face does."""


@dataclass(frozen=True)
class Layout:
    """Four inner points [4, 2] of the person (eyes, nose, mouth; px), those of a whole animal on that face, and the eye distance."""

    landmarks: Landmarks
    own: Points
    animal: Points
    distance: float

    @property
    def up(self) -> np.ndarray:
        """Return the unit vector from the mouth to the eyes' middle."""
        return _unit(self.own[:2].mean(0) - self.own[3])

    @property
    def across(self) -> np.ndarray:
        """Return the unit vector from the left eye to the right one in the picture."""
        return _unit(self.own[1] - self.own[0])

    def between(self, nose: float, mouth: float) -> Points:
        """Return the four points for amounts of nose and mouth: 0 = the person's own, 1 = the animal's."""
        share = np.array([1.0, 1.0, nose, mouth])[:, None]
        return self.own + share * (self.animal - self.own)

    def at(self, right: float, up: float) -> np.ndarray:
        """Return the place so many eye distances to the right of and above the eyes' middle."""
        return self.own[:2].mean(0) + self.distance * (right * self.across + up * self.up)

    def ring(self, centre: np.ndarray, wide: float, high: float, count: int = 20) -> Points:
        """Return points of an ellipse that stands upright on the face; half axes in eye distances."""
        turn = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
        return centre + self.distance * (wide * np.cos(turn) * self.across + high * np.sin(turn) * self.up)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.hypot(*vector)), 1e-6)


def layout_of(landmarks: Landmarks) -> Layout:
    """Lay an animal's eyes, nose pad and mouth out on a person's face; ValueError for points that span no face."""
    p = landmarks.astype(np.float64)
    eyes, mouth = np.stack([p[36:42].mean(0), p[42:48].mean(0)]), p[48:60].mean(0)
    distance, axis = float(np.hypot(*(eyes[1] - eyes[0]))), mouth - eyes.mean(0)
    if not np.isfinite(p).all() or distance < 4 or float(np.hypot(*axis)) < 0.25 * distance:
        raise ValueError("landmarks must span a face with eyes and mouth apart, got points that do not")
    nose = (p[30] + p[33]) / 2
    aside = nose - eyes.mean(0)
    aside = aside - axis * (aside @ axis) / (axis @ axis)
    pad = eyes.mean(0) + NOSE_SHARE * axis + FOLLOWS_NOSE * aside
    animal = np.stack([*eyes, pad, eyes.mean(0) + MOUTH_SHARE * axis])
    return Layout(p, np.stack([*eyes, nose, mouth]), animal, distance)


def outlines(layout: Layout) -> dict[str, Points]:
    """Return the outline (a hull's points, px) of each face region on the person, where an animal's lies on it."""
    p, d, up, across = layout.landmarks, layout.distance, layout.up, layout.across
    brows, low = p[17:27], p[36:48] - 0.28 * d * up
    sides = np.stack([p[36] - 0.3 * d * across, p[45] + 0.3 * d * across])
    return {
        "eyes": np.concatenate([brows + 0.02 * d * up, low, sides]),
        "nose": np.concatenate([layout.ring(layout.animal[2], 0.36, 0.30), layout.ring(layout.at(0, -0.1), 0.14, 0.1)]),
        "mouth": layout.ring(layout.animal[3] - 0.06 * d * up, 0.62, 0.34),
        "forehead": np.concatenate([brows - 0.02 * d * up, brows + BROW_RAISE * d * up]),
    }


def face_outline(layout: Layout) -> Points:
    """Return the outline of the whole face, from over the brows to the jaw line: what all four face regions together cover."""
    middle = (layout.own[:2].mean(0) + layout.own[3]) / 2
    jaw = middle + JAW_DRAWN_IN * (layout.landmarks[:17] - middle)
    brows = layout.landmarks[17:27]
    return np.concatenate([jaw, brows, brows + BROW_RAISE * layout.distance * layout.up])


def features(layout: Layout, points: Points) -> dict[str, list[Points]]:
    """Return the outlines of what is one thing and not coat (each eye, the nose pad, the mouth) where `points` [4, 2] put them."""
    return {
        "eyes": [layout.ring(eye, 0.34, 0.24) for eye in points[:2]],
        "nose": [layout.ring(points[2], 0.30, 0.24)],
        "mouth": [layout.ring(points[3], 0.5, 0.2)],
    }


def own_features(layout: Layout) -> dict[str, list[Points]]:
    """Return the outlines of the person's own eyes, nose and lips, a little grown."""
    p = layout.landmarks
    return {
        "eyes": [layout.ring(eye, 0.32, 0.2) for eye in layout.own[:2]],
        "nose": [p[29:36].mean(0) + 1.2 * (p[29:36] - p[29:36].mean(0))],
        "mouth": [p[48:60].mean(0) + 1.15 * (p[48:60] - p[48:60].mean(0))],
    }
