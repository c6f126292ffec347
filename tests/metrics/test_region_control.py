"""The share inside, by changes put at known places; the mask is the decoder's own."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation

from rupantara.landmarks.regions import CANONICAL, PART_REGION, REGIONS
from rupantara.metrics.region_control import changed_energy, region_mask
from rupantara.models import placement

SIZE = 64


def boxes(n: int = 1, domain: str = "human") -> torch.Tensor:
    return torch.tensor(CANONICAL[domain]).expand(n, 6, 4).contiguous()


@pytest.mark.parametrize("region", range(5))
@pytest.mark.parametrize("domain", ["human", "animal"])
def test_without_reach_the_mask_holds_all_that_the_decoder_places_and_four_fifths_of_it_are_that(
    region: int, domain: str
) -> None:
    wanted = boxes(2, domain)
    wanted[1] += torch.rand(6, 1, generator=torch.Generator().manual_seed(region)) * 0.2 - 0.1
    parts = [i for i, owner in enumerate(PART_REGION) if owner == region]
    placed = (placement.part_weights(wanted, SIZE)[:, parts] > 0).any(1)
    mask = region_mask(wanted, region, SIZE, reach=0.0)
    assert not (placed & ~mask).any()
    assert float(placed.sum() / mask.sum()) > 0.8


def test_the_reach_dilates_by_its_pixels() -> None:
    """1 / 16 of 64 px is 4 px on every side."""
    for region in range(5):
        core = region_mask(boxes(), region, SIZE, reach=0.0)[0].numpy()
        expected = binary_dilation(core, np.ones((9, 9)))
        assert (region_mask(boxes(), region, SIZE)[0].numpy() == expected).all(), REGIONS[region]


def test_a_transplanted_region_is_all_inside() -> None:
    images, donors = torch.zeros(5, 3, SIZE, SIZE), torch.ones(5, 3, SIZE, SIZE)
    hybrids = placement.transplant(images, boxes(5), donors, boxes(5), torch.eye(5))
    for region in range(5):
        pair = slice(region, region + 1)
        inside, whole = changed_energy(images[pair], hybrids[pair], boxes(), region)
        assert float(inside / whole) == pytest.approx(1)
        other, _ = changed_energy(images[pair], hybrids[pair], boxes(), (region + 2) % 5)
        assert float(other / whole) < 0.6


def test_half_the_energy_outside_is_a_share_of_a_half() -> None:
    base = torch.zeros(2, 3, SIZE, SIZE)
    changed = base.clone()
    changed[:, 0, 34, 32] = 0.6
    changed[:, 1, 60, 2] = -0.6
    changed[1, 2, 61, 2] = 0.6
    inside, whole = changed_energy(base, changed, boxes(2), REGIONS.index("nose"))
    torch.testing.assert_close(inside / whole, torch.tensor([1 / 2, 1 / 3], dtype=torch.float64))


def test_an_even_change_has_the_mask_s_area_as_its_share() -> None:
    base = torch.zeros(2, 3, SIZE, SIZE)
    inside, whole = changed_energy(base, base + 0.1, boxes(2), 2)
    expected = float(region_mask(boxes(), 2, SIZE).double().mean())
    assert (inside / whole).tolist() == pytest.approx([expected] * 2, rel=1e-5)
