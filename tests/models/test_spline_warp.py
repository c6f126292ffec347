"""The torch spline is the numpy one and scipy's, leaves what stays, and has the gradient of what it computes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import RBFInterpolator
from torch.utils._python_dispatch import TorchDispatchMode

from rupantara.landmarks import spline
from rupantara.landmarks.morph import frame_points
from rupantara.models import radial_field
from rupantara.models.spline_warp import flow, hold_boundary, warp

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(16, 90), st.integers(16, 90))


def _points(seed: int, batch: int, number: int, height: int, width: int, moved: float = 3.0) -> tuple:
    """Draw targets on whole pixels, no two the same, the first three not on one line, and sources near them."""
    rng = np.random.default_rng(seed)
    corners = [0, width - 1, (height - 1) * width]
    inner = np.setdiff1d(np.arange(height * width), corners)
    drawn = [np.array([*corners, *rng.choice(inner, number - 3, replace=False)]) for _ in range(batch)]
    target = np.stack([np.stack(np.divmod(of, width)[::-1], axis=1) for of in drawn]).astype(np.float32)
    source = target + rng.normal(0, moved, target.shape).astype(np.float32)
    return torch.from_numpy(target), torch.from_numpy(source)


def _noise(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed % 2**31), dtype=dtype) * 2 - 1


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(3, 76), size=sizes)
def test_equal_points_return_the_picture_itself(seed: int, number: int, size: tuple[int, int]) -> None:
    target, _ = _points(seed, 2, number, *size)
    target = target + _noise(seed, *target.shape) / 3
    images = _noise(seed, 2, 3, *size)
    torch.testing.assert_close(warp(images, target, target), images, atol=1e-6, rtol=0)
    np.testing.assert_array_equal(flow(target, target, *size)[0], np.stack(np.meshgrid(*map(np.arange, size[::-1]))))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(4, 76), size=sizes)
def test_the_flow_is_that_of_scipy_s_linear_radial_basis(seed: int, number: int, size: tuple[int, int]) -> None:
    (target,), (source,) = points = _points(seed, 1, number, *size)
    reference = RBFInterpolator(target.numpy(), source.numpy(), kernel="linear", degree=1)
    grid = np.stack(np.meshgrid(np.arange(size[1]), np.arange(size[0]))).reshape(2, -1).T
    expected = reference(grid).T.reshape(1, 2, *size)
    np.testing.assert_allclose(flow(*points, *size), expected, atol=1e-3)


@pytest.mark.parametrize("smoothing", [0.3, 20.0])
def test_smoothing_is_scipy_s(smoothing: float) -> None:
    (target,), (source,) = points = _points(1, 1, 30, 50, 40)
    reference = RBFInterpolator(target.numpy(), source.numpy(), kernel="linear", degree=1, smoothing=smoothing)
    expected = reference(target.numpy())
    found = flow(*points, 50, 40, smoothing=smoothing)
    x, y = target.int().T
    np.testing.assert_allclose(found[0, :, y, x].T, expected, atol=1e-3)
    assert np.abs(expected - source.numpy()).max() > 0.1


@settings(max_examples=20, deadline=None)
@given(seed=seeds, number=st.integers(3, 76), size=sizes)
def test_numpy_and_torch_agree(seed: int, number: int, size: tuple[int, int]) -> None:
    target, source = _points(seed, 3, number, *size)
    for i, found in enumerate(flow(target, source, *size)):
        expected = spline.flow(target[i].numpy(), source[i].numpy(), height=size[0], width=size[1])[0]
        np.testing.assert_allclose(found, expected, atol=1e-3)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, repeats=st.integers(1, 8))
def test_repeated_points_are_merged_as_numpy_merges_them(seed: int, repeats: int) -> None:
    target, source = _points(seed, 2, 12, 40, 50)
    shift = _noise(seed, 2, repeats, 2) * spline.MIN_DISTANCE_PX
    target = torch.cat([target, target[:, :repeats] + shift], dim=1)
    source = torch.cat([source, source[:, :repeats] + 2], dim=1)
    order = torch.randperm(12 + repeats, generator=torch.Generator().manual_seed(seed % 2**31))
    target, source = target[:, order], source[:, order]
    for i, found in enumerate(flow(target, source, 40, 50)):
        expected = spline.flow(target[i].numpy(), source[i].numpy(), height=40, width=50)[0]
        np.testing.assert_allclose(found, expected, atol=2e-3)


def test_a_shift_by_whole_pixels_shifts_the_picture() -> None:
    target, _ = _points(2, 1, 20, 30, 44)
    images = _noise(2, 1, 3, 30, 44)
    moved = warp(images, target - torch.tensor([5.0, 2.0]), target)
    torch.testing.assert_close(moved[..., 2:, 5:], images[..., :-2, :-5], atol=1e-4, rtol=0)
    torch.testing.assert_close(moved[..., :2, 5:], images[..., :1, :-5].expand(-1, -1, 2, -1), atol=1e-4, rtol=0)


def test_a_pixel_at_a_source_point_comes_to_its_target() -> None:
    target, _ = _points(3, 1, 20, 60, 80)
    source = target.roll(1, dims=1) * 0.5 + 10
    source = source.round()
    images = _noise(3, 1, 3, 60, 80)
    warped = warp(images, source, target)
    (tx, ty), (sx, sy) = target[0].int().T, source[0].int().T
    torch.testing.assert_close(warped[0, :, ty, tx], images[0, :, sy, sx], atol=1e-3, rtol=0)


def test_a_result_of_another_size_is_the_corner_of_a_larger_one() -> None:
    target, source = _points(4, 2, 20, 30, 30)
    images = _noise(4, 2, 3, 30, 30)
    large = warp(images, source, target, size=(37, 61))
    torch.testing.assert_close(warp(images, source, target, size=(21, 50)), large[..., :21, :50], atol=1e-4, rtol=0)


def test_a_batch_is_its_pictures_one_by_one() -> None:
    target, source = _points(5, 5, 30, 61, 47)
    images = _noise(5, 5, 3, 61, 47)
    one_by_one = torch.cat([warp(images[i : i + 1], source[i : i + 1], target[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(warp(images, source, target), one_by_one, atol=1e-4, rtol=0)


def test_one_target_for_a_batch_of_sources_is_that_target_repeated() -> None:
    (target, _), (_, source) = _points(6, 1, 20, 40, 50), _points(7, 4, 20, 40, 50)
    images = _noise(6, 4, 3, 40, 50, dtype=torch.float64)
    found = []
    for expanded in (False, True):
        shared, sources = target.double().requires_grad_(), source.double().requires_grad_()
        warped = warp(images, sources, shared.expand(4, -1, -1) if expanded else shared)
        found.append([warped, *torch.autograd.grad(warped.square().sum(), (shared, sources))])
    for shared, expanded in zip(*found, strict=True):
        # As exact as gradients are in float64 (`radial_field`): to a millionth of the largest.
        torch.testing.assert_close(shared, expanded, atol=1e-6 * max(1.0, float(expanded.abs().max())), rtol=1e-6)


def _smooth(height: int, width: int) -> torch.Tensor:
    """Draw two pictures of one channel, without kinks on the way of the warp: bilinear ones have them at whole pixels only."""
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    return torch.stack([torch.sin(x / 2 + y / 5), torch.cos(x / 4 - y / 2)])[:, None]


GRADCHECKED = {
    "exact": {},
    "smoothed": {"smoothing": 0.7},
    "held": {"boundary": True},
    "coarse": {"stride": 3},
    "larger": {"size": (7, 8)},
}


@pytest.mark.parametrize("options", GRADCHECKED.values(), ids=GRADCHECKED)
@pytest.mark.parametrize("targets", [1, 2], ids=["one target", "a target each"])
def test_the_gradient_is_that_of_finite_differences(options: dict, targets: int) -> None:
    target, source = (p.double() for p in _points(8, 2, 4, 6, 7, moved=0.3))
    inputs = (_smooth(6, 7), source * 0.8 + 0.71, target[:targets] * 0.8 + 0.63)
    inputs = tuple(one.requires_grad_() for one in inputs)
    assert torch.autograd.gradcheck(lambda i, s, t: warp(i, s, t, **options), inputs, eps=1e-7, atol=1e-4)


def test_the_gradient_of_merged_points_is_that_of_finite_differences() -> None:
    target, source = (p.double() for p in _points(9, 1, 6, 7, 8))
    target = torch.cat([target, target[:, 4:5] + 0.1], dim=1) + 0.13
    source = torch.cat([source, source[:, 3:4]], dim=1)
    inputs = (target.requires_grad_(), source.requires_grad_())
    assert torch.autograd.gradcheck(lambda t, s: flow(t, s, 7, 8), inputs, atol=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, number=st.integers(3, 40))
def test_points_on_whole_pixels_have_the_gradient_of_their_surroundings(seed: int, number: int) -> None:
    """At the tip of a cone the slope is 0, the mean of its sides; reference: autograd through a dense map in float64."""
    weights = _noise(seed, 1, 2, 40, 50)
    points = [p.double().requires_grad_() for p in _points(seed, 1, number, 40, 50)]
    expected = torch.autograd.grad((_dense_flow(*points, 40, 50) * weights).sum(), points)
    # In 32 bits splines of near points are solved to two digits: of 151 draws three were beyond 5e-3, the worst 1.1e-2 off.
    for dtype, error in ((torch.float32, 2e-2), (torch.float64, 1e-5)):
        cast = [p.detach().to(dtype).requires_grad_() for p in points]
        for found, exact in zip(
            torch.autograd.grad((flow(*cast, 40, 50) * weights).sum(), cast), expected, strict=True
        ):
            torch.testing.assert_close(found.double(), exact, atol=error * exact.abs().max().item(), rtol=0)


def _dense_flow(target: torch.Tensor, source: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """State equations 3 to 6 without tiles: solved for the sources themselves, all distances at once."""

    def distances(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        squared = (one[:, :, None] - other[:, None]).square().sum(-1)
        return torch.where(squared > 0, squared, 1).sqrt() * (squared > 0)

    zeros = target.new_zeros(len(target), 3, 3)
    linear = torch.nn.functional.pad(target, (0, 1), value=1.0)
    top = torch.cat([distances(target, target), linear], dim=2)
    system = torch.cat([top, torch.cat([linear.transpose(1, 2), zeros], dim=2)], dim=1)
    weights = torch.linalg.solve(system, torch.cat([source, zeros[..., :2]], dim=1))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).reshape(1, -1, 2).to(target).expand(len(target), -1, -1)
    basis = torch.cat([distances(pixels, target), pixels, torch.ones_like(pixels[..., :1])], dim=2)
    return (basis @ weights).transpose(1, 2).unflatten(2, (height, width))


def test_a_tip_on_a_pixel_has_slope_zero_in_its_centre() -> None:
    """By hand: with a gradient at the tip alone, nothing moves by d r / d c, so weights and centres get none through it."""
    centres = torch.tensor([[[4.0, 3.0], [1.0, 1.0]]], requires_grad=True)
    weights = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]], requires_grad=True)
    field = radial_field.radial_field(weights, centres, torch.arange(8.0), torch.arange(6.0))
    by_weights, by_centres = torch.autograd.grad(field[0, 0, 3, 4], (weights, centres))
    torch.testing.assert_close(by_centres, torch.zeros(1, 2, 2), atol=1e-3, rtol=0)
    torch.testing.assert_close(by_weights[0, :, 0], torch.tensor([0.0, 13**0.5]), atol=2e-3, rtol=0)


def test_autocast_changes_nothing_and_bfloat16_pictures_are_rounded_once() -> None:
    """The stated error: half a unit in the last of bfloat16's 8 places, for colours in [-1, 1]."""
    target, source = _points(10, 2, 30, 40, 50)
    images = _noise(10, 2, 3, 40, 50)

    def gradients() -> tuple:
        inputs = [p.clone().requires_grad_() for p in (images, source, target)]
        warped = warp(*inputs)
        return (warped, *torch.autograd.grad(warped.square().sum(), inputs))

    exact = gradients()
    with torch.autocast("cpu", torch.bfloat16):
        for cast, full in zip(gradients(), exact, strict=True):
            assert cast.dtype == torch.float32
            torch.testing.assert_close(cast, full, atol=0, rtol=0)
        rounded = warp(images.bfloat16(), source, target)
    assert rounded.dtype == torch.bfloat16
    full = warp(images.bfloat16().float(), source, target)
    torch.testing.assert_close(rounded.float(), full, atol=2**-9, rtol=0)
    # The rounding of the pictures themselves adds as much again.
    torch.testing.assert_close(rounded.float(), exact[0], atol=2**-8, rtol=0)


class _Largest(TorchDispatchMode):
    """Note the number of elements of the largest tensor that any operation returns."""

    elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for tensor in torch.utils._pytree.tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return out


def test_forward_and_backward_store_nothing_of_the_size_of_pixels_times_points() -> None:
    target, source = (p.requires_grad_() for p in _points(11, 8, 68, 112, 112))
    images = _noise(11, 8, 3, 112, 112).requires_grad_()
    with _Largest() as largest:
        warp(images, source, target).sum().backward()
    assert largest.elements == 8 * 3 * 128 * 128
    assert largest.elements < 8 * 68 * 112 * 112 / 15


def test_a_tile_of_any_size_gives_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [p.double().requires_grad_() for p in _points(12, 5, 20, 23, 31)]
    weights, found = _noise(12, 5, 2, 23, 31), []
    for tile in (1, 20 * 31 * 3, 20 * 31 * 70, 2**24):
        monkeypatch.setitem(radial_field.TILE, "cpu", tile)
        made = flow(*points, 23, 31)
        found.append([made, *torch.autograd.grad((made * weights).sum(), points)])
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            torch.testing.assert_close(one, two, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("stride", [2, 4, 7])
def test_a_coarse_flow_is_exact_on_its_grid_and_for_affine_maps(stride: int) -> None:
    target, source = _points(13, 2, 20, 41, 54)
    exact, coarse = flow(target, source, 41, 54), flow(target, source, 41, 54, stride=stride)
    at = (slice(None), slice(None), slice(None, None, stride), slice(None, None, stride))
    torch.testing.assert_close(coarse[at], exact[at], atol=1e-3, rtol=0)
    assert (coarse - exact).abs().max() > 0.01
    affine = target @ torch.tensor([[1.1, 0.2], [-0.1, 0.9]]) + 3
    torch.testing.assert_close(
        flow(target, affine, 41, 54, stride=stride), flow(target, affine, 41, 54), atol=1e-3, rtol=0
    )


def test_a_held_boundary_stays_and_is_the_frame_of_the_morphs() -> None:
    target, source = (p * 0.6 + 8 for p in _points(14, 2, 20, 40, 50))
    held = flow(target, source, 40, 50, boundary=True)
    frame = frame_points(50, 40)
    corners = torch.from_numpy(frame[(frame % 1 == 0).all(1)])
    x, y = corners.int().T
    torch.testing.assert_close(held[..., y, x], corners.T.float().expand(2, -1, -1), atol=1e-3, rtol=0)
    by_hand = flow(hold_boundary(target, 40, 50), hold_boundary(source, 40, 50), 40, 50)
    torch.testing.assert_close(held, by_hand, atol=0, rtol=0)
    expected = spline.flow(np.concatenate([target[0], frame]), np.concatenate([source[0], frame]), height=40, width=50)
    np.testing.assert_allclose(held[0], expected[0], atol=1e-3)


@pytest.mark.timeout(600)
def test_the_compiled_path_is_the_plain_one() -> None:
    batch, number, height, width = 3, 68, 48, 64
    points = [p.requires_grad_() for p in _points(0, batch, number, height, width)]
    weights, found = _noise(0, batch, 2, height, width), []
    for compiled in (False, True):
        made = flow(*points, height, width, compiled=compiled)
        found.append([made, *torch.autograd.grad((made * weights).sum(), points)])
    for plain, fused in zip(*found, strict=True):
        torch.testing.assert_close(plain, fused, atol=1e-3, rtol=0)


LINE = np.stack([np.arange(6) * 5.0, 3 + np.arange(6) * 2.5], axis=1)
TRIANGLE = np.array([[0.0, 0], [20, 1], [4, 18]])
DEGENERATE = {
    "on a line": LINE,
    "on a row": LINE * (1, 0),
    "two": TRIANGLE[:2],
    "two repeated": np.repeat(TRIANGLE[:2], 4, axis=0),
    "one repeated": np.full((68, 2), 7.0),
    "not a number": np.where(TRIANGLE == 18, np.nan, TRIANGLE),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("points", DEGENERATE.values(), ids=DEGENERATE)
def test_points_that_determine_no_spline_are_refused_by_name(points: np.ndarray, dtype: torch.dtype) -> None:
    target = torch.from_numpy(points)[None].to(dtype)
    with pytest.raises(spline.DegenerateError, match=r"finite|three or more distinct ones, .* off any line"):
        warp(torch.zeros(1, 3, 16, 24), target.nan_to_num() + 1, target)


def test_a_degenerate_row_is_named_and_a_boundary_mends_it() -> None:
    target, source = _points(15, 3, 6, 32, 32)
    target[1] = torch.from_numpy(LINE)
    with pytest.raises(ValueError, match="row 1"):
        flow(target, source, 32, 32)
    assert flow(target, source, 32, 32, boundary=True).isfinite().all()


@pytest.mark.parametrize(
    ("target", "source", "options", "rule"),
    [
        ((2, 5, 2), (2, 6, 2), {}, "must be"),
        ((2, 5, 2), (3, 5, 2), {}, "must be"),
        ((5, 2), (5, 2), {}, "must be"),
        ((1, 5, 3), (1, 5, 3), {}, "must be"),
        ((1, 5, 2), (1, 5, 2), {"smoothing": -1.0}, "smoothing"),
        ((1, 5, 2), (1, 5, 2), {"stride": 0}, "stride"),
    ],
)
def test_wrong_arguments_are_refused_by_name(target: tuple, source: tuple, options: dict, rule: str) -> None:
    with pytest.raises(ValueError, match=rule):
        flow(_noise(0, *target), _noise(1, *source), 8, 8, **options)
