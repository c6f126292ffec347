"""Pairwise distance against scipy, and its laws."""

import pytest
import torch
from scipy.spatial.distance import pdist

from rupantara.metrics.diversity import mean_pairwise, pixel_distance


def pictures(n: int, seed: int = 0, spread: float = 1.0) -> torch.Tensor:
    return spread * (torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_it_is_the_mean_of_scipy_s_pairwise_distances(n: int) -> None:
    images = pictures(n)
    expected = pdist((images.flatten(1).numpy() + 1) / 2).mean() / (3 * 8 * 8) ** 0.5
    assert mean_pairwise(images) == pytest.approx(expected, rel=1e-6)


def test_copies_have_none_and_black_and_white_have_1() -> None:
    assert mean_pairwise(pictures(1).expand(4, 3, 8, 8)) == 0
    assert mean_pairwise(torch.stack([torch.ones(3, 8, 8), -torch.ones(3, 8, 8)])) == pytest.approx(1)


def test_order_does_not_matter_and_spread_scales() -> None:
    images = pictures(6)
    assert mean_pairwise(images.flip(0)) == pytest.approx(mean_pairwise(images))
    assert mean_pairwise(images / 2) == pytest.approx(mean_pairwise(images) / 2)


def test_another_distance_is_used_as_given() -> None:
    """Levels 0, 1, 3 by absolute difference: (1 + 3 + 2) / 3."""
    images = torch.tensor([0.0, 1.0, 3.0]).view(3, 1, 1, 1).expand(3, 3, 2, 2)
    assert mean_pairwise(images, lambda a, b: (a - b).abs().flatten(1).mean(1)) == pytest.approx(2)


def test_one_variation_has_no_diversity() -> None:
    with pytest.raises(ValueError, match="at least 2 variations"):
        mean_pairwise(pictures(1))


def test_pixel_distance_is_row_by_row() -> None:
    a, b = pictures(3), pictures(3, seed=1)
    torch.testing.assert_close(pixel_distance(a, b)[1:2], pixel_distance(a[1:2], b[1:2]))
