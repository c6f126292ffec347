"""Sums of distances to control points on a grid (the radial part of `001_…`, equation 3), exact, in little memory.

Evaluated by tiles that stay in the cache, and their gradient by the same tiles again: nothing of the size sets x pixels x points
is stored in either direction.
"""

from collections.abc import Iterator
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = {"cpu": 2**18, "cuda": 2**24}
"""Distances evaluated at a time: 1 MiB stays in a core's second cache, and one launch fills a GPU."""

BLUNT = {torch.float32: 1e-3, torch.float64: 1e-12}
"""Added to the squared distance (px²) in the gradient: the tip of the cone r has none, and on a pixel it would divide by zero.

Terms that cancel beside a tip lose its inverse: with these the gradient is right to 3e-3 of its largest entry in float32 for a
gradient of white noise on whole-pixel points, 1e-4 for an even one (dense float32 autograd: 9e-4, 3e-4), and 1e-6 in float64.
"""


def radial_field(
    weights: Float[Tensor, "sets points columns"],
    centres: Float[Tensor, "sets points 2"],
    x: Float[Tensor, " width"],
    y: Float[Tensor, " height"],
    compiled: bool = False,
) -> Float[Tensor, "sets columns height width"]:
    """Return the sum over points of weight times distance at the grid x by y, px; differentiable in weights and centres, once.

    `compiled` has `torch.compile` fuse the evaluation of two columns (more are products of matrices, fast as they are).
    """
    return _Radial.apply(weights, centres, x, y, compiled)


def _tiles(centres: Tensor, x: Tensor, y: Tensor, blunt: float) -> Iterator[tuple[slice, slice, Tensor]]:
    """Yield the squared distances [sets, points, rows x columns] of the centres to a grid, a tile at a time, in one buffer.

    The squares are separable, dx² + dy²: only their sum is of the size of a tile.
    """
    dx2 = (x - centres[..., :1]).square()
    dy2 = (y - centres[..., 1:]).square() + blunt
    (sets, points, width), height = dx2.shape, len(y)
    tile = TILE.get(centres.device.type, TILE["cuda"])
    together = min(sets, max(1, tile // (points * width)))
    rows = min(height, max(1, tile // (together * points * width)))
    buffer = centres.new_empty(together * points * rows * width)
    for first in range(0, sets, together):
        of = slice(first, min(first + together, sets))
        for top in range(0, height, rows):
            at = slice(top, min(top + rows, height))
            shape = (of.stop - of.start, points, at.stop - at.start, width)
            out = buffer[: shape[0] * points * shape[2] * width].view(shape)
            torch.add(dx2[of, :, None], dy2[of, :, at, None], out=out)
            yield of, at, out.flatten(2)


class _Radial(torch.autograd.Function):
    """The radial part of equation 3 on a grid: weights [g, n, k], centres [g, n, 2], x [w], y [h] -> [g, k, h, w]."""

    @staticmethod
    def forward(ctx, weights: Tensor, centres: Tensor, x: Tensor, y: Tensor, compiled: bool) -> Tensor:  # noqa: ANN001
        ctx.save_for_backward(weights, centres, x, y)
        if compiled and weights.shape[2] == 2:
            return _fused()(weights, centres, x, y)
        field = weights.new_empty(len(weights), weights.shape[2], len(y), len(x))
        rows = weights.transpose(1, 2).contiguous()
        for of, at, squared in _tiles(centres, x, y, 0.0):
            field[of, :, at] = (rows[of] @ squared.sqrt_()).unflatten(2, (-1, len(x)))
        return field

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN001
        """Sum the gradient over r against 1, x, y and x² + y²: all that the derivatives by weights and centres hold.

        d/dw = Σ g r = Σ (g / r) (c² - 2 c p + p²) and d/dc = w Σ (g / r) (c - p), each sum a product of a tile with few columns.
        """
        weights, centres, x, y = ctx.saved_tensors
        # About the middle, where the terms that cancel are smallest.
        middle = torch.stack([x.mean(), y.mean()])
        px, py = x - middle[0], (y - middle[1])[:, None]
        square = px.square() + py.square()
        columns = weights.shape[2]
        sums = centres.new_zeros(len(centres), 4 * columns, centres.shape[1], dtype=torch.float64)
        with torch.autocast(grad.device.type, enabled=False):
            for of, at, squared in _tiles(centres, x, y, BLUNT[centres.dtype]):
                g = grad[of, :, at]
                terms = torch.cat([g, g * px, g * py[at], g * square[at]], dim=1).flatten(2)
                sums[of] += terms @ squared.rsqrt_().transpose(1, 2)
        one, of_x, of_y, of_square = sums.transpose(1, 2).split(columns, dim=2)
        cx, cy = (centres - middle).double().split(1, dim=2)
        by_weights = (cx**2 + cy**2) * one - 2 * cx * of_x - 2 * cy * of_y + of_square
        by_centres = [(weights * (c * one - of_c)).sum(2) for c, of_c in ((cx, of_x), (cy, of_y))]
        return by_weights.to(weights), torch.stack(by_centres, dim=2).to(centres), None, None, None


def _dense(weights: Tensor, centres: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """State the radial part for two columns in one expression, which a compiler turns into one loop."""
    (cx, cy), (u, v) = (pair[..., None, None].unbind(2) for pair in (centres, weights))
    distance = ((x - cx).square() + (y[:, None] - cy).square()).sqrt()
    return torch.stack([(u * distance).sum(1), (v * distance).sum(1)], dim=1)


@cache
def _fused():  # noqa: ANN202
    return torch.compile(_dense, dynamic=True)
