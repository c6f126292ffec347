"""VGG16's convolutions (Simonyan and Zisserman, 2015) in torchvision's layout: pictures to ImageNet features of four depths."""

from collections.abc import Mapping

from torch import Tensor, nn

from rupantara.models.tapped import TappedConvolutions

WIDTHS = (64, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512)
"""Convolutions' channels and pools, up to the deepest tap."""

TAPS = (3, 8, 15, 22)
"""Layers whose outputs are tapped: relu1_2, relu2_2, relu3_3, relu4_3, as Johnson et al. (2016) take them."""


class VGG16(TappedConvolutions):
    """`Images` of any size -> features; 7.6 M parameters."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        previous = 3
        for width in WIDTHS:
            if isinstance(width, str):
                layers.append(nn.MaxPool2d(2))
            else:
                layers += [nn.Conv2d(previous, width, 3, padding=1), nn.ReLU()]
                previous = width
        super().__init__(layers, TAPS)


def from_published(state: Mapping[str, Tensor]) -> VGG16:
    """Build the network from torchvision's `vgg16` file; raise RuntimeError for a name or shape that does not fit."""
    model = VGG16()
    model.load_published(state)
    return model
