"""Less noise, more edge: the bilateral filter and the unsharp mask."""

from dataclasses import dataclass

import cv2
import numpy as np

from rupantara.imaging.parameters import odd, ranged
from rupantara.types import Pictures


@dataclass(frozen=True)
class Bilateral:
    """Average each pixel with its neighbours of like colour (C. Tomasi and R. Manduchi, ICCV 1998).

    `sigma_color` 0 changes nothing.
    """

    diameter: int = odd(5, 3, 31)
    """Side of the neighbourhood, px; 5 is what OpenCV's manual advises where time counts."""
    sigma_color: float = ranged(25.0, 0, 255)
    """Difference of colour (sum over the channels, levels) at which a neighbour's weight has fallen to 0.61."""
    sigma_space: float = ranged(2.0, 0.1, 100)
    """Distance at which it has, px."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the smoothed pictures."""
        out = pictures.copy()
        # OpenCV takes a sigma of 0 for 1.
        for i, picture in enumerate(pictures if self.sigma_color else ()):
            cv2.bilateralFilter(picture, self.diameter, self.sigma_color, self.sigma_space, dst=out[i])
        return out


@dataclass(frozen=True)
class Unsharp:
    """Add what a Gaussian blur takes away: I + amount (I - blurred); `amount` 0 changes nothing."""

    amount: float = ranged(0.6, 0, 10)
    """How much of the difference is added."""
    sigma: float = ranged(1.5, 0.1, 50)
    """Standard deviation of the blur, px."""

    def __call__(self, pictures: Pictures) -> Pictures:
        """Return the sharpened pictures."""
        out = np.empty_like(pictures)
        for i, picture in enumerate(pictures):
            blurred = cv2.GaussianBlur(picture, (0, 0), self.sigma)
            cv2.addWeighted(picture, 1 + self.amount, blurred, -self.amount, 0, dst=out[i])
        return out
