"""Exponential moving average of weights (Polyak), what is validated and kept."""

import torch
from torch import nn


@torch.no_grad()
def update_ema(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move the average towards the model; the first steps use a shorter memory, min(decay, (1 + step) / (10 + step))."""
    now = min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - now)
    for kept, live in zip(average.buffers(), model.buffers(), strict=True):
        kept.copy_(live)
