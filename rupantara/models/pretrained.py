"""Frozen networks of a weights folder: features of ImageNet, and the network of identity."""

import io

import torch
from safetensors.torch import load as load_tensors

from rupantara.errors import UserError
from rupantara.models import alexnet, dlib_identity, mobilefacenet, squeezenet, vgg16
from rupantara.models.tapped import TappedConvolutions
from rupantara.storage import weights

PERCEPTUAL = ("squeezenet", "vgg16", "vgg16_features", "alexnet", "alexnet_features")


def load_features(folder: str, name: str) -> squeezenet.SqueezeNet | TappedConvolutions:
    """Load a network of ImageNet features, SqueezeNet from what ships where the folder has none; MissingError says how to come by VGG16."""
    if name not in PERCEPTUAL:
        raise UserError(f"the perceptual network must be one of {', '.join(PERCEPTUAL)}, got {name!r}")
    if name in ("vgg16", "alexnet"):
        data = io.BytesIO(weights.load(folder, name))
        state = torch.load(data, map_location="cpu", weights_only=True)
        model = (vgg16 if name == "vgg16" else alexnet).from_published(state)
    elif name in ("vgg16_features", "alexnet_features"):
        stored = {key: value.float() for key, value in load_tensors(weights.load(folder, name)).items()}
        model = (vgg16 if name.startswith("vgg16") else alexnet).from_published(stored)
    else:
        model = squeezenet.from_published(weights.arrays(folder, name))
    # Twice as fast on a CPU in bfloat16: its maximum pools are slow otherwise.
    return model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]


def load_embed(folder: str) -> mobilefacenet.MobileFaceNet:
    """Load the identity network."""
    return mobilefacenet.from_published(weights.arrays(folder, "mobilefacenet"))


def load_dlib_identity(folder: str) -> dlib_identity.DlibIdentity:
    """Load the identity network that ships."""
    model = dlib_identity.from_published(weights.arrays(folder, "face_recognition"))
    return model.to(memory_format=torch.channels_last)  # ty: ignore[no-matching-overload]
