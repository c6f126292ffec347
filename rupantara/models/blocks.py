"""Convolution blocks shared by encoders and decoders."""

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.models.norm_silu import NormSiLU, is_channels_last


class ResBlock(nn.Module):
    """GroupNorm, SiLU, convolution, twice, around a skip connection."""

    def __init__(self, channels: int) -> None:
        """Build a block that keeps its shape [batch, channels, height, width]."""
        super().__init__()
        self.norm1, self.norm2 = NormSiLU(channels), NormSiLU(channels)
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Add the residual."""
        return x + self.conv2(self.norm2(self.conv1(self.norm1(x))))


class SelfAttention(nn.Module):
    """Single-head self-attention over all positions, around a skip connection."""

    def __init__(self, channels: int) -> None:
        """Build attention over maps [batch, channels, height, width]."""
        super().__init__()
        self.norm = nn.GroupNorm(8, channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Let every position look at every other."""
        b, c, h, w = x.shape
        q, k, v = self.qkv(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
        if x.device.type == "cpu":
            # Torch's fused kernel shares work out by picture and head; backward, the plain products are three times as fast.
            seen = torch.softmax((q * c**-0.5) @ k.transpose(1, 2), dim=-1) @ v
        else:
            # One head, named as such: torch's fused kernels take four dimensions only.
            seen = F.scaled_dot_product_attention(*(part[:, None].contiguous() for part in (q, k, v)))[:, 0]
        return x + self.out(seen.transpose(1, 2).reshape(b, c, h, w))


class Upsample(nn.Module):
    """Double the resolution by nearest neighbour and convolve, 3 x 3, zeros around.

    Computed on the small map: the pixels of each of the four phases see its 2 x 2 neighbourhoods, through sums of the kernel's
    weights. The same but for rounding, with 4 of 9 multiplications; 1.7 times as fast on a CPU, forward and backward.
    """

    sums: Tensor

    def __init__(self, channels_in: int, channels_out: int) -> None:
        """Build a step [batch, in, h, w] -> [batch, out, 2h, 2w]."""
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, padding=1)
        # [phase, place, tap]: at phase 0 the taps fall on one pixel before and twice on its own, at phase 1 the other way round.
        sums = torch.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]], [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0]]])
        self.register_buffer("sums", sums, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Upsample; channels last come out as they came in."""
        last = is_channels_last(x)
        order = "pqo" if last else "opq"
        assert self.conv.bias is not None
        with torch.autocast(x.device.type, enabled=False):
            kernels = torch.einsum(f"pas,qbt,oist->{order}iab", self.sums, self.sums, self.conv.weight).flatten(0, 2)
            bias = self.conv.bias.repeat(4) if last else self.conv.bias.repeat_interleave(4)
        seen = F.conv2d(x, kernels, bias, padding=1)
        if last:
            return _Interleaved.apply(seen.unflatten(1, (2, 2, -1)).permute(0, 3, 1, 2, 4, 5))
        return _Interleaved.apply(seen.unflatten(1, (-1, 2, 2)))


class _Interleaved(torch.autograd.Function):
    """Phases [batch, c, 2, 2, h + 1, w + 1] to pictures [batch, c, 2h, 2w], by copies alone: autograd would add up padded slices."""

    @staticmethod
    def forward(ctx: Any, seen: Tensor) -> Tensor:
        batch, channels, height, width = *seen.shape[:2], seen.shape[4] - 1, seen.shape[5] - 1
        ctx.last = seen.stride(1) == 1 and channels > 1
        layout = torch.channels_last if ctx.last else torch.contiguous_format
        shape = (batch, channels, 2 * height, 2 * width)
        out = torch.empty(shape, dtype=seen.dtype, device=seen.device, memory_format=layout)
        for p, q in product((0, 1), (0, 1)):
            # A phase's pixels begin where its neighbourhoods do: one place later at phase 1.
            out[:, :, p::2, q::2] = seen[:, :, p, q, p : p + height, q : q + width]
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        batch, channels, height, width = *gradient.shape[:2], gradient.shape[2] // 2, gradient.shape[3] // 2
        if ctx.last:
            out = gradient.new_empty(batch, height + 1, width + 1, 2, 2, channels).permute(0, 5, 3, 4, 1, 2)
        else:
            out = gradient.new_empty(batch, channels, 2, 2, height + 1, width + 1)
        for p, q in product((0, 1), (0, 1)):
            phase = out[:, :, p, q]
            phase[:, :, p : p + height, q : q + width] = gradient[:, :, p::2, q::2]
            phase[:, :, 0 if p else -1] = 0
            phase[:, :, :, 0 if q else -1] = 0
        return out


class PixelShuffle(nn.Module):
    """As torch's, in float32 whatever comes in; on a CPU twice as fast."""

    def __init__(self, factor: int) -> None:
        """Build a step [batch, c * factor², h, w] -> [batch, c, h * factor, w * factor]."""
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange; the result is contiguous."""
        tiles = x.unflatten(1, (-1, self.factor, self.factor)).permute(0, 1, 4, 2, 5, 3)
        return tiles.float().flatten(4, 5).flatten(2, 3)


class PixelUnshuffle(nn.Module):
    """As torch's, in the type that comes in; on a CPU twice as fast."""

    def __init__(self, factor: int) -> None:
        """Build a step [batch, c, h * factor, w * factor] -> [batch, c * factor², h, w]."""
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Rearrange."""
        tiles = x.unflatten(3, (-1, self.factor)).unflatten(2, (-1, self.factor))
        return tiles.permute(0, 1, 3, 5, 2, 4).flatten(1, 3)


def downsample(channels_in: int, channels_out: int) -> nn.Conv2d:
    """Halve the resolution by a strided convolution."""
    return nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1)


def reparameterize(mu: Tensor, logvar: Tensor, noise: Tensor) -> Tensor:
    """Draw z = mu + sigma * noise (Kingma and Welling, 2014)."""
    return mu + torch.exp(0.5 * logvar) * noise
