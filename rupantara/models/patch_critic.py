"""A patch critic (Isola et al., 2017): a score for each patch of a picture, convolutions kept 1-Lipschitz by spectral norm."""

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from rupantara.tensors import Images


class PatchCritic(nn.Module):
    """`Images` -> scores [batch, 1, side / 8, side / 8]; a score sees 54 pixels."""

    def __init__(self, channels: tuple[int, ...] = (32, 64, 128)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for width in channels:
            layers += [spectral_norm(nn.Conv2d(previous, width, 4, 2, 1)), nn.LeakyReLU(0.2)]
            previous = width
        layers += [
            spectral_norm(nn.Conv2d(previous, previous, 3, 1, 1)),
            nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(previous, 1, 3, 1, 1)),
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Images) -> Tensor:
        """Score the patches; higher is more like a photograph."""
        return self.layers(images)
