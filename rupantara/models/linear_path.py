"""A linear autoencoder with tied weights: it carries the coarse picture through the region VAE, and is initialized by a PCA."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

START_LOGVAR = -4.0


class Components(NamedTuple):
    """A PCA: mean [d], orthonormal components [k, d], standard deviations [k] of the scores."""

    mean: Tensor
    components: Tensor
    deviations: Tensor


class LinearAutoencoder(nn.Module):
    """Encodes pictures as whitened scores on components, and decodes them by the same matrix."""

    deviations: Tensor

    def __init__(self, pixels: int, rank: int, dim: int) -> None:
        """Build with random directions; codes have `dim` numbers, of which the first `rank` are used."""
        super().__init__()
        self.dim, self.rank = dim, min(rank, dim)
        self.mean = nn.Parameter(torch.zeros(pixels))
        self.components = nn.Parameter(torch.randn(self.rank, pixels) / pixels**0.5)
        self.register_buffer("deviations", torch.ones(self.rank))

    @torch.no_grad()
    def warm_start(self, pca: Components) -> None:
        """Initialize by a PCA: components that it lacks are zero, and components beyond the rank are dropped."""
        k = min(self.rank, len(pca.components))
        self.mean.copy_(pca.mean)
        self.components.zero_()[:k] = pca.components[:k]
        self.deviations.fill_(1.0)[:k] = pca.deviations[:k]

    def encode(self, pixels: Tensor) -> Tensor:
        """Return codes [batch, dim] of pixels [batch, pixels]."""
        scores = (pixels.float() - self.mean) @ self.components.T
        return nn.functional.pad(scores.float() / self.deviations, (0, self.dim - self.rank))

    def decode(self, codes: Tensor) -> Tensor:
        """Return pixels [batch, pixels] of codes [batch, dim]."""
        return ((codes[:, : self.rank] * self.deviations) @ self.components).float() + self.mean


@torch.no_grad()
def start_certain(head: nn.Module) -> None:
    """Initialize a head so that log variances are START_LOGVAR and the convolutions add little to the means."""
    assert isinstance(head, nn.Linear)
    half = head.out_features // 2
    head.weight[half:].zero_()
    head.bias[half:].fill_(START_LOGVAR)
    head.weight[:half].mul_(0.3)
