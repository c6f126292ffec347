"""The refiner (`002_…`, 3.4): a transformer encoder over the tokens of a blend, with sinusoidal positions."""

import math

import torch
from torch import Tensor, nn

from rupantara.tensors import Tokens


def positions(tokens: int, dim: int) -> Tensor:
    """Return sinusoidal positions [tokens, dim] (Vaswani et al., 2017, 3.5): sines in even columns, cosines in odd ones."""
    at = torch.arange(tokens, dtype=torch.float32)[:, None]
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, dim, 2, dtype=torch.float32) / dim)
    out = torch.zeros(tokens, dim)
    out[:, 0::2], out[:, 1::2] = torch.sin(at * rate), torch.cos(at * rate[: dim // 2])
    return out


class Refiner(nn.Module):
    """Two layers of eight heads, feed-forward 1024, dropout 0.1 and layer norm, for any number of tokens of any dim.

    What differs from the paper: the encoder's output, through one more linear layer that starts at zero, is added to the blend, so
    that a refiner begins by changing nothing. A dim that heads do not divide is widened inside.
    """

    def __init__(
        self, dim: int, layers: int = 2, heads: int = 8, feedforward: int = 1024, dropout: float = 0.1
    ) -> None:
        """Build for tokens of `dim` numbers."""
        super().__init__()
        wide = -(-dim // heads) * heads
        self.into = nn.Identity() if wide == dim else nn.Linear(dim, wide)
        layer = nn.TransformerEncoderLayer(
            wide, heads, feedforward, dropout, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, norm=nn.LayerNorm(wide), enable_nested_tensor=False)
        self.out = nn.Linear(wide, dim)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, tokens: Tokens) -> Tokens:
        """Return the refined tokens."""
        inside = self.into(tokens)
        return tokens + self.out(self.encoder(inside + positions(inside.shape[1], inside.shape[2]).to(inside)))
