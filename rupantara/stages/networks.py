"""Frozen networks of a weights folder, as losses and metrics take them."""

import io

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.models import mobilefacenet, squeezenet, vgg16
from rupantara.storage import weights
from rupantara.training.region_vae import Networks, Objective

PERCEPTUAL = ("squeezenet", "vgg16")


def load_features(folder: str, name: str) -> squeezenet.SqueezeNet | vgg16.VGG16:
    """Load a network of ImageNet features; MissingError names the command that fetches its file."""
    if name not in PERCEPTUAL:
        raise UserError(f"the perceptual network must be one of {', '.join(PERCEPTUAL)}, got {name!r}")
    data = io.BytesIO(weights.load(folder, name))
    if name == "vgg16":
        model = vgg16.from_published(torch.load(data, map_location="cpu", weights_only=True))
    else:
        model = squeezenet.from_published(np.load(data, allow_pickle=False))
    # Twice as fast on a CPU in bfloat16: its maximum pools are slow otherwise.
    return model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]


def load_embed(folder: str) -> mobilefacenet.MobileFaceNet:
    """Load the identity network."""
    data = weights.load(folder, "mobilefacenet")
    return mobilefacenet.from_published(np.load(io.BytesIO(data), allow_pickle=False))


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
