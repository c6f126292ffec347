"""The simple average (`002_…`, 3.3)."""

from torch import nn

from rupantara.tensors import Tokens


class Average(nn.Module):
    """(z1 + z2) / 2: nothing to learn."""

    def forward(self, first: Tokens, second: Tokens) -> Tokens:
        """Return the mean."""
        return (first + second) / 2
