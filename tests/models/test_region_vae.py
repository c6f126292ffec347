"""The region VAE: warm start, locality of regions, domains, and that it learns."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from rupantara.errors import MissingError
from rupantara.faces.arrays import to_images
from rupantara.landmarks.align import TEMPLATES
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models import placement
from rupantara.models.region_vae import Components, RegionVAE, RegionVAEConfig
from rupantara.synthetic import draw_face
from rupantara.training.composite_targets import Points
from rupantara.training.region_vae import (
    CriticLosses,
    FaceBatch,
    Networks,
    RegionVAELosses,
    RegionVAEObjective,
    augment,
    start,
    train_step,
)
from rupantara.training.warm_start import fit_pca, small_views

CONFIG = RegionVAEConfig(
    size=64,
    channels=(16, 32, 32, 32, 32),
    decoder_channels=(16, 32, 32, 32, 32),
    region_side=24,
    region_encoder_channels=(16, 32, 32),
    species=("cat", "dog"),
)


def batch(species: str, n: int) -> FaceBatch:
    pictures = np.stack([draw_face(species, i, size=64).image for i in range(n)])
    domain = "human" if species == "human" else "animal"
    boxes = torch.tensor(CANONICAL[domain]).expand(n, 6, 4).contiguous()
    points = (torch.tensor(TEMPLATES["human"]) * 64 - 0.5).expand(n, 5, 2).contiguous()
    species_index, other = (
        CONFIG.species_index([species] * n),
        Points(*(torch.full((n, k, 2), torch.nan) for k in (68, 6))),
    )
    return FaceBatch(to_images(pictures), boxes, species_index, points, torch.zeros(n), other)


def warm_model(faces: FaceBatch, config: RegionVAEConfig = CONFIG) -> RegionVAE:
    model = RegionVAE(config)
    pictures = ((faces.images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    whole, regions = small_views(pictures, faces.boxes.numpy(), config)
    pcas = [fit_pca(regions[:, i].copy(), config.region_base_rank) for i in range(5)]
    parts = [Components(*map(torch.from_numpy, pca)) for pca in [fit_pca(whole, config.base_rank), *pcas]]
    for net in model.domain_nets():
        net.warm_start(parts[0], parts[1:])
    return model.eval()


def steps(
    objective: RegionVAEObjective, humans: FaceBatch, animals: FaceBatch, count: int, total: int = 10_000, networks=None
):
    """Return the state and each step's losses."""
    state = start(RegionVAE(CONFIG), objective)
    losses = RegionVAELosses(state.model, objective, networks or Networks(), state.critic)
    critic = CriticLosses(state.critic) if state.critic is not None else None
    return state, [train_step(state, objective, losses, humans, animals, total, critic) for _ in range(count)]


@torch.no_grad()
def test_a_warm_started_model_reconstructs_before_any_step():
    torch.manual_seed(0)
    faces = batch("human", 12)
    model = warm_model(faces)
    posterior = model.encode(faces.images, faces.boxes, faces.species)
    out = model.decode(posterior.global_mu, posterior.regions_mu, faces.boxes, faces.species)
    error = float(((out - faces.images) ** 2).mean())
    mean_face = float(((faces.images.mean(0) - faces.images) ** 2).mean())
    assert error < 0.2 * mean_face


@torch.no_grad()
def test_a_region_code_sees_its_region_only():
    torch.manual_seed(0)
    faces = batch("human", 2)
    model = RegionVAE(CONFIG).eval()
    before = model.encode(faces.images, faces.boxes, faces.species).regions_mu
    weights = placement.part_weights(faces.boxes, 64)[:, REGIONS.index("nose")]
    margin = torch.nn.functional.max_pool2d((weights > 0).float()[:, None], 5, 1, 2)
    changed = torch.where(margin > 0, faces.images, torch.rand_like(faces.images))
    after = model.encode(changed, faces.boxes, faces.species).regions_mu
    torch.testing.assert_close(after[:, 1], before[:, 1], atol=1e-5, rtol=0)
    assert float((after[:, 2] - before[:, 2]).abs().max()) > 1e-3


@torch.no_grad()
def test_one_changed_region_code_changes_mostly_its_region():
    torch.manual_seed(0)
    faces = batch("human", 12)
    model = warm_model(faces)
    posterior = model.encode(faces.images, faces.boxes, faces.species)
    plain = model.decode(posterior.global_mu, posterior.regions_mu, faces.boxes, faces.species)
    for i, region in enumerate(REGIONS):
        codes = posterior.regions_mu.clone()
        codes[:, i] = posterior.regions_mu.roll(1, 0)[:, i]
        changed = model.decode(posterior.global_mu, codes, faces.boxes, faces.species)
        energy = ((changed - plain) ** 2).sum(1)
        parts = [p for p in range(6) if (0, 1, 2, 3, 3, 4)[p] == i]
        inside = (placement.part_weights(faces.boxes, 64)[:, parts].sum(1) > 0).float()
        dilated = torch.nn.functional.max_pool2d(inside[:, None], 9, 1, 4)[:, 0]
        assert float((energy * dilated).sum() / energy.sum()) > 0.8, region


@torch.no_grad()
def test_separate_networks_answer_each_domain_with_its_own_in_the_order_of_the_rows():
    torch.manual_seed(0)
    humans, animals = batch("human", 3), batch("cat", 2)
    model = RegionVAE(replace(CONFIG, separate_domains=True)).eval()
    both = humans.join(animals)
    order = torch.tensor([3, 0, 4, 2, 1])
    mixed = both.take(order)
    found = model.encode(mixed.images, mixed.boxes, mixed.species)
    human_net, animal_net = model.domain_nets()
    torch.testing.assert_close(found.regions_mu[1], human_net.encode(humans.images, humans.boxes).regions_mu[0])
    torch.testing.assert_close(found.regions_mu[2], animal_net.encode(animals.images, animals.boxes).regions_mu[1])
    only = model.encode(humans.images, humans.boxes, humans.species)
    torch.testing.assert_close(only.global_mu[0], found.global_mu[1])


def test_species_are_counted_from_one_after_humans():
    assert CONFIG.species_index(["human", "dog", "cat"]).tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match="species must be one of human, cat, dog, got 'yak'"):
        CONFIG.species_index(["yak"])


def test_sizes_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match="got size 72, stem 4 and 5 stages"):
        RegionVAE(replace(CONFIG, size=72, stem=4))
    with pytest.raises(ValueError, match="as many stages"):
        RegionVAE(replace(CONFIG, decoder_channels=(16, 32, 32, 32)))


def test_mirroring_twice_gives_the_face_back():
    faces = batch("human", 6)
    torch.manual_seed(0)
    once = augment(faces)
    flipped = (once.images != faces.images).flatten(1).any(1)
    assert 0 < int(flipped.sum()) < 6
    # A mirrored left eye is the right one, as far from the other edge.
    expected = 63 - faces.keypoints[flipped][:, 0, 0]
    torch.testing.assert_close(once.keypoints[flipped][:, 1, 0], expected)
    torch.manual_seed(0)
    for found, given in zip(augment(once), faces, strict=True):
        # Points that are not known stay so.
        torch.testing.assert_close(found, given, equal_nan=True)


def test_it_overfits_one_batch():
    torch.manual_seed(0)
    objective = RegionVAEObjective(
        learning_rate=2e-3, swap_share=0.0, lr_warm_up_images=1, kl_weight=0.0, bfloat16=False
    )
    _, losses = steps(objective, batch("human", 4), batch("cat", 4), 20)
    assert losses[-1]["loss"] < 0.4 * losses[0]["loss"]


@pytest.mark.parametrize("adversarial", [0.0, 0.1])
def test_a_resumed_state_takes_the_same_next_step(adversarial: float):
    humans, animals = batch("human", 2), batch("dog", 2)
    objective = RegionVAEObjective(bfloat16=False, adversarial_weight=adversarial, adversarial_start=0.0)
    torch.manual_seed(1)
    state, _ = steps(objective, humans, animals, 1, 1000)

    def go_on(state):
        losses = RegionVAELosses(state.model, objective, Networks(), state.critic)
        critic = CriticLosses(state.critic) if state.critic is not None else None
        torch.manual_seed(2)
        return train_step(state, objective, losses, humans, animals, 1000, critic)

    saved = copy.deepcopy(state.state_dict())
    expected = go_on(state)
    again = start(RegionVAE(CONFIG), objective)
    again.load_state_dict(saved)
    assert go_on(again) == expected
    for a, b in zip(state.average.parameters(), again.average.parameters(), strict=True):
        assert torch.equal(a, b)


def test_the_adversary_enters_at_its_share_of_the_training():
    humans, animals = batch("human", 2), batch("cat", 2)
    objective = RegionVAEObjective(bfloat16=False, adversarial_weight=0.1, adversarial_start=0.5)
    torch.manual_seed(0)
    _, losses = steps(objective, humans, animals, 4, total=16)
    assert ["critic" in row for row in losses] == [False, False, True, True]


@pytest.mark.parametrize("name", ["perceptual_weight", "identity_weight"])
def test_a_loss_without_its_network_is_an_error(name: str):
    objective = RegionVAEObjective(**{name: 0.1})
    with pytest.raises(MissingError, match=f"{name} is 0.1 but its network was not given"):
        RegionVAELosses(RegionVAE(CONFIG), objective, Networks())


def test_frozen_networks_of_losses_get_no_gradient_and_are_not_the_models():
    torch.manual_seed(0)
    net = torch.nn.Conv2d(3, 4, 3).requires_grad_(False)
    networks = Networks(features=lambda images: [net(images)])
    objective = RegionVAEObjective(perceptual_weight=1.0, bfloat16=False)
    state, losses = steps(objective, batch("human", 2), batch("cat", 2), 1, networks=networks)
    assert losses[0]["perceptual"] > 0
    assert net.weight.grad is None
    assert not any(p is net.weight for p in state.model.parameters())
