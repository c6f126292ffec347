"""Frozen networks of a weights folder, as losses take them."""

import torch

from rupantara.models.pretrained import PERCEPTUAL, load_embed, load_features
from rupantara.training.region_vae import Networks, Objective


def wanted(objective: Objective, perceptual: str) -> tuple[str, ...]:
    """Return the catalogue's names of the networks that an objective needs."""
    pairs = ((objective.perceptual_weight, perceptual), (objective.identity_weight, "mobilefacenet"))
    return tuple(name for weight, name in pairs if weight > 0)


def load(folder: str, names: tuple[str, ...], device: torch.device) -> Networks:
    """Load what `wanted` names onto a device."""
    features = next((name for name in names if name in PERCEPTUAL), "")
    return Networks(
        load_features(folder, features).to(device).features if features else None,
        load_embed(folder).to(device) if "mobilefacenet" in names else None,
    )
