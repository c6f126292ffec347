"""Seamless cloning by the discrete sine transform (Pérez, Gangnet and Blake, "Poisson Image Editing", 2003).

The equation that `cv2.seamlessClone` (NORMAL_CLONE) solves, with the same discretisation and the same boundary (the bounding
box of the mask), so that the pictures agree within a grey level, for masks of 255 that keep off the picture's border. One real
transform each way makes it several times faster.
"""

import cv2
import numpy as np
from scipy.fft import dstn, idstn

from rupantara.types import Gray, Picture

ERODE_STEPS = 3
"""3 x 3 erosions of the mask before gradients are chosen, as OpenCV has it: no gradient straddles the mask's edge."""


def bounding_box(mask: Gray) -> tuple[int, int, int, int]:
    """Return x, y, width, height of the mask's pixels above 0; raise ValueError when there are none or the box is too thin."""
    x, y, width, height = cv2.boundingRect(mask)
    if width < 3 or height < 3:
        raise ValueError(f"mask must cover at least 3 x 3 pixels, got {width} x {height}")
    return x, y, width, height


def seamless_clone(source: Picture, target: Picture, mask: Gray) -> Picture:
    """Put `source` where `mask` is above 0 into `target` by its gradients; all three have one height and width.

    Inside the mask's bounding box the result has the source's gradients under the mask and the target's elsewhere; on the
    box's border and outside it is the target. Raise ValueError for a mask without an inside.
    """
    if source.shape != target.shape or mask.shape != target.shape[:2]:
        raise ValueError(
            f"source, target and mask must have one size, got {source.shape}, {target.shape}, {mask.shape}"
        )
    x, y, width, height = bounding_box(mask)
    box = (slice(y, y + height), slice(x, x + width))
    inside = (mask > 0).astype(np.uint8)
    kept = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=ERODE_STEPS)[box][..., None]
    below = target[box].astype(np.float32)
    # Pixels of the source outside the mask are black to OpenCV; their gradients are never chosen.
    above = source[box].astype(np.float32) * inside[box][..., None]
    right = np.where(kept, _forward(above, 1), _forward(below, 1))
    down = np.where(kept, _forward(above, 0), _forward(below, 0))
    divergence = (right[1:-1, 1:-1] - right[1:-1, :-2]) + (down[1:-1, 1:-1] - down[:-2, 1:-1])
    solved = solve_dirichlet(divergence, below)
    result = target.copy()
    result[box][1:-1, 1:-1] = np.clip(solved + 0.5, 0, 255).astype(np.uint8)
    return result


def _forward(image: np.ndarray, axis: int) -> np.ndarray:
    """Return forward differences along an axis, 0 at its end."""
    out = np.zeros_like(image)
    if axis:
        np.subtract(image[:, 1:], image[:, :-1], out=out[:, :-1])
    else:
        np.subtract(image[1:], image[:-1], out=out[:-1])
    return out


def solve_dirichlet(divergence: np.ndarray, border: np.ndarray) -> np.ndarray:
    """Solve the five-point Laplace(u) = divergence [h - 2, w - 2, c] with u = `border` [h, w, c] on the frame.

    Returns the inside of u [h - 2, w - 2, c]. The sine transform (DST-I) diagonalises the operator: its eigenvalues are
    2 cos(pi i / (h - 1)) - 2 + 2 cos(pi j / (w - 1)) - 2.
    """
    right = divergence.copy()
    right[0] -= border[0, 1:-1]
    right[-1] -= border[-1, 1:-1]
    right[:, 0] -= border[1:-1, 0]
    right[:, -1] -= border[1:-1, -1]
    spectrum = dstn(right, type=1, axes=(0, 1))
    rows, columns = (2 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1)) - 2 for n in right.shape[:2])
    spectrum /= (rows[:, None] + columns[None, :])[..., None].astype(spectrum.dtype)
    return idstn(spectrum, type=1, axes=(0, 1), overwrite_x=True)
