"""Structural loss: 1 minus SSIM (Wang et al., 2004), at every fourth position of the window."""

import torch
from torch import Tensor

from rupantara.tensors import Images

WINDOW = 11
SIGMA = 1.5
STRIDE = 4
"""At this stride, windows still overlap by two thirds, and the loss costs a sixteenth."""


def structural_distance(images: Images, targets: Images) -> Tensor:
    """Return 1 - SSIM of each picture, 0 = equal, at most 2: [batch].

    The Gaussian window has 11 pixels and sigma 1.5, the constants are the paper's 0.01 and 0.03, each colour counts by itself, and
    only whole windows are used. Means and variances are computed in float32 by two products with a banded matrix, which is faster
    on a CPU than a sliding window. Raise ValueError for pictures smaller than the window.
    """
    # SSIM needs values from 0 on: on [-1, 1], mid grey would have no luminance.
    # Twice the range with four times the constants gives the same value, and saves a division of whole pictures.
    a, b = images.float() + 1, targets.float() + 1
    with torch.autocast(a.device.type, enabled=False):
        rows, columns = (_windows(side, a.device) for side in a.shape[-2:])
        mean_a, mean_b, aa, bb, ab = (rows @ x @ columns.T for x in (a, b, a * a, b * b, a * b))
    c1, c2 = 0.02**2, 0.06**2
    var_a, var_b, both = aa - mean_a**2, bb - mean_b**2, ab - mean_a * mean_b
    light = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    structure = (2 * both + c2) / (var_a + var_b + c2)
    return 1 - (light * structure).flatten(1).mean(1)


def _windows(side: int, device: torch.device) -> Tensor:
    """Return the windows' weights along one side: [positions, side]."""
    if side < WINDOW:
        raise ValueError(f"pictures must have sides of at least {WINDOW} pixels, got {side}")
    offsets = torch.arange(WINDOW, device=device) - (WINDOW - 1) / 2
    weights = torch.exp(-(offsets**2) / (2 * SIGMA**2))
    starts = torch.arange(0, side - WINDOW + 1, STRIDE, device=device)
    out = torch.zeros(len(starts), side, device=device)
    columns = starts[:, None] + torch.arange(WINDOW, device=device)
    return out.scatter_(1, columns, (weights / weights.sum()).expand(len(starts), -1))
