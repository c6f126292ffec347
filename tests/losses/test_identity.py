"""Identity loss: one less the cosine of what the crop's network says, gradients to outputs only."""

import torch
from torch import Tensor

from rupantara.landmarks.crop import ARCFACE_TEMPLATE
from rupantara.losses.identity import identity_distance

POINTS = torch.tensor(ARCFACE_TEMPLATE)


def pictures(seed: int, n: int = 3) -> Tensor:
    return torch.rand(n, 3, 112, 112, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def quadrants(crops: Tensor) -> Tensor:
    """A network of no weights: mean levels of 2 x 2 cells, less the middle level."""
    return torch.nn.functional.adaptive_avg_pool2d(crops, 2).flatten(1) - 127.5


def test_it_is_one_less_the_cosine_of_the_crops_of_aligned_faces() -> None:
    a, b = pictures(0), pictures(1)
    found = identity_distance(quadrants, a, b, POINTS.expand(3, 5, 2))
    x, y = (torch.nn.functional.adaptive_avg_pool2d(z, 2).flatten(1) for z in (a, b))
    expected = 1 - (x * y).sum(1) / (x.norm(dim=1) * y.norm(dim=1))
    torch.testing.assert_close(found, expected, atol=1e-2, rtol=0)
    assert float(expected.std()) > 0.1


def test_equal_faces_cost_nothing_and_opposite_ones_two() -> None:
    a, points = pictures(0), POINTS.expand(3, 5, 2)
    torch.testing.assert_close(identity_distance(quadrants, a, a, points), torch.zeros(3), atol=1e-6, rtol=0)
    torch.testing.assert_close(identity_distance(quadrants, a, -a, points), torch.full((3,), 2.0), atol=1e-5, rtol=0)


def test_only_what_the_crop_shows_counts() -> None:
    """A face of half the size in a corner: what lies outside its crop changes nothing."""
    small = POINTS / 2 + 4
    a, b = pictures(0), pictures(1)
    around = a.clone()
    around[:, :, 80:] = -1
    inside = a.clone()
    inside[:, :, 10:30, 10:60] = 1
    points = small.expand(3, 5, 2)
    before, outside, within = (identity_distance(quadrants, x, b, points) for x in (a, around, inside))
    assert torch.equal(before, outside)
    assert float((before - within).abs().min()) > 1e-2


def test_gradients_reach_the_outputs_only() -> None:
    a, b = pictures(0, 1).requires_grad_(), pictures(1, 1).requires_grad_()
    identity_distance(quadrants, a, b, POINTS[None]).sum().backward()
    assert b.grad is None
    assert a.grad is not None and float((a.grad != 0).float().mean()) > 0.9
