"""The zoo's networks: sizes as the paper tells them, and one law for both modes."""

import pytest
import torch
from torch import nn

from rupantara.models import zoo
from rupantara.models.zoo import CONFIGS, NAMES, SIDE, ZooVAE


def faces(count: int) -> torch.Tensor:
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> ZooVAE:
    torch.manual_seed(0)
    return zoo.build(CONFIGS[request.param]).eval()


@torch.inference_mode()
def test_deterministic_mode_repeats_and_stochastic_mode_repeats_with_its_seed(model: ZooVAE) -> None:
    images = faces(2)
    first, found = model(images, deterministic=True)
    assert torch.equal(first, model(images, deterministic=True)[0])
    assert torch.equal(first, model.decode(found.mu))
    drawn = [model(images, generator=torch.Generator().manual_seed(seed))[0] for seed in (5, 5, 6)]
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], first)


@torch.inference_mode()
def test_draws_have_the_posterior_s_mean_and_deviation(model: ZooVAE) -> None:
    found = model.encode(faces(1))
    many = zoo.Posterior(found.mu.expand(20_000, -1), found.logvar.expand(20_000, -1))
    drawn = many.sample(torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.mean(0), found.mu[0], atol=0.04, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), found.logvar[0], atol=0.06, rtol=0)


@torch.inference_mode()
def test_a_picture_of_a_batch_is_what_it_is_alone(model: ZooVAE) -> None:
    images = faces(3)
    together = model(images, deterministic=True)[0]
    torch.testing.assert_close(together[1:2], model(images[1:2], deterministic=True)[0], atol=1e-5, rtol=0)


def test_every_level_can_be_painted(model: ZooVAE) -> None:
    """The code that the paper's beta-VAE builds on ends in ReLU before its sigmoid, and paints nothing darker than grey."""
    assert isinstance(model.decoder, nn.Sequential)
    last, sigmoid = list(model.decoder)[-2:]
    assert isinstance(sigmoid, nn.Sigmoid)
    assert isinstance(last, nn.Conv2d | nn.ConvTranspose2d)
    with torch.no_grad():
        for bias, level in ((-20.0, -1.0), (20.0, 1.0)):
            last.weight.zero_()
            assert last.bias is not None
            last.bias.fill_(bias)
            torch.testing.assert_close(
                model.decode(torch.zeros(1, model.config.latent_dim)), torch.full((1, 3, SIDE, SIDE), level)
            )


def convolutions(part: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in part.modules() if isinstance(layer, nn.Conv2d)]


def count(part: nn.Module) -> int:
    return sum(p.numel() for p in part.parameters())


def test_beta_is_the_paper_s_network() -> None:
    """Section 4.2: four convolutions of stride 2 to a 256-d vector, 32 latent dimensions, a mirrored decoder."""
    model = zoo.build(CONFIGS["beta"])
    found = convolutions(model.encoder)
    assert [c.stride for c in found] == [(2, 2)] * 4
    assert model.to_mu.weight.shape == model.to_logvar.weight.shape == (32, 256)
    # By hand: 4 x 4 kernels without bias, and two numbers a channel of batch normalisation.
    by_hand = 16 * (3 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 2 * (32 + 32 + 64 + 64)
    assert count(model.encoder) == by_hand
    assert count(model.to_mu) + count(model.to_logvar) == 2 * (256 + 1) * 32
    assert count(model.decoder) == 33 * 256 + 16 * (64 * 64 + 64 * 32 + 32 * 32 + 32 * 3) + 3 + 2 * (64 + 32 + 32)


@pytest.mark.parametrize("name", ["dfc", "plain"])
def test_dfc_and_plain_are_the_paper_s_networks(name: str) -> None:
    """Sections 4.3 and 4.4: 32, 64, 128, 256 filters, LeakyReLU, 100 dimensions; interpolation and convolutions up."""
    model = zoo.build(CONFIGS[name])
    assert [c.out_channels for c in convolutions(model.encoder)] == [32, 64, 128, 256]
    assert sum(isinstance(m, nn.LeakyReLU) for m in model.modules()) == 7
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.encoder.modules()) == 4
    assert sum(isinstance(m, nn.Upsample) for m in model.decoder.modules()) == 4
    assert model.to_mu.weight.shape == (100, 256 * 4 * 4)
    assert count(model.encoder) == 16 * (3 * 32 + 32 * 64 + 64 * 128 + 128 * 256) + 2 * (32 + 64 + 128 + 256)
    assert count(model.decoder) == 101 * 4096 + 9 * (256 * 128 + 128 * 64 + 64 * 32 + 32 * 3) + 3 + 2 * (128 + 64 + 32)
