"""Kullback-Leibler divergence of a diagonal Gaussian from the standard normal."""

from torch import Tensor


def kl_divergence(mu: Tensor, logvar: Tensor, *, free_bits: float = 0.0) -> Tensor:
    """Return the divergence in nats of each row, summed over all its dimensions: [batch].

    Each dimension counts at least `free_bits` nats, taken over the batch (Kingma et al., 2016, eq. 15): below that it is not
    pressed further, and does not collapse.
    """
    nats = 0.5 * (mu**2 + logvar.exp() - 1 - logvar).flatten(1)
    if free_bits > 0:
        return nats.sum(1) + (free_bits - nats.mean(0)).clamp(min=0).sum()
    return nats.sum(1)
