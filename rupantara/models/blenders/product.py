"""The matrix product (`002_…`, 3.3): each feature of one parent interacts with all features of the other."""

import torch
from torch import nn

from rupantara.tensors import Tokens

LEAST_LENGTH = 1e-6


class Product(nn.Module):
    """The mean of the parents times G = (Z1ᵀ Z2 + Z2ᵀ Z1) / 2, the dim x dim products of their features over the tokens.

    The paper gives no formula. G is symmetric in the parents; each token keeps the parents' mean length, because a product of two
    codes has the square of their scale. A learned weight mixes it with the plain mean, from half on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.share = nn.Parameter(torch.zeros(()))

    def forward(self, first: Tokens, second: Tokens) -> Tokens:
        """Return the product."""
        products = first.transpose(1, 2) @ second
        mean = (first + second) / 2
        made = mean @ ((products + products.transpose(1, 2)) / 2)
        length = (first.norm(dim=2, keepdim=True) + second.norm(dim=2, keepdim=True)) / 2
        made = made * (length / made.norm(dim=2, keepdim=True).clamp(min=LEAST_LENGTH))
        return torch.lerp(mean, made, torch.sigmoid(self.share))
