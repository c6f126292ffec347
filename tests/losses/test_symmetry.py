"""Symmetric pictures cost nothing, and only asymmetry that the photograph has not."""

import pytest
import torch

from rupantara.losses.symmetry import asymmetry, excess_asymmetry


def pictures(n: int = 2, side: int = 64, seed: int = 0) -> torch.Tensor:
    coarse = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def test_symmetric_pictures_cost_nothing_and_others_something() -> None:
    images = pictures()
    even = (images + images.flip(3)) / 2
    torch.testing.assert_close(asymmetry(even), torch.zeros(2), atol=1e-12, rtol=0)
    assert (asymmetry(images) > 1e-3).all()
    torch.testing.assert_close(asymmetry(images), asymmetry(images.flip(3)))


def test_by_hand_and_whatever_the_size() -> None:
    """Left half 1, right half 0: each pixel differs from its mirror by 1."""
    for side in (32, 64, 256):
        images = torch.zeros(1, 3, side, side)
        images[..., : side // 2] = 1
        assert float(asymmetry(images)) == pytest.approx(1)


def test_what_is_finer_than_the_coarse_side_is_nobody_s_symmetry() -> None:
    hairs = torch.zeros(1, 3, 64, 64)
    hairs[..., ::4, 0:20:2], hairs[..., 0:20:2] = 0.0, 0.5
    fine = torch.zeros(1, 3, 64, 64)
    fine[..., 0:20:2], fine[..., 1:20:2] = 1.0, -1.0
    assert float(asymmetry(fine)) == 0 < float(asymmetry(hairs))


def test_only_excess_over_the_target_counts() -> None:
    images = pictures()
    even = (images + images.flip(3)) / 2
    assert excess_asymmetry(images, images).tolist() == [0.0, 0.0]
    assert excess_asymmetry(even, images).tolist() == [0.0, 0.0]
    torch.testing.assert_close(excess_asymmetry(images, even), asymmetry(images))


def test_gradients_make_outputs_more_symmetric_until_they_are_like_their_target() -> None:
    outputs, targets = pictures().requires_grad_(), pictures(seed=1)
    targets = (targets + 3 * targets.flip(3)) / 4
    before = excess_asymmetry(outputs, targets)
    before.sum().backward()
    assert outputs.grad is not None
    after = excess_asymmetry(outputs.detach() - 10 * outputs.grad, targets)
    assert (after < before.detach())[before.detach() > 0].all() and (before > 0).any()
    calm = pictures().requires_grad_()
    excess_asymmetry(calm, pictures() * 2).sum().backward()
    assert calm.grad is not None and (calm.grad == 0).all()
