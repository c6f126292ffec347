"""A multilayer perceptron of both parents (`002_…`, 3.3 found it no better than the projection; here it may also choose)."""

import torch
import torch.nn.functional as F
from torch import nn

from rupantara.tensors import Tokens


class MLP(nn.Module):
    """For each number a share of either parent, and something added: g z1 + (1 - g) z2 + o; starts as the average.

    The share is the sigmoid of h(z1, z2) - h(z2, z1) and o the mean over both orders, so that the order does not matter. Choosing
    where the mean would blur keeps a code's length.
    """

    def __init__(self, tokens: int, dim: int, hidden: int) -> None:
        """Build for tokens [batch, tokens, dim]; each token has its own first bias."""
        super().__init__()
        self.first = nn.Linear(2 * dim, hidden)
        self.place = nn.Parameter(torch.randn(tokens, hidden) * 0.1)
        self.second = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, 2 * dim)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, first: Tokens, second: Tokens) -> Tokens:
        """Return the child."""
        there, back = self._read(first, second), self._read(second, first)
        share = torch.sigmoid(there[0] - back[0])
        return share * first + (1 - share) * second + (there[1] + back[1]) / 2

    def _read(self, first: Tokens, second: Tokens) -> tuple[Tokens, Tokens]:
        hidden = F.gelu(self.first(torch.cat([first, second], 2)) + self.place)
        gate, added = self.last(F.gelu(self.second(hidden))).chunk(2, dim=2)
        return gate, added
