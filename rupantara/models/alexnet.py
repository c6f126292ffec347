"""AlexNet's convolutions (Krizhevsky, 2014) in torchvision's layout: ImageNet features of five depths."""

from collections.abc import Mapping

from torch import Tensor, nn

from rupantara.models.tapped import TappedConvolutions

TAPS = (1, 4, 7, 9, 11)
"""Layers whose outputs are tapped: every rectified convolution, as LPIPS takes them."""


class AlexNet(TappedConvolutions):
    """`Images` of at least 64 px -> features; 2.5 M parameters."""

    def __init__(self) -> None:
        layers = [nn.Conv2d(3, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        layers += [nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)]
        for before, after in ((192, 384), (384, 256), (256, 256)):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.ReLU()]
        super().__init__(layers, TAPS)


def from_published(state: Mapping[str, Tensor]) -> AlexNet:
    """Build the network from torchvision's `alexnet` file; raise RuntimeError for a name or shape that does not fit."""
    model = AlexNet()
    model.load_published(state)
    return model
