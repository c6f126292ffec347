"""Divergence of a batch of codes from the standard normal (`002_…`, 3.5, second loss)."""

import torch
from torch import Tensor

LEAST_VARIANCE = 1e-4


def normality(codes: Tensor, live: Tensor | None = None) -> Tensor:
    """Return KL(N(m, v) || N(0, I)) in nats of the batch's mean and variance of each number, summed over the numbers: a scalar.

    The paper's f is deterministic, so its distribution is that of the batch; a single code has none. Numbers that `live` [...] names
    False, which say nothing, do not count. ValueError for fewer than 2 rows.
    """
    if len(codes) < 2:
        raise ValueError(f"a distribution needs at least 2 rows, got {len(codes)}")
    mean, variance = codes.mean(0), codes.var(0).clamp(min=LEAST_VARIANCE)
    nats = (mean.square() + variance - 1 - variance.log()) / 2
    return nats.sum() if live is None else torch.where(live, nats, 0.0).sum()
