"""Aligned crops of tensors, differentiable in their pixels: `landmarks.align` for what sits in a loss or a metric."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from rupantara.tensors import Images

ARCFACE_SIDE = 112
ARCFACE_TEMPLATE = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Where ArcFace's alignment (Deng et al., 2019; insightface's `arcface_dst`) puts the five keypoints in its input, px."""

MOST_SAMPLES = 8
"""A crop that shrinks averages at most 8 x 8 samples a pixel: eyes up to 280 px apart shrink to ArcFace's 35 unaliased."""

KeypointRows = Float[Tensor, "batch 5 2"]
"""x y in pixels of the images, a pixel's centre at whole numbers, in YuNet's order."""

ArcFaceInputs = Float[Tensor, "batch 3 112 112"]
"""RGB float levels 0..255, as `models.mobilefacenet` takes them; cubic overshoot may leave the range a little."""


def arcface_crop(images: Images, keypoints: KeypointRows) -> ArcFaceInputs:
    """Cut the crops whose five keypoints lie nearest ArcFace's template, with gradients to the images' pixels.

    Cubic sampling, borders replicated, in float32 whatever the images' type. No row depends on another of its batch.
    Raises ValueError where keypoints are not finite or are one point.
    """
    linear, shift = _similarities(keypoints.detach().double().cpu())
    shrinking = 1 / linear.norm(dim=1)
    if not torch.isfinite(shift).all() or not torch.isfinite(shrinking).all():
        raise ValueError("keypoints must be finite and distinct points in every row")
    samples = shrinking.round().clamp(1, MOST_SAMPLES).int()
    levels = (images.float() + 1) * 127.5
    crops = levels.new_empty(len(levels), 3, ARCFACE_SIDE, ARCFACE_SIDE)
    for count in samples.unique().tolist():
        rows = samples == count
        grid = _grid(linear[rows], shift[rows], count, images).to(levels)
        chosen = rows.to(levels.device)
        found = F.grid_sample(levels[chosen], grid, mode="bicubic", padding_mode="border", align_corners=False)
        crops[chosen] = F.avg_pool2d(found, count)
    return crops


def _similarities(points: Tensor) -> tuple[Tensor, Tensor]:
    """Fit scale, rotation and shift onto the template: (a, b) [n, 2] of [[a, -b], [b, a]], and the shift [n, 2] (as `fit_similarity`)."""
    template = points.new_tensor(ARCFACE_TEMPLATE)
    centre, goal = points.mean(1), template.mean(0)
    s, t = points - centre[:, None], template - goal
    a = (s * t).sum((1, 2))
    b = (s[..., 0] * t[:, 1] - s[..., 1] * t[:, 0]).sum(1)
    linear = torch.stack([a, b], dim=1) / (s**2).sum((1, 2))[:, None]
    return linear, goal - _turn(linear, centre[:, None])[:, 0]


def _turn(linear: Tensor, points: Tensor) -> Tensor:
    """Multiply points [n, m, 2] by the matrices [[a, -b], [b, a]]."""
    a, b = linear[:, None, 0], linear[:, None, 1]
    x, y = points[..., 0], points[..., 1]
    return torch.stack([a * x - b * y, b * x + a * y], dim=-1)


def _grid(linear: Tensor, shift: Tensor, count: int, images: Images) -> Tensor:
    """Return where to read `count` x `count` samples of each pixel of the crop, as `grid_sample` takes it."""
    at = (torch.arange(ARCFACE_SIDE * count, dtype=torch.float64) + 0.5) / count - 0.5
    y, x = torch.meshgrid(at, at, indexing="ij")
    crop = torch.stack([x, y], dim=-1).view(1, -1, 2)
    inverse = linear * torch.tensor([1.0, -1.0]) / (linear**2).sum(1, keepdim=True)
    source = _turn(inverse, crop - shift[:, None])
    size = torch.tensor([images.shape[3], images.shape[2]])
    return ((source + 0.5) / size * 2 - 1).view(len(linear), len(at), len(at), 2)
