"""Structural loss: one less SSIM (Wang et al., 2004), at every fourth position of the window."""

import torch
from torch import Tensor

from rupantara.tensors import Images

WINDOW = 11
SIGMA = 1.5
STRIDE = 4
"""Windows overlap by two thirds even so, and the loss costs a sixteenth."""


def structural_distance(images: Images, targets: Images) -> Tensor:
    """Return 1 - SSIM of each picture, 0 = equal, at most 2: [batch].

    Gaussian window of 11 pixels, sigma 1.5, constants 0.01 and 0.03 as in the paper, each colour by itself, whole windows
    only. Means and variances are taken in float32 by two products with a banded matrix, which a CPU multiplies faster than it
    slides. Raise ValueError for pictures smaller than the window.
    """
    # The measure is of light, from 0: on [-1, 1] a mean grey would have none.
    # Of twice the light, with four times the constants, it is the same and needs no division of whole pictures.
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
