"""The layers of StyleGAN2 (Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020) in plain PyTorch 2.

Names of parameters are those of rosinality's `stylegan2-pytorch`, whose files and e4e's load as they are. No compiled extension:
styles multiply what goes in and what comes out of one shared convolution, which equals a kernel for each sample and runs on any device.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLUR = (1.0, 3.0, 3.0, 1.0)
"""The binomial filter; its outer product with itself, of sum 1, is what resampling blurs with."""

SLOPE, GAIN, EPSILON = 0.2, math.sqrt(2), 1e-8
"""Leaky ReLU's slope, what keeps its variance, and what keeps divisions finite."""


def kernel_of(taps: Sequence[float], gain: float = 1.0) -> Tensor:
    """Return the outer product of a filter with itself, of sum `gain`: [n, n]."""
    line = torch.tensor(tuple(taps))
    square = line[:, None] * line[None, :]
    return square / square.sum() * gain


def upfirdn(x: Tensor, kernel: Tensor, up: int = 1, down: int = 1, pad: tuple[int, int] = (0, 0)) -> Tensor:
    """Put `up - 1` zeros after each pixel, pad by (before, after) on both axes, convolve with a kernel and keep every `down`-th pixel."""
    batch, channels, height, width = x.shape
    if up > 1:
        x = x.view(batch, channels, height, 1, width, 1)
        x = F.pad(x, (0, up - 1, 0, 0, 0, up - 1)).view(batch, channels, height * up, width * up)
    x = F.pad(x, (pad[0], pad[1], pad[0], pad[1]))
    weight = kernel.flip(0, 1).to(x.dtype).expand(channels, 1, -1, -1)
    return F.conv2d(x, weight, stride=down, groups=channels)


def fused_leaky_relu(x: Tensor, bias: Tensor) -> Tensor:
    """Add a bias to the channels (dimension 1), then leaky ReLU times sqrt(2)."""
    return F.leaky_relu(x + bias.view(1, -1, *([1] * (x.ndim - 2))), SLOPE) * GAIN


class PixelNorm(nn.Module):
    """Scale vectors [batch, dim] to a mean square of 1."""

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled vectors."""
        return x * torch.rsqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)


class EqualLinear(nn.Module):
    """A linear layer whose weights are stored at unit variance (over `lr_mul`) and scaled when used."""

    def __init__(
        self, inside: int, out: int, *, bias: float = 0.0, lr_mul: float = 1.0, activated: bool = False
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out, inside) / lr_mul)
        self.bias = nn.Parameter(torch.full((out,), bias))
        self._scale, self._lr_mul, self._activated = lr_mul / math.sqrt(inside), lr_mul, activated

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, out]."""
        weight, bias = self.weight * self._scale, self.bias * self._lr_mul
        return fused_leaky_relu(F.linear(x, weight), bias) if self._activated else F.linear(x, weight, bias)


class Blur(nn.Module):
    """Blur what a transposed convolution made."""

    kernel: Tensor

    def __init__(self, gain: float, pad: tuple[int, int]) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel_of(BLUR, gain))
        self._pad = pad

    def forward(self, x: Tensor) -> Tensor:
        """Return the blurred maps."""
        return upfirdn(x, self.kernel, pad=self._pad)


class SkipUpsample(nn.Module):
    """Double the sides of the skip's picture."""

    kernel: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("kernel", kernel_of(BLUR, 4.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, channels, 2 h, 2 w]."""
        return upfirdn(x, self.kernel, up=2, pad=(2, 1))


class ModulatedConv2d(nn.Module):
    """A convolution whose kernels a style scales by input channel (eq. 1), and whose outputs are brought back to unit variance (eq. 3)."""

    def __init__(
        self, inside: int, out: int, side: int, style_dim: int, *, demodulate: bool = True, upsample: bool = False
    ) -> None:
        super().__init__()
        if upsample:
            self.blur = Blur(4.0, (1, 1))
        self.weight = nn.Parameter(torch.randn(1, out, inside, side, side))
        self.modulation = EqualLinear(style_dim, inside, bias=1.0)
        self._scale, self._pad = 1 / math.sqrt(inside * side**2), side // 2
        self._demodulate, self._upsample = demodulate, upsample

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Convolve maps [batch, inside, h, w] by styles [batch, style_dim]."""
        weight, scales = self.weight[0] * self._scale, self.modulation(style)
        out = x * scales[:, :, None, None].to(x.dtype)
        if self._upsample:
            out = self.blur(F.conv_transpose2d(out, weight.transpose(0, 1).to(out.dtype), stride=2))
        else:
            out = F.conv2d(out, weight.to(out.dtype), padding=self._pad)
        if not self._demodulate:
            return out
        energy = scales.float().square() @ weight.float().square().sum((2, 3)).T
        return out * torch.rsqrt(energy + EPSILON)[:, :, None, None].to(out.dtype)


class NoiseInjection(nn.Module):
    """Add noise, the same for all channels, by a learned weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """Add noise [1 or batch, 1, h, w]."""
        return x + (self.weight * noise).to(x.dtype)


class FusedLeakyReLU(nn.Module):
    """Bias and activation of a styled convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the activations."""
        return fused_leaky_relu(x, self.bias.to(x.dtype))


class StyledConv(nn.Module):
    """Modulated convolution, noise, bias and activation."""

    def __init__(self, inside: int, out: int, style_dim: int, *, upsample: bool = False) -> None:
        super().__init__()
        self.conv = ModulatedConv2d(inside, out, 3, style_dim, upsample=upsample)
        self.noise = NoiseInjection()
        self.activate = FusedLeakyReLU(out)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor) -> Tensor:
        """Return the next maps."""
        return self.activate(self.noise(self.conv(x, style), noise))


class ToRGB(nn.Module):
    """Maps to colours, added to the doubled picture of the layer before."""

    def __init__(self, inside: int, style_dim: int, *, upsample: bool = True) -> None:
        super().__init__()
        if upsample:
            self.upsample = SkipUpsample()
        self.conv = ModulatedConv2d(inside, 3, 1, style_dim, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(1, 3, 1, 1))

    def forward(self, x: Tensor, style: Tensor, skip: Tensor | None = None) -> Tensor:
        """Return the picture so far, in float32."""
        made = self.conv(x, style).float() + self.bias
        return made if skip is None else made + self.upsample(skip)


class ConstantInput(nn.Module):
    """The learned 4 x 4 map that every picture begins with."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.input = nn.Parameter(torch.randn(1, channels, 4, 4))

    def forward(self, batch: int) -> Tensor:
        """Return it for each row of a batch."""
        return self.input.expand(batch, -1, -1, -1)
