"""Cutting and placing regions: exact where it should be, local where it must be."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.landmarks.regions import CANONICAL, PART_REGION, PARTS, REGIONS
from rupantara.models import placement


def human_boxes(n: int = 1) -> torch.Tensor:
    return torch.tensor(CANONICAL["human"]).expand(n, 6, 4).contiguous()


def test_a_box_over_the_whole_picture_cuts_the_picture():
    images = torch.rand(2, 3, 32, 32)
    boxes = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(2, 6, 4)
    crops = placement.cut_regions(images, boxes, 32)
    torch.testing.assert_close(crops[:, 1], images, atol=1e-5, rtol=0)


def test_a_gradient_is_cut_exactly():
    ramp = (torch.arange(64) + 0.5) / 64
    images = torch.stack([ramp.expand(64, 64), ramp[:, None].expand(64, 64), torch.zeros(64, 64)])[None]
    crops = placement.cut_regions(images, human_boxes(), 16)
    x0, y0, x1, y1 = CANONICAL["human"][PARTS.index("nose")]
    at = (torch.arange(16) + 0.5) / 16
    torch.testing.assert_close(crops[0, 1, 0, 3], x0 + (x1 - x0) * at, atol=1e-5, rtol=0)
    torch.testing.assert_close(crops[0, 1, 1, :, 3], y0 + (y1 - y0) * at, atol=1e-5, rtol=0)


def test_transplanting_a_face_onto_itself_changes_nothing():
    images = torch.rand(3, 3, 64, 64)
    boxes = human_boxes(3)
    out = placement.transplant(images, boxes, images, boxes, torch.ones(3, 5))
    torch.testing.assert_close(out, images, atol=1e-5, rtol=0)


@settings(max_examples=10, deadline=None)
@given(region=st.integers(0, 4))
def test_a_transplanted_region_changes_its_box_and_nothing_else(region):
    images, donors = torch.zeros(1, 3, 64, 64), torch.ones(1, 3, 64, 64)
    chosen = torch.nn.functional.one_hot(torch.tensor([region]), 5).float()
    out = placement.transplant(images, human_boxes(), donors, human_boxes(), chosen)[0, 0]
    inside = np.zeros((64, 64), bool)
    for part, box in enumerate(CANONICAL["human"]):
        if PART_REGION[part] == region:
            x0, y0, x1, y1 = (np.array(box) * 64).round().astype(int)
            inside[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = True
            # The donor's colour, drawn HARMONY of the way to what it lies on.
            middle = float(out[(y0 + y1) // 2, (x0 + x1) // 2])
            assert middle == pytest.approx(1 - placement.HARMONY, abs=1e-4)
    assert (out.numpy()[~inside] == 0).all()


def test_mirroring_boxes_twice_is_the_identity_and_exchanges_the_ears_once():
    boxes = torch.rand(4, 6, 4)
    torch.testing.assert_close(placement.mirror(placement.mirror(boxes)), boxes)
    canonical = human_boxes()
    torch.testing.assert_close(placement.mirror(canonical), canonical, atol=1e-6, rtol=0)


def test_placing_what_was_cut_puts_it_back():
    images = torch.nn.functional.interpolate(torch.rand(1, 3, 8, 8), size=(64, 64), mode="bicubic")
    boxes = human_boxes()
    layers = placement.place_parts(placement.cut_regions(images, boxes, 64), boxes, 64)
    weights = placement.part_weights(boxes, 64)
    blended, coverage = placement.blend_parts(layers, weights)
    inside = coverage[0, 0] > 0.99
    error = (blended - images)[0, :, inside].abs()
    assert float(error.mean()) < 0.01, f"mean error {float(error.mean()):.4f} over {len(REGIONS)} regions"


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(2, 9), width=st.integers(2, 9), n=st.integers(1, 7))
def test_reading_is_torch_s_bilinear_sampling_with_replicated_borders(seed, height, width, n):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(2, 3, height, width, generator=generator, requires_grad=True)
    x, y = (torch.rand(2, k, generator=generator) * 1.8 - 0.4 for k in (n, n + 1))
    grid = torch.stack([x[:, None].expand(2, n + 1, n), y[:, :, None].expand(2, n + 1, n)], dim=-1) * 2 - 1
    expected = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    found = placement._read(images, x, y)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    weight = torch.randn(found.shape, generator=generator)
    gradients = [torch.autograd.grad((out * weight).sum(), images, retain_graph=True)[0] for out in (found, expected)]
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-5)


def test_a_cut_is_its_parts_read_one_by_one_the_left_ear_on_the_left_and_boxes_may_leave_the_picture():
    images, boxes = torch.rand(3, 3, 40, 32), torch.rand(3, 6, 2)
    boxes = torch.cat([boxes - 0.3, boxes + 0.2], dim=2)
    crops = placement.cut_regions(images, boxes, 12)
    for part, region in enumerate(placement.PART_REGION):
        start, stop = (round(12 * end) for end in placement.SPANS[part])
        box = boxes[:, part]
        x, y = (
            box[:, i, None] + (box[:, i + 2] - box[:, i])[:, None] * (torch.arange(n) + 0.5) / n
            for i, n in ((0, stop - start), (1, 12))
        )
        torch.testing.assert_close(crops[:, region, :, :, start:stop], placement._read(images, x, y), atol=1e-5, rtol=0)
    assert [placement.SPANS[PARTS.index(name)] for name in ("left_ear", "right_ear")] == [(0.0, 0.5), (0.5, 1.0)]


def test_maps_in_bfloat16_are_placed_in_bfloat16_and_within_one_percent():
    maps = torch.randn(2, 5, 4, 8, 8)
    boxes = human_boxes(2)
    exact = placement.place_parts(maps, boxes, 32)
    found = placement.place_parts(maps.bfloat16(), boxes, 32)
    assert found.dtype == torch.bfloat16
    assert float((found.float() - exact).norm() / exact.norm()) < 0.01


def test_taps_by_hand():
    """Pixel centres of four lie at 1/8, 3/8, 5/8, 7/8: on one, between two, beyond both ends."""
    taps = placement._taps(torch.tensor([[0.375, 0.5, 0.125, -1.0, 0.05, 1.0]]), 4)[0]
    half = [0.0, 0.5, 0.5, 0.0]
    assert taps.tolist() == [[0, 1, 0, 0], half, [1, 0, 0, 0], [1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1]]


def test_harmonizing_with_itself_changes_nothing_and_an_even_difference_is_drawn_by_the_harmony():
    images = torch.rand(1, 3, 32, 32)
    boxes = human_boxes()
    layers = images[:, None].expand(1, 6, 3, 32, 32)
    torch.testing.assert_close(placement.harmonize(layers, boxes, images), layers.contiguous(), atol=1e-6, rtol=0)
    torch.testing.assert_close(
        placement.harmonize(layers, boxes, images + 0.4), layers + 0.4 * placement.HARMONY, atol=1e-5, rtol=0
    )


def test_a_hybrid_s_boxes_are_the_human_s_where_nothing_is_mixed_and_an_animal_s_where_all_is():
    boxes = human_boxes(2)
    shares = torch.stack([torch.zeros(5), torch.ones(5)])
    found = placement.hybrid_boxes(boxes, shares)
    assert torch.equal(found[0], boxes[0])
    centre = (boxes[1, :, :2] + boxes[1, :, 2:]) / 2
    nose = PARTS.index("nose")
    torch.testing.assert_close((found[1, nose, :2] + found[1, nose, 2:]) / 2, centre[nose])
    width = (boxes[1, nose, 2] - boxes[1, nose, 0]) * placement.HYBRID_SCALE[REGIONS.index("nose")]
    torch.testing.assert_close(found[1, nose, 2] - found[1, nose, 0], width)
    ears = found[1, [PARTS.index("left_ear"), PARTS.index("right_ear")]]
    torch.testing.assert_close(ears, torch.tensor(placement.ANIMAL_EARS))
    torch.testing.assert_close(placement.mirror(found), placement.hybrid_boxes(placement.mirror(boxes), shares))


def test_a_correction_meets_laplace_s_equation_inside_and_the_difference_at_the_rim():
    rim, inwards = placement._harmonic()
    side = placement.RIM
    y, x = np.mgrid[:side, :side].astype(float)
    harmonic = x**2 - y**2 + 3 * x * y - 2 * y
    np.testing.assert_allclose((inwards @ harmonic.ravel()[rim]).reshape(side, side), harmonic, atol=1e-3)


def test_resizing_is_torch_s_bilinear_interpolation():
    images = torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    for size in (96, 24, 37):
        expected = F.interpolate(images, size=(size, size), mode="bilinear", align_corners=False)
        torch.testing.assert_close(placement.resize(images, size), expected)
