"""StyleGAN2: published sizes, each block against a float64 reference written from the papers, both precisions."""

import numpy as np
import pytest
import torch
from scipy import signal

from rupantara.models import stylegan2_layers as layers
from rupantara.models.stylegan2 import StyleGAN2, StyleGAN2Config

SMALL = StyleGAN2Config(size=32, style_dim=24, most=16)
TAPS = np.outer([1.0, 3, 3, 1], [1.0, 3, 3, 1]) / 64


def _upfirdn(x: np.ndarray, kernel: np.ndarray, up: int, pad: tuple[int, int]) -> np.ndarray:
    """By scipy: zeros between pixels, padding, full convolution in double precision."""
    out = []
    for plane in x.reshape(-1, *x.shape[2:]):
        wide = np.zeros((plane.shape[0] * up, plane.shape[1] * up))
        wide[::up, ::up] = plane
        out.append(signal.convolve2d(np.pad(wide, pad), kernel, mode="valid"))
    return np.stack(out).reshape(*x.shape[:2], *out[0].shape)


def _modulated(x: np.ndarray, weight: np.ndarray, scales: np.ndarray, *, demodulate: bool, up: bool) -> np.ndarray:
    """A kernel for each sample, correlated plane by plane (eq. 1 and 3); doubling is a transposed convolution and the blur."""
    out = []
    for sample, scale in zip(x, scales, strict=True):
        kernel = weight * scale[None, :, None, None]
        if demodulate:
            kernel = kernel / np.sqrt((kernel**2).sum((1, 2, 3), keepdims=True) + 1e-8)
        planes = []
        for filters in kernel:
            total = 0.0
            for plane, k in zip(sample, filters, strict=True):
                if up:
                    wide = np.zeros((2 * len(plane) - 1,) * 2)
                    wide[::2, ::2] = plane
                    total = total + signal.convolve2d(wide, k, mode="full")
                else:
                    total = total + signal.correlate2d(plane, k, mode="same")
            planes.append(total)
        out.append(np.stack(planes))
    made = np.stack(out)
    return _upfirdn(made, TAPS * 4, 1, (1, 1)) if up else made


@pytest.mark.parametrize(
    ("size", "multiplier", "parameters"),
    [(1024, 2, 30_370_060), (512, 2, 30_276_583), (256, 2, 30_034_338), (1024, 1, 24_900_764)],
)
def test_parameters_are_as_many_as_the_published_networks_have(size: int, multiplier: int, parameters: int) -> None:
    with torch.device("meta"):
        model = StyleGAN2(StyleGAN2Config(size, multiplier=multiplier))
    assert sum(p.numel() for p in model.parameters()) == parameters
    if size == 1024:
        assert model.num_noises == 17
        assert sum(b.numel() for b in model.noises.buffers()) == 2_796_176
        assert model.config.num_layers == 18


@pytest.mark.parametrize(("up", "pad"), [(1, (1, 1)), (2, (2, 1)), (1, (2, 1))])
def test_upfirdn_is_scipys(up: int, pad: tuple[int, int]) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 6, 5))
    uneven = np.arange(16.0).reshape(4, 4) / 30  # A kernel that is not symmetric shows which way it is laid.
    found = layers.upfirdn(torch.from_numpy(x), torch.from_numpy(uneven), up=up, pad=pad).numpy()
    np.testing.assert_allclose(found, _upfirdn(x, uneven, up, pad), atol=1e-12)


@pytest.mark.parametrize(("side", "demodulate", "up"), [(3, True, False), (3, True, True), (1, False, False)])
@pytest.mark.parametrize(("dtype", "atol"), [(torch.float64, 1e-6), (torch.float32, 1e-5), (torch.bfloat16, 6e-2)])
def test_a_modulated_convolution_is_a_kernel_for_each_sample(
    side: int, demodulate: bool, up: bool, dtype: torch.dtype, atol: float
) -> None:
    torch.manual_seed(1)
    conv = layers.ModulatedConv2d(4, 5, side, 7, demodulate=demodulate, upsample=up).double()
    torch.nn.init.normal_(conv.modulation.bias, 1, 0.3)
    x, style = torch.randn(3, 4, 6, 6, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    scales = (
        style.numpy() @ (conv.modulation.weight.detach().numpy() / 7**0.5).T + conv.modulation.bias.detach().numpy()
    )
    weight = conv.weight.detach().numpy()[0] / np.sqrt(4 * side**2)
    wanted = _modulated(x.numpy(), weight, scales, demodulate=demodulate, up=up)
    conv = conv.float() if dtype != torch.float64 else conv
    found = conv(x.to(dtype), style.to(next(conv.parameters()).dtype))
    assert found.dtype == dtype
    np.testing.assert_allclose(found.detach().double().numpy(), wanted, atol=atol * max(1.0, np.abs(wanted).max()))


def test_the_mapping_network_is_eight_scaled_layers_on_a_unit_sphere() -> None:
    torch.manual_seed(2)
    model = StyleGAN2(SMALL).double()
    z = np.random.default_rng(1).standard_normal((2, 24))
    x = z / np.sqrt((z**2).mean(1, keepdims=True) + 1e-8)
    for layer in list(model.style)[1:]:
        y = x @ (layer.weight.detach().numpy() * 0.01 / 24**0.5).T + layer.bias.detach().numpy() * 0.01
        x = np.where(y > 0, y, 0.2 * y) * 2**0.5
    np.testing.assert_allclose(model.mapping(torch.from_numpy(z)).detach().numpy(), x, atol=1e-7)


def test_the_whole_generator_is_its_blocks_in_the_papers_order() -> None:
    """18 latents at 1024: conv1 takes 0, its colours 1, then each block i, i + 1, and its colours i + 2, by twos."""
    torch.manual_seed(3)
    model = StyleGAN2(SMALL).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith(("noise.weight", "activate.bias")) or (name.startswith("to_rgb") and "conv" not in name):
                parameter.normal_()
    style = torch.randn(2, SMALL.num_layers, 24, dtype=torch.float64)

    def conv(layer: layers.ModulatedConv2d, x: np.ndarray, w: torch.Tensor, **how: bool) -> np.ndarray:
        scales = w.numpy() @ (layer.modulation.weight.detach().numpy() / 24**0.5).T
        scales = scales + layer.modulation.bias.detach().numpy()
        weight = layer.weight.detach().numpy()[0]
        return _modulated(x, weight / np.sqrt(weight[0].size), scales, **how)

    def styled(layer: layers.StyledConv, x: np.ndarray, w: torch.Tensor, noise: int, up: bool) -> np.ndarray:
        y = conv(layer.conv, x, w, demodulate=True, up=up)
        y = y + layer.noise.weight.item() * model.fixed_noise()[noise].numpy()
        y = y + layer.activate.bias.detach().numpy()[None, :, None, None]
        return np.where(y > 0, y, 0.2 * y) * 2**0.5

    x = np.repeat(model.input.input.detach().numpy(), 2, 0)
    x = styled(model.conv1, x, style[:, 0], 0, False)
    picture = conv(model.to_rgb1.conv, x, style[:, 1], demodulate=False, up=False) + model.to_rgb1.bias.detach().numpy()
    for i in range(3):
        x = styled(model.convs[2 * i], x, style[:, 2 * i + 1], 2 * i + 1, True)
        x = styled(model.convs[2 * i + 1], x, style[:, 2 * i + 2], 2 * i + 2, False)
        colours = conv(model.to_rgbs[i].conv, x, style[:, 2 * i + 3], demodulate=False, up=False)
        picture = colours + model.to_rgbs[i].bias.detach().numpy() + _upfirdn(picture, TAPS * 4, 2, (2, 1))
    np.testing.assert_allclose(model(style).detach().numpy(), picture, atol=2e-4)
    half = model.float()(style.float(), dtype=torch.bfloat16)
    assert np.abs(half.detach().numpy() - picture).mean() < 0.03 * np.abs(picture).mean()


def test_w_is_the_same_code_at_every_layer_and_noise_is_an_argument() -> None:
    torch.manual_seed(4)
    model = StyleGAN2(SMALL).eval()
    with torch.no_grad():
        for layer in (model.conv1, *model.convs):
            layer.noise.weight.fill_(0.5)
    w = model.mapping(torch.randn(2, 24))
    same = model(w[:, None].expand(-1, SMALL.num_layers, -1))
    torch.testing.assert_close(model(w), same, rtol=0, atol=0)
    drawn = model.draw_noise(torch.Generator().manual_seed(5))
    again = model.draw_noise(torch.Generator().manual_seed(5))
    torch.testing.assert_close(model(w, drawn), model(w, again), rtol=0, atol=0)
    assert (model(w, drawn) - same).abs().max() > 1e-3


@pytest.mark.parametrize("size", [24, 4, 2048])
def test_sizes_that_no_generator_has_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of 2"):
        StyleGAN2(StyleGAN2Config(size))
    with pytest.raises(ValueError, match="styles must be"):
        StyleGAN2(SMALL)(torch.zeros(1, 9, 24))
