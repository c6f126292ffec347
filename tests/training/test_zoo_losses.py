"""The zoo's losses against torch.distributions, the frozen network, and that every model learns."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from rupantara.errors import MissingError
from rupantara.faces.arrays import to_images
from rupantara.models import zoo
from rupantara.models.squeezenet import SqueezeNet
from rupantara.models.zoo import CONFIGS, NAMES, VALUES
from rupantara.synthetic import draw_face
from rupantara.training import zoo as training
from rupantara.training.zoo import OBJECTIVES, ZooLosses, ZooObjective


def faces(count: int) -> torch.Tensor:
    return to_images(np.stack([draw_face("human", i, size=64).image for i in range(count)]))


def net() -> SqueezeNet:
    torch.manual_seed(0)
    return SqueezeNet().eval().requires_grad_(False)


@pytest.mark.parametrize("name", ["vanilla", "beta", "plain"])
def test_the_loss_is_minus_the_evidence_lower_bound_of_torch_distributions(name: str) -> None:
    torch.manual_seed(0)
    model, objective = zoo.build(CONFIGS[name]).eval(), OBJECTIVES[name]
    images = faces(3)
    torch.manual_seed(7)
    found = ZooLosses(model, objective)(images, 10**9)
    torch.manual_seed(7)
    made, posterior = model(images)
    # alpha * SSE is minus the log density of a Gaussian of variance 1 / (2 alpha), less its constant.
    likelihood = Normal((made + 1) / 2, (2 * objective.alpha) ** -0.5)
    target = (images + 1) / 2
    constant = likelihood.log_prob(likelihood.mean).sum((1, 2, 3))
    log_likelihood = likelihood.log_prob(target).sum((1, 2, 3)) - constant
    deviation = torch.exp(0.5 * posterior.logvar)
    divergence = kl_divergence(Normal(posterior.mu, deviation), Normal(0.0, 1.0)).sum(1)
    bound = (log_likelihood - objective.beta * divergence).mean()
    torch.testing.assert_close(found["loss"] * VALUES, -bound, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(found["kl_nats"], divergence.mean(), rtol=1e-4, atol=1e-4)


def test_plain_s_beta_is_the_paper_s_over_a_mean_of_dimensions() -> None:
    model = zoo.build(CONFIGS["plain"]).eval()
    images = faces(2)
    torch.manual_seed(7)
    found = ZooLosses(model, OBJECTIVES["plain"])(images, 10**9)
    torch.manual_seed(7)
    made, posterior = model(images)
    summed = (((made - images) / 2) ** 2).flatten(1).sum(1).mean()
    mean_nats = kl_divergence(Normal(posterior.mu, torch.exp(0.5 * posterior.logvar)), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(found["loss"] * VALUES, 1.8 * summed + 10 * mean_nats, rtol=1e-4, atol=1e-2)


def test_training_mode_leaves_the_feature_network_in_evaluation_and_unchanged() -> None:
    frozen = net()
    before = copy.deepcopy(frozen.state_dict())
    losses = ZooLosses(zoo.build(CONFIGS["dfc"]), OBJECTIVES["dfc"], frozen.features)
    state = training.start(losses.model)
    for _ in range(2):
        losses.train()
        training.train_step(state, OBJECTIVES["dfc"], losses, faces(4), 100)
    assert losses.model.training
    assert not any(module.training for module in frozen.modules())
    assert all(p.grad is None for p in frozen.parameters())
    assert all(torch.equal(before[name], value) for name, value in frozen.state_dict().items())
    assert not any(name.startswith(("conv1", "fires")) for name, _ in losses.named_parameters())


def test_the_feature_loss_without_its_network_is_an_error() -> None:
    with pytest.raises(MissingError, match="feature loss"):
        ZooLosses(zoo.build(CONFIGS["dfc"]), OBJECTIVES["dfc"])


@pytest.mark.parametrize("name", NAMES)
def test_it_overfits_one_batch(name: str) -> None:
    torch.manual_seed(0)
    objective = replace(OBJECTIVES[name], learning_rate=3e-3, lr_warm_up_images=1, kl_warm_up_images=10**9)
    state = training.start(zoo.build(CONFIGS[name]))
    losses = ZooLosses(state.model, objective, net().features if name == "dfc" else None)
    shown = faces(6)
    found = [training.train_step(state, objective, losses, shown, 10**6) for _ in range(60)]
    measure = "feature_error" if name == "dfc" else "human_mse"
    last = np.mean([float(step[measure]) for step in found[-5:]])
    assert last < 0.5 * float(found[0][measure])


def test_a_resumed_state_takes_the_same_next_step() -> None:
    objective = ZooObjective()
    torch.manual_seed(1)
    state = training.start(zoo.build(CONFIGS["beta"]))
    training.train_step(state, objective, ZooLosses(state.model, objective), faces(4), 100)
    saved = copy.deepcopy(state.state_dict())
    torch.manual_seed(2)
    expected = training.train_step(state, objective, ZooLosses(state.model, objective), faces(4), 100)
    again = training.start(zoo.build(CONFIGS["beta"]))
    again.load_state_dict(saved)
    torch.manual_seed(2)
    assert training.train_step(again, objective, ZooLosses(again.model, objective), faces(4), 100) == expected
    assert all(torch.equal(a, b) for a, b in zip(state.average.parameters(), again.average.parameters(), strict=True))
