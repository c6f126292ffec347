"""The region VAE: warm start, locality of regions, and that it learns."""

import copy

import numpy as np
import torch

from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models import placement
from rupantara.models.region_vae import Components, RegionVAE, RegionVAEConfig
from rupantara.stages.faces import to_images
from rupantara.synthetic import draw_face
from rupantara.training.region_vae import FaceBatch, Objective, TrainState, train_step
from rupantara.training.warm_start import fit_pca, small_views

CONFIG = RegionVAEConfig(size=64, channels=(16, 32, 32, 32, 32), region_side=24, species=("cat", "dog"))


def batch(species: str, n: int) -> FaceBatch:
    pictures = np.stack([draw_face(species, i, size=64).image for i in range(n)])
    domain = "human" if species == "human" else "animal"
    boxes = torch.tensor(CANONICAL[domain]).expand(n, 6, 4).contiguous()
    return FaceBatch(to_images(pictures), boxes, torch.zeros(n, dtype=torch.long))


def warm_model(faces: FaceBatch) -> RegionVAE:
    model = RegionVAE(CONFIG)
    pictures = ((faces.images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    whole, regions = small_views(pictures, faces.boxes.numpy(), CONFIG)
    pcas = [fit_pca(regions[:, i].copy(), CONFIG.region_dim) for i in range(5)]
    as_components = [Components(*map(torch.from_numpy, pca)) for pca in [fit_pca(whole, CONFIG.global_dim), *pcas]]
    model.warm_start(as_components[0], as_components[1:])
    return model.eval()


@torch.no_grad()
def test_a_warm_started_model_reconstructs_before_any_step():
    torch.manual_seed(0)
    faces = batch("human", 12)
    model = warm_model(faces)
    posterior = model.encode(faces.images, faces.boxes)
    out = model.decode_human(posterior.global_mu, posterior.regions_mu, faces.boxes)
    error = float(((out - faces.images) ** 2).mean())
    mean_face = float(((faces.images.mean(0) - faces.images) ** 2).mean())
    assert error < 0.2 * mean_face


@torch.no_grad()
def test_a_region_code_sees_its_region_only():
    torch.manual_seed(0)
    faces = batch("human", 2)
    model = RegionVAE(CONFIG).eval()
    before = model.encode(faces.images, faces.boxes).regions_mu
    weights = placement.part_weights(faces.boxes, 64)[:, REGIONS.index("nose")]
    margin = torch.nn.functional.max_pool2d((weights > 0).float()[:, None], 5, 1, 2)
    changed = torch.where(margin > 0, faces.images, torch.rand_like(faces.images))
    after = model.encode(changed, faces.boxes).regions_mu
    torch.testing.assert_close(after[:, 1], before[:, 1], atol=1e-5, rtol=0)
    assert float((after[:, 2] - before[:, 2]).abs().max()) > 1e-3


@torch.no_grad()
def test_one_changed_region_code_changes_mostly_its_region():
    torch.manual_seed(0)
    faces = batch("human", 12)
    model = warm_model(faces)
    posterior = model.encode(faces.images, faces.boxes)
    plain = model.decode_human(posterior.global_mu, posterior.regions_mu, faces.boxes)
    for i, region in enumerate(REGIONS):
        codes = posterior.regions_mu.clone()
        codes[:, i] = posterior.regions_mu.roll(1, 0)[:, i]
        energy = ((model.decode_human(posterior.global_mu, codes, faces.boxes) - plain) ** 2).sum(1)
        parts = [p for p in range(6) if (0, 1, 2, 3, 3, 4)[p] == i]
        inside = (placement.part_weights(faces.boxes, 64)[:, parts].sum(1) > 0).float()
        dilated = torch.nn.functional.max_pool2d(inside[:, None], 9, 1, 4)[:, 0]
        assert float((energy * dilated).sum() / energy.sum()) > 0.8, region


def test_it_overfits_one_batch():
    torch.manual_seed(0)
    humans, animals = batch("human", 4), batch("cat", 4)
    objective = Objective(learning_rate=2e-3, swap_share=0.0, lr_warm_up_images=1, kl_weight=0.0, bfloat16=False)
    state = TrainState.create(RegionVAE(CONFIG), objective)
    losses = [train_step(state, objective, humans, animals, 10_000)["loss"] for _ in range(20)]
    assert losses[-1] < 0.4 * losses[0]


def test_a_resumed_state_takes_the_same_next_step():
    humans, animals = batch("human", 2), batch("dog", 2)
    objective = Objective(bfloat16=False)
    torch.manual_seed(1)
    state = TrainState.create(RegionVAE(CONFIG), objective)
    train_step(state, objective, humans, animals, 1000)
    saved = copy.deepcopy(state.state_dict())
    torch.manual_seed(2)
    expected = train_step(state, objective, humans, animals, 1000)
    again = TrainState.create(RegionVAE(CONFIG), objective)
    again.load_state_dict(saved)
    torch.manual_seed(2)
    assert train_step(again, objective, humans, animals, 1000) == expected
    for a, b in zip(state.average.parameters(), again.average.parameters(), strict=True):
        assert torch.equal(a, b)
