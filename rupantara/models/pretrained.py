"""Frozen networks of a weights folder: features of ImageNet, and the network of identity."""

import io

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.models import mobilefacenet, squeezenet, vgg16
from rupantara.storage import weights

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
