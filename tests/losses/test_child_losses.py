"""The three losses of 002_…, 3.5: by hand, and against torch's own distributions."""

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from rupantara.losses.kinship import kinship_distance
from rupantara.losses.normality import normality
from rupantara.losses.smoothness import departure


def test_kinship_is_one_less_the_mean_of_both_cosines() -> None:
    child = torch.tensor([[1.0, 0], [2, 0], [1, 1]])
    first = torch.tensor([[5.0, 0], [0, 3], [-1, -1]])
    second = torch.tensor([[0.0, 2], [0, -3], [1, 1]])
    torch.testing.assert_close(kinship_distance(child, first, second), torch.tensor([0.5, 1.0, 1.0]))
    torch.testing.assert_close(kinship_distance(child, first, second), kinship_distance(child * 7, second, first))


def test_normality_is_torchs_divergence_of_the_batchs_moments() -> None:
    codes = torch.randn(24, 3, 5, dtype=torch.float64) * 0.7 + 0.2
    batch = Normal(codes.mean(0), codes.std(0))
    wanted = kl_divergence(batch, Normal(torch.zeros(3, 5).double(), torch.ones(3, 5).double()))
    torch.testing.assert_close(normality(codes), wanted.sum())
    live = torch.rand(3, 5) > 0.5
    torch.testing.assert_close(normality(codes, live), wanted[live].sum())
    standard = (codes - codes.mean(0)) / codes.std(0)
    assert normality(standard).item() == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(normality(torch.zeros(2, 3)))
    with pytest.raises(ValueError, match="at least 2 rows, got 1"):
        normality(codes[:1])


def test_a_mean_of_parents_is_less_normal_than_codes_are() -> None:
    """Half the variance: the divergence says how far a plain average leaves what the decoder knows."""
    first, second = torch.randn(2, 4000, 10)
    nats = normality((first + second) / 2) / 10
    assert nats.item() == pytest.approx((0.5 - 1 + 0.6931) / 2, abs=0.01)


def test_smoothness_is_the_norm_of_the_departure_by_hand() -> None:
    first, second = torch.zeros(2, 2, 2), torch.ones(2, 2, 2) * 4
    child = torch.full((2, 2, 2), 3.0)
    torch.testing.assert_close(departure(child, first, second, 0.5), torch.tensor([2.0, 2.0]))
    alpha = torch.tensor([0.25, 0.75])
    torch.testing.assert_close(departure(child, first, second, alpha), torch.tensor([0.0, 4.0]), atol=1e-5, rtol=1e-5)
    swapped = departure(child, second, first, 1 - alpha)
    torch.testing.assert_close(departure(child, first, second, alpha), swapped)
    level = ((first + second) / 2).requires_grad_()
    departure(level, first, second, 0.5).sum().backward()
    assert level.grad is not None and torch.isfinite(level.grad).all()
