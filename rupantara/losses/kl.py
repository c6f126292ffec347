"""Kullback-Leibler divergence of a diagonal Gaussian from the standard normal."""

from torch import Tensor


def kl_divergence(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return the divergence in nats of each row, summed over all its dimensions: [batch]."""
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).flatten(1).sum(1)
