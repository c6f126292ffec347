"""Departure of a child's code from the way between its parents' (`002_…`, 3.5, third loss)."""

from torch import Tensor


def departure(child: Tensor, first: Tensor, second: Tensor, alpha: Tensor | float) -> Tensor:
    """Return ||f(z1, z2) - alpha z1 - (1 - alpha) z2||_2 over all numbers of each row of [batch, ...]: [batch].

    `alpha` is one number, or one for each row.
    """
    if isinstance(alpha, Tensor):
        alpha = alpha.view(-1, *([1] * (child.ndim - 1)))
    gap = child - alpha * first - (1 - alpha) * second
    # A plain root has no gradient at 0, where an average begins.
    return (gap.flatten(1).square().sum(1) + 1e-12).sqrt()
