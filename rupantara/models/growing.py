"""Turns a trained region VAE into one of twice the side (progressive growing, Karras et al., 2018), which starts where the first ended.

The new one may also have `region_context`, which adds nothing at first.
"""

from dataclasses import replace

import torch
from torch import Tensor

from rupantara.models.region_vae import RegionVAE, RegionVAEConfig


def fits(trained: RegionVAEConfig, wanted: RegionVAEConfig) -> bool:
    """Tell whether `grow` can turn the first into the second: sizes are equal, or size and stem are doubled."""
    trained = replace(trained, region_context=trained.region_context or wanted.region_context)
    return wanted in (trained, replace(trained, size=2 * trained.size, stem=2 * trained.stem))


def grow(trained: RegionVAE, config: RegionVAEConfig) -> dict[str, Tensor]:
    """Return the weights of a model of `config`: at first it sees pictures halved, and what it paints over the linear path is doubled.

    Only the first and the last convolution depend on the side; every other weight stays. Raise ValueError where `fits` is false.
    """
    if not fits(trained.config, config):
        raise ValueError(f"cannot grow size {trained.config.size} into {config}")
    weights = trained.state_dict()
    if config.size != trained.config.size:
        weights = dict(_grown(name, value, trained.config.stem) for name, value in weights.items())
    if config.region_context and not trained.config.region_context:
        with torch.device("meta"):
            shapes = {name: value.shape for name, value in RegionVAE(config).state_dict().items()}
        weights |= {name: torch.zeros(shapes[name]) for name in shapes.keys() - weights.keys()}
    return weights


def _grown(name: str, value: Tensor, stem: int) -> tuple[str, Tensor]:
    """Return a weight's name and value in the grown model."""
    before, found, after = name.partition(".global_encoder.stages.")
    if found:
        number, _, kind = after.partition(".")
        if (number, kind) == ("0", "weight"):
            # The folded channels of a pixel are its colour's parts: their mean is what the halved picture had.
            value = value.repeat_interleave(stem**2, dim=1) / stem**2
        return f"{before}{found}{int(number) + 1}.{kind}", value
    if ".decoder.out.2." in name:
        parts = value.unflatten(0, (4, stem, stem))
        value = parts.repeat_interleave(2, dim=1).repeat_interleave(2, dim=2).flatten(0, 2)
    return name, value
