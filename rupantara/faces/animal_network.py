"""The file of the animals' landmark network: safetensors in half precision, normalisations folded into the convolutions when read."""

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from rupantara.errors import UserError
from rupantara.models.animal_landmarks import AnimalLandmarks

MODEL_TYPE = "animal_landmarks"
"""Schema name of the checkpoint's manifest, and `model_type` of its config.json."""


def load_network(data: bytes) -> AnimalLandmarks:
    """Read the network, ready to run; raise UserError for a file that is not its."""
    network = AnimalLandmarks().eval()
    try:
        state = load(data)
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        )
    except (SafetensorError, RuntimeError) as error:
        raise UserError(
            f"the animals' landmark network must be its safetensors file, got {str(error)[:200]}"
        ) from error
    return fuse(network)


def save_network(network: AnimalLandmarks) -> bytes:
    """Write a network's tensors in half precision."""
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    return save({name: value.contiguous() for name, value in state.items()})


@torch.no_grad()
def fuse(network: AnimalLandmarks) -> AnimalLandmarks:
    """Fold each normalisation into the convolution before it, in place; the answers stay the same."""
    for block in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for i in range(len(block) - 1):
            convolution, norm = block[i], block[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                block[i], block[i + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network
