"""The two decoders of the inversion paper: sizes, what they start from, and that they learn."""

import pytest
import torch
from torch import nn

from rupantara.models.landmark_decoder import LandmarkDecoder, Standardize
from rupantara.models.texture_decoder import PRESETS, START, TextureDecoder, TextureDecoderConfig


def trainable(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def test_the_decoders_have_the_paper_s_sizes():
    with torch.device("meta"):
        points = LandmarkDecoder(4096, torch.zeros(68, 2))
        texture = TextureDecoder(PRESETS["224"])
    assert abs(trainable(points) / 5_729_936 - 1) < 0.002
    assert abs(trainable(texture) / 60_510_983 - 1) < 0.005
    assert PRESETS["224"].side == 224
    assert PRESETS["112"].side == 112


def test_before_any_step_every_face_is_the_mean_face():
    mean = torch.rand(68, 2) * 224
    decoder = LandmarkDecoder(16, mean).eval()
    assert torch.equal(decoder(torch.randn(3, 16)), mean.expand(3, 68, 2))


def test_vectors_of_any_scale_look_alike():
    vectors = torch.randn(64, 5) * torch.tensor([1.0, 1e-3, 1e3, 1.0, 0.0]) + 7
    standardize = Standardize(5)
    standardize.fit(vectors.mean(0), vectors.std(0))
    out = standardize(vectors)
    torch.testing.assert_close(out.std(0), torch.tensor([1.0, 1.0, 1.0, 1.0, 0.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.mean(0), torch.zeros(5), atol=1e-3, rtol=0)


def test_points_that_are_linear_in_the_vector_are_learnt():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    mean, mix = torch.rand(68, 2, generator=generator) * 100, torch.randn(8, 136, generator=generator)
    vectors = torch.randn(256, 8, generator=generator)
    wanted = mean + (vectors @ mix).unflatten(1, (68, 2))
    decoder = LandmarkDecoder(8, mean, (64, 32))
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-2, betas=(0.5, 0.999))
    for _ in range(150):
        loss = ((decoder(vectors) - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    held_out = torch.randn(64, 8, generator=generator)
    with torch.inference_mode():
        error = ((decoder.eval()(held_out) - mean - (held_out @ mix).unflatten(1, (68, 2))) ** 2).mean()
    assert float(error) < 0.25 * float((mix**2).sum(0).mean())


def test_textures_are_pictures_and_every_parameter_gets_a_gradient():
    decoder = TextureDecoder(TextureDecoderConfig(16, 8, (8, 6), (1, 0)))
    made = decoder(torch.randn(4, 16))
    assert made.shape == (4, 3, 28, 28)
    assert float(made.detach().abs().max()) <= 1
    (made - torch.rand_like(made)).abs().mean().backward()
    assert all(p.grad is not None for p in decoder.parameters())


def test_convolutions_start_as_mixtures_of_channels_by_one_smooth_kernel():
    decoder = TextureDecoder(TextureDecoderConfig(16, 24, (32, 24), (1, 1)))
    kinds = {nn.ConvTranspose2d: [1.0, 3, 3, 1], nn.Conv2d: [1.0, 2, 1]}
    layers = [layer for layer in list(decoder.layers)[:-1] if isinstance(layer, tuple(kinds))]
    assert [type(layer) for layer in layers] == [nn.ConvTranspose2d, nn.Conv2d] * 2
    for layer in layers:
        profile, kernels = torch.tensor(kinds[type(layer)]), layer.weight.detach().flatten(0, 1)
        expected = profile[:, None] * profile
        torch.testing.assert_close(kernels / kernels[:, :1, :1], expected.expand_as(kernels), atol=1e-3, rtol=1e-3)
        reached = layer.in_channels / (4 if isinstance(layer, nn.ConvTranspose2d) else 1)
        assert float(kernels.square().sum((1, 2)).mean()) == pytest.approx(2 / reached, rel=0.3)


def test_what_an_untrained_decoder_makes_of_even_maps_is_even():
    decoder = TextureDecoder(TextureDecoderConfig(16, 8, (16, 12, 8), (1, 1, 1))).eval()
    with torch.inference_mode():
        maps = decoder.layers[:-1](torch.rand(1, 8, 1, 1).expand(1, 8, START, START))[..., 16:40, 16:40]
    assert float(maps.var((2, 3)).sum() / maps.square().mean((2, 3)).sum()) < 1e-8


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="as many stages"):
        TextureDecoder(TextureDecoderConfig(16, 8, (8, 6), (1,)))
    with pytest.raises(ValueError, match=r"vectors must be \[batch, 16\]"):
        LandmarkDecoder(16, torch.zeros(68, 2))(torch.zeros(2, 8))
    with pytest.raises(ValueError, match=r"mean_points must be \[68, 2\]"):
        LandmarkDecoder(16, torch.zeros(5, 2))
