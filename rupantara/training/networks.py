"""Frozen networks of a weights folder, as losses take them."""

import logging
from dataclasses import replace

import torch

from rupantara.errors import UserError
from rupantara.models.pretrained import PERCEPTUAL, load_embed, load_features
from rupantara.storage import weights
from rupantara.training.region_vae import Networks, RegionVAEObjective

log = logging.getLogger(__name__)
AUTO = -1.0
"""Weight of a loss that stands for AUTO_WEIGHT where the folder has its network, else for 0."""
AUTO_WEIGHT = 0.02


def resolve(objective: RegionVAEObjective, folder: str, perceptual: str) -> RegionVAEObjective:
    """Resolve weights that are AUTO, and log which losses are off because their networks are not there.

    UserError for a negative weight, or where a loss is on and there is no folder.
    """
    files = {"perceptual_weight": perceptual, "identity_weight": "mobilefacenet"}
    resolved: dict[str, float] = {}
    for name, file in files.items():
        weight, there = getattr(objective, name), weights.has(folder, file)
        if weight != AUTO and not weight >= 0:
            raise UserError(f"--{name.replace('_', '-')} must not be negative, got {weight:g}")
        if weight == AUTO and not there:
            log.info("%s loss is off: it needs %s in --weights", name.removesuffix("_weight"), file)
        resolved[name] = (AUTO_WEIGHT if there else 0.0) if weight == AUTO else weight
    if max(resolved.values()) > 0 and not folder:
        raise UserError(
            "--perceptual-weight and --identity-weight above 0 need --weights, the folder of their networks"
        )
    return replace(objective, **resolved)


def wanted(objective: RegionVAEObjective, perceptual: str) -> tuple[str, ...]:
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
