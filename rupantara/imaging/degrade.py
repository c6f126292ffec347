"""What a poor decoder does to a picture, drawn on a good one: a white cast and a blur. For measuring what mends them."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.parameters import ranged
from rupantara.types import Pictures


@dataclass(frozen=True)
class Cast:
    """Mix with white, everywhere alike: the haze of `dehaze` with t = 1 - whiteness and A = 255; 0 changes nothing."""

    whiteness: float = ranged(0.3, 0, 1)
    """Share of white."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the pictures under the cast."""
        levels = np.rint(np.arange(256) * (1 - self.whiteness) + 255 * self.whiteness).astype(np.uint8)
        return levels[pictures]


@dataclass(frozen=True)
class GaussianBlur:
    """Blur by a Gaussian; `sigma` 0 changes nothing."""

    sigma: float = ranged(2.0, 0, 50)
    """Standard deviation, px."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the blurred pictures."""
        out = pictures.copy()
        for i, picture in enumerate(pictures if self.sigma else ()):
            cv2.GaussianBlur(picture, (0, 0), self.sigma, dst=out[i])
        return out
