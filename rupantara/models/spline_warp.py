"""The spline warp of `001_…`, equations 3 to 6, in torch: batched, exact, differentiable in the picture and in both point sets.

The same map as `landmarks.spline` finds, with phi(r) = r plus an affine part. What differs from the paper: the spline carries
displacements (source minus target), which is the same spline, and makes equal points the identity to the last bit. Points are
solved for in float64 and evaluated by `radial_field`, which stores nothing of the size batch x pixels x points. Float32 points
are kept float32 under autocast; points that a caller rounds to bfloat16 are off by up to half a pixel above 128.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from rupantara.landmarks.morph import frame_points
from rupantara.landmarks.spline import MIN_DISTANCE_PX, DegenerateError
from rupantara.models.radial_field import radial_field
from rupantara.tensors import Flows, Images, PointSets

MIN_SPREAD_PX = 0.01
"""Root mean square distance of the control points to the line nearest to them, below which they count as lying on it."""


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
    radial part on every stride-th pixel and interpolates: at 4, between drawn faces at 224² (benchmarks/spline_warp.py) whose
    points move 4.1 px in the mean, the flow is off by 0.009 px in the mean, 0.12 at the 99th percentile and 4.1 at worst,
    beside control points that all but touch. `compiled` has `torch.compile` fuse the evaluation of
    a target each: six times faster on a CPU (probe: 5.8 ms for 36 at a batch of 16), after some ten seconds of compiling.

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
    field = radial_field(radial, centres.to(dtype), x, y, compiled)
    if stride > 1:
        full = ((len(y) - 1) * stride + 1, (len(x) - 1) * stride + 1)
        field = F.interpolate(field, full, mode="bilinear", align_corners=True)[..., :height, :width]
        x, y = (torch.arange(n, device=weights.device, dtype=dtype) for n in (width, height))
    of_x, of_y, of_1 = linear.flatten(2)[..., None].unbind(1)
    field = field + (of_x * x)[:, :, None] + (of_y * y + of_1)[..., None]
    return field.flatten(0, 1).unflatten(0, (-1, 2))
