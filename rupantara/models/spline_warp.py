"""The spline warp of `001_…`, equations 3 to 6, in torch: batched, exact, differentiable in the picture and in both point sets.

The same map as `landmarks.spline` finds, with phi(r) = r plus an affine part. What differs from the paper: the spline carries
displacements (source minus target), which is the same spline, and makes equal points the identity to the last bit. Points are
solved for in float64; the flow is evaluated by tiles that stay in the cache, and its gradient by the same tiles again, so that
nothing of the size batch x pixels x points is ever stored. Float32 points are kept float32 under autocast; points that a caller
rounds to bfloat16 are off by up to half a pixel above 128.
"""

from collections.abc import Iterator
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from rupantara.landmarks.morph import frame_points
from rupantara.landmarks.spline import MIN_DISTANCE_PX, DegenerateError
from rupantara.tensors import Flows, Images, PointSets

MIN_SPREAD_PX = 0.01
"""Root mean square distance of the control points to the line nearest to them, below which they count as lying on it."""

TILE = {"cpu": 2**18, "cuda": 2**24}
"""Distances evaluated at a time: 1 MiB stays in a core's second cache, and one launch fills a GPU."""

BLUNT = {torch.float32: 1e-3, torch.float64: 1e-12}
"""Added to the squared distance (px²) in the gradient: the tip of the cone r has none, and on a pixel it would divide by zero.

Terms that cancel beside a tip lose its inverse: with these the gradient is right to 3e-3 of its largest entry in float32 for a
gradient of white noise on whole-pixel points, 1e-4 for an even one (dense float32 autograd: 9e-4, 3e-4), and 1e-6 in float64.
"""


def flow(
    target_points: PointSets,
    source_points: PointSets,
    height: int,
    width: int,
    *,
    smoothing: float = 0.0,
    boundary: bool = False,
    stride: int = 1,
    compiled: bool = False,
) -> Flows:
    """Return where in the source each pixel of the target is read: [batch, 2, height, width], x then y, px.

    One target set [1, points, 2] may serve a batch of sources: it is solved and its distances are evaluated once. Targets
    closer than `landmarks.spline.MIN_DISTANCE_PX` count as one, at the mean of both. `smoothing` >= 0 (px) lets the spline
    miss its points, as scipy's does; `boundary` holds the corners and the middles of the edges. `stride` > 1 evaluates the
    radial part on every stride-th pixel and interpolates: at 4, on the morph of two drawn faces at 224², the flow is off by
    STRIDE_MEAN px in the mean, STRIDE_99 px at the 99th percentile and STRIDE_WORST px at worst, beside control points.
    `compiled` has `torch.compile` fuse the evaluation: many times faster on a CPU, after some ten seconds of compiling.

    Float32, or float64 where the points are. Raise DegenerateError (a ValueError) for points that determine no spline.
    """
    _check(target_points, source_points, smoothing, stride)
    with torch.autocast(target_points.device.type, enabled=False):
        if boundary:
            target_points, source_points = (hold_boundary(p, height, width) for p in (target_points, source_points))
        centres, weights = solve(target_points, source_points, smoothing)
        dtype = torch.float64 if target_points.dtype == torch.float64 else torch.float32
        unit = weights.new_tensor([1.0, 1.0]), weights.new_tensor([0.0, 0.0])
        return _evaluate(centres, weights, (height, width), unit, dtype, stride, compiled)


def warp(
    images: Float[Tensor, "batch channels height width"],
    source_points: PointSets,
    target_points: PointSets,
    *,
    size: tuple[int, int] | None = None,
    smoothing: float = 0.0,
    boundary: bool = False,
    stride: int = 1,
    compiled: bool = False,
) -> Images:
    """Warp images so that what lies at the source points comes to lie at the target points (px of either picture).

    Bilinear, the border replicated, in float32 (float64 images in float64); the result has the dtype of the images. Equal
    points return the picture itself. `size` is the height and width of the result, the images' own by default; the other
    options and errors are those of `flow`.
    """
    _check(target_points, source_points, smoothing, stride)
    own = (images.shape[-2], images.shape[-1])
    size = own if size is None else size
    dtype = torch.float64 if images.dtype == torch.float64 else torch.float32
    with torch.autocast(images.device.type, enabled=False):
        if boundary:
            target_points, source_points = hold_boundary(target_points, *size), hold_boundary(source_points, *own)
        centres, weights = solve(target_points, source_points, smoothing)
        # Sides of a power of two make the way to grid_sample's fractions and back exact: (2 x + 1) / side - 1.
        sides = [1 << (side - 1).bit_length() for side in own]
        side = weights.new_tensor(sides[::-1])
        grid = _evaluate(centres, weights, size, (2 / side, 1 / side - 1), dtype, stride, compiled)
        padded = F.pad(images.to(dtype), (0, sides[1] - own[1], 0, sides[0] - own[0]), mode="replicate")
        warped = F.grid_sample(padded, grid.permute(0, 2, 3, 1), padding_mode="border", align_corners=False)
    return warped.to(images.dtype)


def hold_boundary(points: PointSets, height: int, width: int) -> PointSets:
    """Append the corners and the middles of the edges of a picture to its points."""
    frame = torch.from_numpy(frame_points(width, height)).to(points)
    return torch.cat([points, frame.expand(len(points), -1, -1)], dim=1)


def _check(target: Tensor, source: Tensor, smoothing: float, stride: int) -> None:
    shapes = [tuple(points.shape) for points in (target, source)]
    (one, *rest), (batch, *others) = shapes
    if len(rest) != 2 or rest[1] != 2 or rest != others or one not in (1, batch):
        raise ValueError(f"target and source points must be [batch or 1, n, 2] and [batch, n, 2], got {shapes}")
    if smoothing < 0 or stride < 1:
        raise ValueError(f"smoothing must be at least 0 and stride at least 1, got {smoothing} and {stride}")


def solve(target: PointSets, source: PointSets, smoothing: float = 0.0) -> tuple[Tensor, Tensor]:
    """Solve equations 4 to 6 for the displacements: centres [g, n, 2] and weights [g, n + 3, 2 batch / g], float64.

    The last three weights are those of x, y and 1. Raise DegenerateError as `flow` does.
    """
    target, source = target.double(), source.double()
    if not (target.isfinite().all() and source.isfinite().all()):
        raise DegenerateError("control points must be finite, got NaN or infinity")
    # One target set for all: their displacements are columns of one system.
    values = (source - target).unflatten(0, (len(target), -1)).transpose(1, 2).flatten(2)
    target, values, kept = _merge_repeated(target, values)
    _check_spread(target, kept)
    linear = F.pad(target, (0, 1), value=1.0) * kept[..., None]
    radial = _distances(target) * kept[:, None] * kept[..., None]
    # A slot that merging emptied gets an equation of its own, w = 0.
    radial = radial - torch.diag_embed(smoothing * kept + kept - 1)
    top = torch.cat([radial, linear], dim=2)
    system = torch.cat([top, F.pad(linear.transpose(1, 2), (0, 3))], dim=1)
    return target, torch.linalg.solve(system, F.pad(values, (0, 0, 0, 3)))


def _distances(points: Tensor) -> Tensor:
    """Return the distances of points to one another; at zero their gradient is zero."""
    squared = (points[:, :, None] - points[:, None]).square().sum(-1)
    apart = squared > 0
    return torch.where(apart, squared, 1).sqrt() * apart


def _merge_repeated(target: Tensor, values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Average points whose targets are closer than MIN_DISTANCE_PX, as `landmarks.spline.merge_repeated` does.

    Also return which slots [g, n] still hold a point (1) and which merging emptied (0, their values 0).
    """
    first = (_distances(target.detach()) < MIN_DISTANCE_PX).int().argmax(-1)
    if (first == torch.arange(first.shape[1], device=first.device)).all():
        return target, values, torch.ones_like(target[..., 0])
    share = F.one_hot(first, first.shape[1]).to(target).transpose(1, 2)
    count = share.sum(2)
    share = share / count.clamp(min=1)[..., None]
    return share @ target, share @ values, (count > 0).to(target)


def _check_spread(target: Tensor, kept: Tensor) -> None:
    """Raise DegenerateError where the points lie on one line (as fewer than three always do)."""
    share = (kept / kept.sum(1, keepdim=True))[..., None]
    offset = (target - (target * share).sum(1, keepdim=True)).detach() * share.sqrt()
    (xx, xy), (_, yy) = (offset.transpose(1, 2) @ offset).permute(1, 2, 0)
    least = (xx + yy - torch.hypot(xx - yy, 2 * xy)).clamp(min=0).div(2).sqrt()
    if (least < MIN_SPREAD_PX).any():
        worst = int(least.argmin())
        raise DegenerateError(
            f"control points must be three or more distinct ones, at least {MIN_SPREAD_PX} px off any line in the mean: "
            f"those of row {worst} are {float(least[worst]):.1e} px off one"
        )


def _evaluate(
    centres: Tensor,
    weights: Tensor,
    size: tuple[int, int],
    unit: tuple[Tensor, Tensor],
    dtype: torch.dtype,
    stride: int,
    compiled: bool,
) -> Flows:
    """Evaluate equation 3 at every pixel and add the pixel itself, in px * unit[0] + unit[1]: [batch, 2, height, width]."""
    height, width = size
    scale, offset = unit
    identity = F.pad(torch.eye(2, dtype=weights.dtype, device=weights.device), (0, 0, 0, 1))
    pairs = weights.unflatten(2, (-1, 2))
    linear = ((pairs[:, -3:] + identity[:, None]) * scale + F.pad(offset[None, None], (0, 0, 0, 0, 2, 0))).to(dtype)
    radial = (pairs[:, :-3] * scale).flatten(2).to(dtype)
    x, y = (torch.arange(0, n - 1 + stride, stride, device=weights.device, dtype=dtype) for n in (width, height))
    field = _Radial.apply(radial, centres.to(dtype), x, y, compiled)
    if stride > 1:
        full = ((len(y) - 1) * stride + 1, (len(x) - 1) * stride + 1)
        field = F.interpolate(field, full, mode="bilinear", align_corners=True)[..., :height, :width]
        x, y = (torch.arange(n, device=weights.device, dtype=dtype) for n in (width, height))
    of_x, of_y, of_1 = linear.flatten(2)[..., None].unbind(1)
    field = field + (of_x * x)[:, :, None] + (of_y * y + of_1)[..., None]
    return field.flatten(0, 1).unflatten(0, (-1, 2))


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
