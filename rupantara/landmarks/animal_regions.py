"""The part boxes of an animal's head from its six points, in size and turn.

Lengths are in units of u, the mean of the eyes' distance and 1.3 times the distance from their middle to the nose: a long muzzle
with close eyes and a short one with wide eyes get regions of like area.
"""

import numpy as np

from rupantara.types import SixPoints

MUZZLE = 1.3
"""Eyes' distance over the distance from their middle to the nose, of a head of the usual shape (template of `landmarks.align`)."""

EAR_BASE = 0.35
"""How far from eye to tip a standing ear begins."""


def boxes_from_six(points: SixPoints) -> np.ndarray:
    """Return x0 y0 x1 y1 of eyes, nose, mouth, left ear, right ear and forehead [6, 4] in the units of the points.

    Eyes and nose must be seen. A hidden mouth is taken below the nose, a hidden ear as the mirror image of the other, or where
    most animals have it.
    """
    frame = Frame(points)
    mouth = points[3] if np.isfinite(points[3]).all() else frame.at(points[2], 0.0, 0.4)
    tips = [frame.tip(side, points) for side in (0, 1)]
    height = np.clip(np.mean([frame.up(tip) for tip in tips]), 0.85, 1.3)
    return np.array(
        [
            frame.box(points[:2], 0.46, 0.32, 0.46, 0.32),
            frame.box(points[2:3], 0.50, 0.44, 0.50, 0.26),
            frame.box(mouth[None], 0.68, 0.26, 0.68, 0.46),
            frame.ear(0, points[0], tips[0]),
            frame.ear(1, points[1], tips[1]),
            frame.box(frame.middle[None], 0.62, height, 0.62, -0.26),
        ],
        np.float32,
    )


class Frame:
    """The head's own axes: across from eye to eye, down at a right angle to it, and its unit of length."""

    def __init__(self, points: SixPoints) -> None:
        """Measure a head whose eyes and nose are seen."""
        across = points[1] - points[0]
        distance = max(float(np.hypot(*across)), 1e-6)
        self.across = across / distance
        self.down = np.array([-self.across[1], self.across[0]])
        self.middle = (points[0] + points[1]) / 2
        self.unit = (distance + MUZZLE * abs(float((points[2] - self.middle) @ self.down))) / 2

    def at(self, origin: np.ndarray, right: float, down: float) -> np.ndarray:
        """Return the point so many units to the right of another and below it."""
        return origin + self.unit * (right * self.across + down * self.down)

    def up(self, point: np.ndarray) -> float:
        """Return how many units above the eyes a point lies."""
        return float((self.middle - point) @ self.down) / self.unit

    def box(self, points: np.ndarray, left: float, up: float, right: float, down: float) -> np.ndarray:
        """Return the upright box around the turned one that holds points and margins, in units."""
        axes = np.stack([self.across, self.down])
        own = points @ axes.T
        low = own.min(0) - self.unit * np.array([left, up])
        high = own.max(0) + self.unit * np.array([right, down])
        corners = np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])]) @ axes
        return np.concatenate([corners.min(0), corners.max(0)])

    def tip(self, side: int, points: SixPoints) -> np.ndarray:
        """Return an ear's tip."""
        if np.isfinite(points[4 + side]).all():
            return points[4 + side]
        other = points[5 - side] - self.middle
        if np.isfinite(other).all():
            return self.middle + other - 2 * (other @ self.across) * self.across
        return self.at(points[side], (-0.7, 0.7)[side], -1.45)

    def ear(self, side: int, eye: np.ndarray, tip: np.ndarray) -> np.ndarray:
        """Return the box of an ear that stands, from where it begins up to its tip, or that hangs beside the eye."""
        outward = (-1.0, 1.0)[side]
        standing = float((eye - tip) @ self.down) > 0.15 * self.unit
        base = eye + EAR_BASE * (tip - eye) if standing else self.at(eye, 0.7 * outward, -0.55)
        inner, outer = (0.30, 0.20) if standing else (0.15, 0.25)
        margins = (outer, 0.12, inner, 0.12) if side == 0 else (inner, 0.12, outer, 0.12)
        return self.box(np.stack([tip, base]), *margins)
