"""A canvas in face units: every point is turned with the head, placed by one similarity, and drawn anti-aliased."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.synthetic.shapes import Outline

SUPERSAMPLE = 2
SHIFT = 5
"""Fractional bits of the coordinates given to OpenCV's rasteriser."""
NEUTRAL = 128
"""The texture layer's value that leaves a pixel as it is; the layer multiplies the picture by value / NEUTRAL."""

Colour = np.ndarray
"""Float array [3], RGB, 0 to 255."""
ColourLike = Sequence[float] | np.ndarray
"""A colour as an array or as three numbers."""


def mix(a: ColourLike, b: ColourLike, share: float) -> Colour:
    """Return the colour `share` of the way from `a` to `b`."""
    return np.asarray(a, np.float64) * (1 - share) + np.asarray(b, np.float64) * share


@dataclass(frozen=True)
class View:
    """Where the head stands in the picture and how it is turned.

    A face unit is the distance between the eye centres of a frontal face; the origin lies between the eyes.
    """

    scale_px: float
    """Pixels of one face unit."""
    roll: float
    """Rotation in the picture plane in radians, clockwise on screen."""
    origin_px: tuple[float, float]
    """Where the origin falls; pixel centres lie at whole numbers."""
    yaw: float = 0.0
    """Turn to the picture's right, in radians."""
    pitch: float = 0.0
    """Nod downwards, in radians."""
    head: tuple[float, float] = (1.2, 1.8)
    """Half width and half height of the head, over which its depth falls to nothing."""

    def place(self, points: Outline, lift: float | np.ndarray = 0.0) -> Outline:
        """Carry face units to picture pixels; `lift` is how far the points stand out of the head's surface."""
        p = np.asarray(points, np.float64).reshape(-1, 2)
        radius2 = ((p / self.head) ** 2).sum(axis=1)
        depth = 0.8 * np.maximum(0.0, 1.0 - radius2) + lift
        x = p[:, 0] * np.cos(self.yaw) + depth * np.sin(self.yaw)
        y = p[:, 1] * np.cos(self.pitch) + depth * np.sin(self.pitch)
        cos, sin = np.cos(self.roll), np.sin(self.roll)
        return self.scale_px * np.stack([x * cos - y * sin, x * sin + y * cos], axis=1) + self.origin_px


class Canvas:
    """Draws shapes given in face units over a background; a texture layer of hair and creases multiplies it."""

    def __init__(self, view: View, background: np.ndarray) -> None:
        """Start from `background`, uint8 RGB [size, size, 3]."""
        self.view = view
        self.size = background.shape[0]
        side = self.size * SUPERSAMPLE
        self.pixels = cv2.resize(background, (side, side), interpolation=cv2.INTER_LINEAR)
        self.texture = np.full((self.size, self.size), NEUTRAL, np.uint8)

    def fill(self, outline: Outline, colour: ColourLike, lift: float = 0.0) -> None:
        """Fill a polygon, wiping the texture under it."""
        placed = self.view.place(outline, lift)
        cv2.fillPoly(self.pixels, [_fixed(_fine(placed))], _rgb(colour), cv2.LINE_AA, SHIFT)
        cv2.fillPoly(self.texture, [_fixed(placed)], NEUTRAL, cv2.LINE_AA, SHIFT)

    def line(self, path: Outline, colour: ColourLike, width: float, lift: float = 0.0, closed: bool = False) -> None:
        """Draw a line `width` face units thick."""
        thickness = max(1, round(width * self.view.scale_px * SUPERSAMPLE))
        placed = _fixed(_fine(self.view.place(path, lift)))
        cv2.polylines(self.pixels, [placed], closed, _rgb(colour), thickness, cv2.LINE_AA, SHIFT)

    def soft(
        self,
        outline: Outline,
        colour: ColourLike,
        alpha: float,
        blur: float,
        lift: float = 0.0,
        within: Outline | None = None,
    ) -> None:
        """Blend a blurred polygon in; `blur` in face units, `alpha` 0 to 1, nothing outside the polygon `within`."""
        sigma = max(0.5, blur * self.view.scale_px)
        placed = self.view.place(outline, lift)
        low = np.clip(np.floor(placed.min(axis=0) - 2 * sigma), 0, self.size).astype(int)
        high = np.clip(np.ceil(placed.max(axis=0) + 2 * sigma) + 1, 0, self.size).astype(int)
        if (high <= low).any():
            return
        mask = _mask(placed - low, high - low)
        kernel = 2 * int(sigma) + 1
        mask = cv2.blur(cv2.blur(mask, (kernel, kernel)), (kernel, kernel))
        if within is not None:
            mask = cv2.min(mask, _mask(self.view.place(within) - low, high - low))
        self._blend(low, high, mask, colour, alpha)

    def strokes(
        self, starts: Outline, ends: Outline, rng: np.random.Generator, strength: float, width_px: int = 1
    ) -> None:
        """Draw short hairs on the texture layer, darkening and lightening by up to `strength`."""
        placed = _fixed(np.stack([self.view.place(starts), self.view.place(ends)], axis=1).reshape(-1, 2))
        hairs = placed.reshape(-1, 2, 2)
        for level, part in zip((-1.0, -0.5, 0.6, 1.0), np.array_split(rng.permutation(len(hairs)), 4), strict=True):
            grey = NEUTRAL * (1 + strength * level)
            cv2.polylines(self.texture, list(hairs[part]), False, grey, width_px, cv2.LINE_AA, SHIFT)

    def crease(self, path: Outline, strength: float, width: float, lift: float = 0.0) -> None:
        """Darken a line by the share `strength`: a fold of skin, a shadow under a lid."""
        thickness = max(1, round(width * self.view.scale_px))
        placed = _fixed(self.view.place(path, lift))
        cv2.polylines(self.texture, [placed], False, NEUTRAL * (1 - strength), thickness, cv2.LINE_AA, SHIFT)

    def finish(self) -> np.ndarray:
        """Return the picture as float32 RGB [size, size, 3], 0 to about 255, the texture layer multiplied in."""
        small = cv2.resize(self.pixels, (self.size, self.size), interpolation=cv2.INTER_AREA)
        return cv2.multiply(small, cv2.merge([self.texture] * 3), scale=1 / NEUTRAL, dtype=cv2.CV_32F)

    def _blend(self, low: np.ndarray, high: np.ndarray, mask: np.ndarray, colour: ColourLike, alpha: float) -> None:
        (left, top), (right, bottom) = low * SUPERSAMPLE, high * SUPERSAMPLE
        region = self.pixels[top:bottom, left:right]
        weight = cv2.resize(mask, (right - left, bottom - top)).astype(np.float32) * (alpha / 255)
        flat = np.empty_like(region)
        flat[:] = _rgb(colour)
        region[:] = cv2.blendLinear(flat, region, weight, 1 - weight)


def _mask(outline: Outline, extent: np.ndarray) -> np.ndarray:
    mask = np.zeros((extent[1], extent[0]), np.uint8)
    return cv2.fillPoly(mask, [_fixed(outline)], 255, cv2.LINE_AA, SHIFT)


def _fine(placed: Outline) -> Outline:
    """Carry picture pixels to supersampled ones, whose centres also lie at whole numbers."""
    return (placed + 0.5) * SUPERSAMPLE - 0.5


def _fixed(placed: Outline) -> np.ndarray:
    return np.round(placed * (1 << SHIFT)).astype(np.int32)


def _rgb(colour: ColourLike) -> tuple[float, ...]:
    return tuple(float(c) for c in np.clip(colour, 0, 255))
