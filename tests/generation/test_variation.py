"""Variations of one face: as many as asked for, the same from the same seed, and different where they should be."""

import numpy as np
import pytest
import torch

from rupantara.generation.variation import (
    NOISE,
    from_input_noise,
    from_posterior,
    from_prior,
    reconstruct,
    seed_of,
    vary,
)
from rupantara.models import zoo
from rupantara.models.zoo import CONFIGS, NAMES, ZooVAE


@pytest.fixture(params=NAMES)
def model(request: pytest.FixtureRequest) -> ZooVAE:
    torch.manual_seed(0)
    return zoo.build(CONFIGS[request.param]).eval()


FACE = torch.rand(3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("mode", ["posterior", "input_noise", "prior"])
def test_variations_are_as_many_as_asked_for_and_repeat_with_their_seed(model: ZooVAE, mode) -> None:
    first, again, other = (vary(model, FACE, 7, mode, seed) for seed in (3, 3, 4))
    assert len(first) == 7
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert len(torch.unique(first.flatten(1), dim=0)) == 7
    assert float(first.min()) >= -1
    assert float(first.max()) <= 1


def test_the_first_of_many_variations_is_the_only_one_of_one(model: ZooVAE) -> None:
    for make in (from_posterior, from_input_noise):
        torch.testing.assert_close(make(model, FACE, 5, 2)[:1], make(model, FACE, 1, 2), atol=1e-5, rtol=0)
    torch.testing.assert_close(from_prior(model, 5, 2)[:1], from_prior(model, 1, 2), atol=1e-5, rtol=0)


def test_without_noise_every_variation_is_the_reconstruction(model: ZooVAE) -> None:
    made = from_input_noise(model, FACE, 3, seed=0, noise=0.0)
    torch.testing.assert_close(made, reconstruct(model, FACE[None]).expand_as(made), atol=1e-5, rtol=0)


def test_more_noise_moves_a_face_further(model: ZooVAE) -> None:
    base = reconstruct(model, FACE[None])
    moved = [
        float((from_input_noise(model, FACE, 4, 0, n) - base).square().mean()) for n in (NOISE / 4, NOISE, 3 * NOISE)
    ]
    assert moved[0] < moved[1] < moved[2]


def test_samples_are_decoded_draws_of_the_standard_normal(model: ZooVAE) -> None:
    codes = torch.from_numpy(np.random.default_rng(9).standard_normal((3, model.config.latent_dim), np.float32))
    with torch.inference_mode():
        assert torch.equal(from_prior(model, 3, 9), model.decode(codes))


def test_seeds_of_faces_and_modes_differ_and_fit_sixty_three_bits() -> None:
    found = {seed_of(s, mode, f"{i}-0") for s in (0, 1) for mode in ("posterior", "prior") for i in range(100)}
    assert len(found) == 400
    assert all(0 <= seed < 2**63 for seed in found)
