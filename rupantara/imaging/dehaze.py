"""Haze removal by the dark channel (K. He, J. Sun and X. Tang, "Single Image Haze Removal Using Dark Channel Prior", CVPR 2009).

A hazy picture is I = J t + A (1 - t): the scene J, seen through a transmission t, and the light A of the air. In patches of clear
pictures some channel of some pixel is nearly dark, so what light there is in the darkest is the haze's.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.guided_filter import Plane, guided_filter
from rupantara.imaging.parameters import odd, ranged
from rupantara.types import Gray, Picture, Pictures

BRIGHTEST = 0.001
"""Share of the dark channel's brightest pixels among which the air's light is sought (section 4.4)."""


def darkest(picture: Picture, patch: int) -> Picture:
    """Return, for each channel alone, the least in the patch around each pixel; beyond the border there is nothing."""
    # OpenCV's default border of an erosion is the type's greatest value.
    return cv2.erode(picture, cv2.getStructuringElement(cv2.MORPH_RECT, (patch, patch)))


def dark_channel(least: Picture) -> Gray:
    """Return the dark channel out of `darkest` (equation 5)."""
    red, green, blue = cv2.split(least)
    return cv2.min(cv2.min(red, green), blue)


def atmospheric_light(picture: Picture, dark: Gray) -> np.ndarray:
    """Return A, RGB in 1..255: the brightest pixel among those whose dark channel is brightest (section 4.4).

    Pixels as bright in the dark channel as the last of them count too, so that the pixels' order decides nothing.
    """
    counts = cv2.calcHist([dark], [0], None, [256], [0, 256]).ravel()
    from_brightest = np.cumsum(counts[::-1])
    level = 255 - int(np.argmax(from_brightest >= max(1.0, BRIGHTEST * dark.size)))
    candidates = picture[dark >= level].astype(np.float64)
    sums = candidates.sum(axis=1)
    # Of several colours of one sum their mean; a black picture has no light, and nothing to divide by.
    return np.maximum(candidates[sums == sums.max()].mean(axis=0), 1)


def transmission(least: Picture, light: np.ndarray, omega: float) -> Plane:
    """Return the raw estimate of t, [0, 1]: 1 - omega times the dark channel of I / A (equation 12).

    Dividing by A keeps the order of levels, so that the least of the quotients is the quotient of the least, by a table.
    """
    levels = np.minimum(np.arange(256) / light[:, None], 1).astype(np.float32)
    red, green, blue = (cv2.LUT(plane, levels[c]) for c, plane in enumerate(cv2.split(least)))
    return 1 - np.float32(omega) * cv2.min(cv2.min(red, green), blue)


def recover(picture: Picture, t: Plane, light: np.ndarray, floor: float) -> Picture:
    """Return J = (I - A) / t + A with t at least `floor` (equation 16), rounded and clipped."""
    gain = 1 / np.maximum(t, np.float32(floor))
    rest = 1 - gain
    planes = [
        cv2.add(plane * gain, np.float32(a) * rest, dtype=cv2.CV_8U)
        for plane, a in zip(cv2.split(picture), light, strict=True)
    ]
    return cv2.merge(planes)


@dataclass(frozen=True)
class Dehaze:
    """Remove haze; `omega` 0 changes nothing."""

    omega: float = ranged(0.95, 0, 1)
    """Share of the haze that is taken away; the paper's 0.95 keeps a little for depth."""
    patch: int = odd(15, 1, 255)
    """Side of the dark channel's patch, px: 15 in the paper, for pictures of some 600 x 400."""
    radius: int = ranged(20, 1, 255)
    """Radius of the guided filter's window, px; 20 is that of the filter's own paper for haze."""
    epsilon: float = ranged(1e-3, 1e-6, 1)
    """Flatness of the guided filter; 1e-3 in its paper for haze."""
    floor: float = ranged(0.1, 0.01, 1)
    """Least transmission divided by (t0); 0.1 in the paper."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the pictures without their haze."""
        return np.stack([self._one(picture) for picture in pictures]) if len(pictures) else pictures.copy()

    def _one(self, picture: Picture) -> Picture:
        least = darkest(picture, self.patch)
        light = atmospheric_light(picture, dark_channel(least))
        raw = transmission(least, light, self.omega)
        guide = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) * np.float32(1 / 255)
        return recover(picture, guided_filter(guide, raw, self.radius, self.epsilon), light, self.floor)
