"""The e4e encoder (Tov et al., "Designing an Encoder for StyleGAN Image Manipulation", 2021): a face to W+, 18 x 512.

An IR-SE50 body gives three maps; eighteen small heads read them, coarse to fine; the first head's code is the base and the
others are offsets from it. The layout and names are those of the published `e4e_ffhq_encode.pt`, whose `encoder.` part loads.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE, NUM_STYLES, DIM = 256, 18, 512
COARSE_UNTIL, MIDDLE_UNTIL = 3, 7
"""Heads below the first read the 16 x 16 map, below the second the 32 x 32 map, the others the 64 x 64 map."""

UNITS = ((64, 64, 3), (64, 128, 4), (128, 256, 14), (256, 512, 3))
"""(channels in, channels out, blocks) of each stage of IR-SE50; the first block of a stage halves the sides."""

TAPS = (6, 20, 23)
"""Blocks after which the 64 x 64, 32 x 32 and 16 x 16 maps are taken."""


class SEModule(nn.Module):
    """Squeeze and excitation: scale channels by what their means say."""

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // reduction, 1, bias=False)
        self.fc2 = nn.Conv2d(channels // reduction, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled channels."""
        return x * torch.sigmoid(self.fc2(torch.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))))


class SqueezedResidual(nn.Module):
    """Improved residual block with squeeze and excitation."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        projected = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.shortcut_layer = nn.MaxPool2d(1, stride) if inside == out else projected
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(inside),
            nn.Conv2d(inside, out, 3, 1, 1, bias=False),
            nn.PReLU(out),
            nn.Conv2d(out, out, 3, stride, 1, bias=False),
            nn.BatchNorm2d(out),
            SEModule(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        return self.res_layer(x) + self.shortcut_layer(x)


class EqualLinear(nn.Module):
    """StyleGAN's linear layer: weights are stored at unit variance and scaled when used."""

    def __init__(self, inside: int, out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inside))
        self.bias = nn.Parameter(torch.zeros(out))

    def forward(self, x: Tensor) -> Tensor:
        """Return the layer's output."""
        return F.linear(x, self.weight * self.weight.shape[1] ** -0.5, self.bias)


class GradualStyleBlock(nn.Module):
    """Halve a map until one pixel is left, and read a style from it."""

    def __init__(self, spatial: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(spatial.bit_length() - 1):
            layers += [nn.Conv2d(DIM, DIM, 3, 2, 1), nn.LeakyReLU()]
        self.convs = nn.Sequential(*layers)
        self.linear = EqualLinear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        """Return the style [batch, 512]."""
        return self.linear(self.convs(x).flatten(1))


class E4EEncoder(nn.Module):
    """RGB faces aligned as FFHQ's [batch, 3, 256, 256] in [-1, 1] -> W+ codes [batch, 18, 512]."""

    latent_avg: Tensor

    def __init__(self, num_styles: int = NUM_STYLES) -> None:
        """Build for a generator of so many styles: 18 at 1024, two fewer with each halving."""
        super().__init__()
        self.register_buffer("latent_avg", torch.zeros(num_styles, DIM))
        self.input_layer = nn.Sequential(nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64))
        blocks = [SqueezedResidual(i if b == 0 else o, o, 2 if b == 0 else 1) for i, o, n in UNITS for b in range(n)]
        self.body = nn.Sequential(*blocks)
        spatial = [16 if i < COARSE_UNTIL else 32 if i < MIDDLE_UNTIL else 64 for i in range(num_styles)]
        self.styles = nn.ModuleList(GradualStyleBlock(side) for side in spatial)
        self.latlayer1 = nn.Conv2d(256, DIM, 1)
        self.latlayer2 = nn.Conv2d(128, DIM, 1)

    def forward(self, faces: Tensor) -> Tensor:
        """Encode faces; the mean code of StyleGAN is added."""
        x, maps = self.input_layer(faces), []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in TAPS:
                maps.append(x)
        fine, middle, coarse = maps
        middle = _add_upsampled(coarse, self.latlayer1(middle))
        fine = _add_upsampled(middle, self.latlayer2(fine))
        read = [coarse if i < COARSE_UNTIL else middle if i < MIDDLE_UNTIL else fine for i in range(len(self.styles))]
        styles = torch.stack([head(found) for head, found in zip(self.styles, read, strict=True)], dim=1)
        base = styles[:, :1]
        return torch.cat([base, base + styles[:, 1:]], dim=1) + self.latent_avg


def _add_upsampled(small: Tensor, large: Tensor) -> Tensor:
    return F.interpolate(small, size=large.shape[2:], mode="bilinear", align_corners=True) + large


def from_published(state: Mapping[str, Tensor], latent_avg: Tensor) -> E4EEncoder:
    """Build the encoder from the `state_dict` and `latent_avg` of `e4e_ffhq_encode.pt`; the decoder in it is left aside.

    `latent_avg` is [18, 512], or [512] for all styles; of a smaller generator there are fewer styles. Raise RuntimeError for names
    or shapes that do not fit.
    """
    tensors = {name.removeprefix("encoder."): t for name, t in state.items() if name.startswith("encoder.")}
    tensors = {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}
    num_styles = len({name.split(".")[1] for name in tensors if name.startswith("styles.")}) or NUM_STYLES
    with torch.device("meta"):
        model = E4EEncoder(num_styles)
    # Taken over as they are: a quarter of a billion random numbers need not be drawn and thrown away.
    model.load_state_dict({**tensors, "latent_avg": latent_avg.expand(num_styles, DIM).clone()}, assign=True)
    return model.eval().requires_grad_(False)
