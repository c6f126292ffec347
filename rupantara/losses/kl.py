"""Kullback-Leibler divergence of a diagonal Gaussian from the standard normal."""

from torch import Tensor


def kl_divergence(mu: Tensor, logvar: Tensor, *, free_bits: float = 0.0) -> Tensor:
    """Return the divergence in nats of each row, summed over all its dimensions: [batch].

    Each dimension's mean over the batch counts as at least `free_bits` nats (Kingma et al., 2016, eq. 15). Below that it has no
    gradient, so the dimension does not collapse.
    """
    nats = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).flatten(1)
    if free_bits > 0:
        return nats.sum(1) + (free_bits - nats.mean(0)).clamp(min=0).sum()
    return nats.sum(1)
