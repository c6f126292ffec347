"""StyleGAN2's generator (Karras et al., 2020), config-f or -e, up to 1024 x 1024: codes W or W+ to pictures.

What differs from the published programs: nothing compiled, noise is an argument (the stored maps where none is given, so that one
code is one picture), and styles scale activations instead of one kernel for each sample, which is the same arithmetic.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rupantara.models.stylegan2_layers import ConstantInput, EqualLinear, PixelNorm, StyledConv, ToRGB
from rupantara.tensors import Images

MAPPING_LAYERS, MAPPING_RATE = 8, 0.01
LEAST, MOST = 8, 1024


@dataclass(frozen=True)
class StyleGAN2Config:
    """Sizes; `multiplier` is of the channels above 64 x 64 (2 is config-f, 1 config-e, where it also holds at 64), `most` their limit."""

    size: int = 1024
    style_dim: int = 512
    multiplier: int = 2
    most: int = 512

    @property
    def num_layers(self) -> int:
        """Return the number of styles: two for each doubling from 4, of the input one for the convolution and one for its colours."""
        return 2 * (self.size.bit_length() - 1) - 2

    def channels(self, side: int) -> int:
        """Return the channels of the maps of a side: 512 up to 32, then 16384 x multiplier / side."""
        return min(self.most, 512 if side <= 32 else 16384 * self.multiplier // side)


def check(config: StyleGAN2Config) -> None:
    """Raise ValueError for sizes that do not fit."""
    if config.size & (config.size - 1) or not LEAST <= config.size <= MOST:
        raise ValueError(f"size must be a power of 2 from {LEAST} to {MOST}, got {config.size}")
    if min(config.style_dim, config.multiplier, config.most) < 1:
        raise ValueError(f"style_dim, multiplier and most must be at least 1, got {config}")


class StyleGAN2(nn.Module):
    """The generator: `mapping` z -> w, `forward` W+ -> pictures."""

    def __init__(self, config: StyleGAN2Config) -> None:
        """Build with random weights; ValueError for sizes that do not fit."""
        super().__init__()
        check(config)
        self.config, dim = config, config.style_dim
        mapping = [EqualLinear(dim, dim, lr_mul=MAPPING_RATE, activated=True) for _ in range(MAPPING_LAYERS)]
        self.style = nn.Sequential(PixelNorm(), *mapping)
        first = config.channels(4)
        self.input = ConstantInput(first)
        self.conv1 = StyledConv(first, first, dim)
        self.to_rgb1 = ToRGB(first, dim, upsample=False)
        self.convs, self.to_rgbs, self.noises = nn.ModuleList(), nn.ModuleList(), nn.Module()
        self.noises.register_buffer("noise_0", torch.randn(1, 1, 4, 4))
        before, side = first, 8
        while side <= config.size:
            out = config.channels(side)
            self.convs.append(StyledConv(before, out, dim, upsample=True))
            self.convs.append(StyledConv(out, out, dim))
            self.to_rgbs.append(ToRGB(out, dim))
            for _ in range(2):
                self.noises.register_buffer(f"noise_{self.num_noises}", torch.randn(1, 1, side, side))
            before, side = out, side * 2

    @property
    def num_noises(self) -> int:
        """Return the number of noise maps."""
        return len(list(self.noises.buffers()))

    def mapping(self, z: Tensor) -> Tensor:
        """Map normal vectors [batch, style_dim] to W."""
        return self.style(z)

    def fixed_noise(self) -> list[Tensor]:
        """Return the stored noise maps, coarse to fine."""
        return [self.noises.get_buffer(f"noise_{i}") for i in range(self.num_noises)]

    def draw_noise(self, generator: torch.Generator) -> list[Tensor]:
        """Draw noise maps like the stored ones."""
        return [torch.randn(one.shape, generator=generator).to(one) for one in self.fixed_noise()]

    def forward(self, styles: Tensor, noise: list[Tensor] | None = None, *, dtype: torch.dtype | None = None) -> Images:
        """Make pictures [batch, 3, size, size], about [-1, 1], of W+ [batch, num_layers, style_dim] or W [batch, style_dim].

        `dtype` is that of the maps (float32 unless told); colours are summed in float32.
        """
        if styles.ndim == 2:
            styles = styles[:, None].expand(-1, self.config.num_layers, -1)
        if styles.shape[1:] != (self.config.num_layers, self.config.style_dim):
            wanted = f"[batch, {self.config.num_layers}, {self.config.style_dim}]"
            raise ValueError(f"styles must be {wanted}, got {list(styles.shape)}")
        noise = self.fixed_noise() if noise is None else noise
        x = self.input(len(styles)).to(dtype or styles.dtype)
        x = self.conv1(x, styles[:, 0], noise[0])
        picture = self.to_rgb1(x, styles[:, 1])
        for i, to_rgb in enumerate(self.to_rgbs):
            x = self.convs[2 * i](x, styles[:, 2 * i + 1], noise[2 * i + 1])
            x = self.convs[2 * i + 1](x, styles[:, 2 * i + 2], noise[2 * i + 2])
            picture = to_rgb(x, styles[:, 2 * i + 3], picture)
        return picture


def truncate(styles: Tensor, mean: Tensor, psi: float) -> Tensor:
    """Draw codes towards the mean code by 1 - psi (the truncation trick)."""
    return mean + psi * (styles - mean)
