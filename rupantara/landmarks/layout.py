"""Where an animal's face belongs on a person's: target points, control points of the two warps, and outlines of the regions.

All of it follows from the person's 68 points. Lengths are in eye distances of the person.
"""

from dataclasses import dataclass

import numpy as np

from rupantara.types import Landmarks, Points

NOSE_SHARE, MOUTH_SHARE = 0.80, 1.12
"""How far from the eyes' middle to the person's mouth the nose pad and the animal's mouth lie."""

FOLLOWS_NOSE = 0.5
"""How much of the person's nose's sideways shift (a turned head) the nose pad takes."""

BROW_RAISE, JAW_DRAWN_IN = 0.55, 0.86
"""The mask's top over the brows, and the jaw line's distance from the face's middle as a share of the person's."""


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
        axis = self.own[:2].mean(0) - self.own[3]
        return axis / max(float(np.hypot(*axis)), 1e-6)

    @property
    def across(self) -> np.ndarray:
        """Return the unit vector from the left eye to the right one in the picture."""
        axis = self.own[1] - self.own[0]
        return axis / max(float(np.hypot(*axis)), 1e-6)

    def between(self, nose: float, mouth: float) -> Points:
        """Return the four points for amounts of nose and mouth: 0 = the person's own, 1 = the animal's."""
        share = np.array([1.0, 1.0, nose, mouth])[:, None]
        return self.own + share * (self.animal - self.own)

    def at(self, right: float, up: float) -> np.ndarray:
        """Return the place so many eye distances to the right of and above the eyes' middle."""
        return self.own[:2].mean(0) + self.distance * (right * self.across + up * self.up)


def layout_of(landmarks: Landmarks) -> Layout:
    """Lay an animal's eyes, nose pad and mouth out on a person's face."""
    p = landmarks.astype(np.float64)
    eyes, mouth = np.stack([p[36:42].mean(0), p[42:48].mean(0)]), p[48:60].mean(0)
    middle = eyes.mean(0)
    axis = mouth - middle
    nose = (p[30] + p[33]) / 2
    aside = nose - (middle + axis * ((nose - middle) @ axis) / max(float(axis @ axis), 1e-6))
    animal = np.stack([*eyes, middle + NOSE_SHARE * axis + FOLLOWS_NOSE * aside, middle + MOUTH_SHARE * axis])
    return Layout(p, np.stack([*eyes, nose, mouth]), animal, float(np.hypot(*(eyes[1] - eyes[0]))))


def outlines(layout: Layout) -> dict[str, Points]:
    """Return the outline (a convex polygon's points, px) of each face region on the person, where an animal's lies on it."""
    p, d, up, across = layout.landmarks, layout.distance, layout.up, layout.across
    nose, mouth = layout.animal[2], layout.animal[3]
    brows = p[17:27]
    middle = layout.own[:2].mean(0)
    jaw = middle + (layout.own[3] - middle) * 0.5 + JAW_DRAWN_IN * (p[0:17] - middle - (layout.own[3] - middle) * 0.5)
    return {
        "eyes": np.concatenate(
            [brows + 0.02 * d * up, p[36:48] - 0.28 * d * up, p[[36]] - 0.3 * d * across, p[[45]] + 0.3 * d * across]
        ),
        "nose": np.concatenate([_ring(nose, 0.36 * d, 0.30 * d, layout), _ring(layout.at(0, -0.1), 0.14 * d, 0.1 * d, layout)]),
        "mouth": _ring(mouth - 0.06 * d * up, 0.62 * d, 0.34 * d, layout),
        "forehead": np.concatenate([brows - 0.02 * d * up, brows + BROW_RAISE * d * up]),
        "cheeks": np.concatenate([jaw, brows]),
    }


def cores(layout: Layout, points: Points) -> dict[str, list[Points]]:
    """Return the outlines of what is one thing and not coat: each eye, the nose pad, the mouth; `points` as `Layout.between` gives."""
    d = layout.distance
    return {
        "eyes": [_ring(eye, 0.34 * d, 0.24 * d, layout) for eye in points[:2]],
        "nose": [_ring(points[2], 0.30 * d, 0.24 * d, layout)],
        "mouth": [_ring(points[3], 0.5 * d, 0.2 * d, layout)],
    }


def _ring(centre: np.ndarray, wide: float, high: float, layout: Layout, count: int = 20) -> Points:
    """Return an upright (on the face) ellipse's points."""
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)[:, None]
    return centre + wide * np.cos(turn) * layout.across + high * np.sin(turn) * layout.up
