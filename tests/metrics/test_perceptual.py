"""The distance by hand and by torchmetrics' own parts; 0 for equals; gradients; only LPIPS's file is taken for heads."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
import torchmetrics.functional.image as functional
from torchmetrics.functional.image.lpips import NetLinLayer, _normalize_tensor, _spatial_average

from rupantara.metrics.perceptual import CHANNELS, HEADS, load_heads, lpips_caffe_squeezenet
from rupantara.models import squeezenet
from rupantara.storage import weights
from tests.conftest import WEIGHTS


def published(scale: float = 1.0) -> bytes:
    generator = torch.Generator().manual_seed(0)
    shapes = zip(HEADS, CHANNELS, strict=True)
    state = {name: scale * torch.rand(1, c, 1, 1, generator=generator) for name, c in shapes}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def net() -> squeezenet.SqueezeNet:
    torch.manual_seed(0)
    return squeezenet.SqueezeNet().eval().requires_grad_(False)


def pictures(n: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand(n, 3, 64, 64, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_taps_are_those_of_the_network() -> None:
    assert CHANNELS == squeezenet.CHANNELS


def test_it_is_the_distance_that_torchmetrics_builds_of_the_same_features(net: squeezenet.SqueezeNet) -> None:
    a, b, heads = pictures(), pictures(seed=1), load_heads(published())
    expected = torch.zeros(3)
    for x, y, head in zip(net.features(a), net.features(b), heads, strict=True):
        layer = NetLinLayer(len(head)).eval()
        layer.model[-1].weight.data = head.view(1, -1, 1, 1)
        squared = (_normalize_tensor(x) - _normalize_tensor(y)) ** 2
        expected += _spatial_average(layer(squared), keep_dim=False)[:, 0].detach()
    found = lpips_caffe_squeezenet(net.features, a, b, heads)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_by_hand_without_heads() -> None:
    """Channels (3, 4) and (4, 3) are (0.6, 0.8) and (0.8, 0.6): 2 x 0.2² = 0.08 at one of two positions, equal at the other."""
    x = torch.tensor([[3.0, 5.0], [4.0, 0.0]]).view(1, 2, 1, 2)
    y = torch.tensor([[4.0, 1.0], [3.0, 0.0]]).view(1, 2, 1, 2)
    taps = iter([[x, x], [y, y]])
    found = lpips_caffe_squeezenet(lambda _: next(taps), pictures(1), pictures(1))
    torch.testing.assert_close(found, torch.tensor([2 * 0.08 / 2]))


@pytest.mark.parametrize("heads", [None, load_heads(published())])
def test_equals_are_at_0_and_it_is_symmetric_and_row_by_row(net: squeezenet.SqueezeNet, heads) -> None:
    a, b = pictures(), pictures(seed=1)
    assert torch.equal(lpips_caffe_squeezenet(net.features, a, a, heads), torch.zeros(3))
    found = lpips_caffe_squeezenet(net.features, a, b, heads)
    assert (found > 0.01).all()
    torch.testing.assert_close(lpips_caffe_squeezenet(net.features, b, a, heads), found)
    alone = torch.cat([lpips_caffe_squeezenet(net.features, a[i : i + 1], b[i : i + 1], heads) for i in range(3)])
    torch.testing.assert_close(alone, found)


def test_a_stronger_blur_is_farther(net: squeezenet.SqueezeNet) -> None:
    a = pictures(2)
    blurred = [torch.nn.functional.avg_pool2d(a, k, 1, k // 2, count_include_pad=False) for k in (3, 9)]
    near, far = (lpips_caffe_squeezenet(net.features, x, a) for x in blurred)
    assert (far > near).all()


def test_gradients_reach_the_picture_and_stay_finite_on_flat_ones(net: squeezenet.SqueezeNet) -> None:
    a = torch.cat([pictures(1), torch.zeros(1, 3, 64, 64)]).requires_grad_()
    lpips_caffe_squeezenet(net.features, a, pictures(2, seed=1), load_heads(published())).sum().backward()
    assert a.grad is not None and torch.isfinite(a.grad).all()
    assert (a.grad[0] != 0).float().mean() > 0.9


def test_descending_it_brings_a_picture_nearer(net: squeezenet.SqueezeNet) -> None:
    target, a = pictures(1), pictures(1, seed=1).requires_grad_()
    optimiser, seen = torch.optim.Adam([a], lr=0.1), []
    for _ in range(8):
        loss = lpips_caffe_squeezenet(net.features, a, target).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        seen.append(float(loss.detach()))
    assert seen[-1] < 0.7 * seen[0], seen


def test_another_file_is_refused_by_its_keys() -> None:
    buffer = io.BytesIO()
    torch.save({name: torch.rand(1, 7, 1, 1) for name in HEADS}, buffer)
    with pytest.raises(ValueError, match="heads must be those"):
        load_heads(buffer.getvalue())


def test_the_catalogue_s_file_is_the_one_torchmetrics_ships() -> None:
    if not (WEIGHTS / weights.CATALOGUE["lpips_squeeze"].file).exists():
        pytest.skip(f"the published heads are not in {WEIGHTS}")
    heads = load_heads(weights.load(str(WEIGHTS), "lpips_squeeze"))
    theirs = Path(functional.__file__).parent / "lpips_models/squeeze.pth"
    for ours, other in zip(heads, load_heads(theirs.read_bytes()), strict=True):
        np.testing.assert_array_equal(ours, other)
        assert (ours >= 0).all()
