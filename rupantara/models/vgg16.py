"""VGG16's convolutions (Simonyan and Zisserman, 2015) in torchvision's layout: pictures to ImageNet features of four depths."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from rupantara.tensors import Images

WIDTHS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
"""Convolutions' channels and pools, up to the deepest tap."""

TAPS = (3, 8, 15, 22)
"""Layers whose outputs are tapped: relu1_2, relu2_2, relu3_3, relu4_3, as Johnson et al. (2016) take them."""

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1], which torchvision's weights want subtracted and divided by."""


class VGG16(nn.Module):
    """`Images` of any size -> features; 7.6 M parameters."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for width in WIDTHS:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(previous, width, 3, padding=1), nn.ReLU()]
                previous = width
        self.layers = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def features(self, images: Images, depths: int = len(TAPS)) -> list[Tensor]:
        """Return the activations of the first so many of the four depths [batch, channels, height, width], finest first."""
        x, out = ((images + 1) / 2 - self.mean) / self.std, []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in TAPS:
                out.append(x)
            if len(out) == depths:
                break
        return out


def from_published(state: Mapping[str, Tensor]) -> VGG16:
    """Build the network from torchvision's `vgg16` file; raise RuntimeError for a name or shape that does not fit."""
    model = VGG16()
    known = {name.removeprefix("layers.") for name in model.layers.state_dict()}
    model.layers.load_state_dict({k.removeprefix("features."): v for k, v in state.items() if k[9:] in known})
    return model.eval().requires_grad_(False)
