"""The learned linear projection of the concatenated parents (`002_…`, 3.3)."""

import torch
from torch import nn

from rupantara.tensors import Tokens


class Linear(nn.Module):
    """P_t [z1; z2] for each token t, over both orders of the parents, so that their order does not matter; starts as the average."""

    def __init__(self, tokens: int, dim: int) -> None:
        """Build for tokens [batch, tokens, dim]."""
        super().__init__()
        both = torch.cat([torch.eye(dim), torch.eye(dim)]) / 2
        self.weight = nn.Parameter(both.repeat(tokens, 1, 1))
        self.bias = nn.Parameter(torch.zeros(tokens, dim))

    def forward(self, first: Tokens, second: Tokens) -> Tokens:
        """Return the projection."""
        orders = torch.cat([first, second], 2) + torch.cat([second, first], 2)
        return torch.einsum("bti,tio->bto", orders / 2, self.weight) + self.bias
