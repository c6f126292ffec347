"""The optimisers' step: rates by group, clipping, images of all workers, and the running average."""

import copy

import pytest
import torch
from torch import nn

from rupantara.models.patch_critic import PatchCritic
from rupantara.training.state import TrainState


def state(critic: nn.Module | None = None) -> TrainState[nn.Linear]:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    groups = [{"params": [model.weight], "scale": 1.0}, {"params": [model.bias], "scale": 0.25}]
    return TrainState.create(model, groups, critic, weight_decay=0.0)


def test_the_rate_is_scaled_by_group_and_the_critic_s_is_whole() -> None:
    made = state(nn.Linear(2, 1))
    made.set_rate(0.4)
    assert [g["lr"] for g in made.optimizer.param_groups] == [0.4, 0.1]
    assert made.critic_optimizer is not None
    assert [g["lr"] for g in made.critic_optimizer.param_groups] == [0.4]
    before = [p.detach().clone() for p in made.model.parameters()]
    made.descend(made.model(torch.ones(1, 3)).sum() * 1e4, clip=1e9, decay=0.9, images=1)
    # AdamW's first step is the rate, whatever the gradient.
    for parameter, old, rate in zip(made.model.parameters(), before, (0.4, 0.1), strict=True):
        torch.testing.assert_close(old - parameter, torch.full_like(old, rate), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("scale", "clipped"), [(0.01, False), (100.0, True)])
def test_gradients_are_clipped_to_a_norm_and_the_norm_before_is_returned(scale: float, clipped: bool) -> None:
    made = state()
    made.set_rate(0.0)
    found = made.descend(made.model(torch.tensor([[1.0, 2.0, 2.0]])).sum() * scale, clip=1.0, decay=0.9, images=1)
    # Two rows of weights with gradient (1, 2, 2) and two biases with 1: the root of 2 * 9 + 2.
    assert float(found) == pytest.approx(scale * 20**0.5, rel=1e-5)
    after = torch.cat([p.grad.flatten() for p in made.model.parameters() if p.grad is not None]).norm()
    assert float(after) == pytest.approx(1.0 if clipped else float(found), rel=1e-4)


def test_images_of_all_workers_are_counted_and_steps_once() -> None:
    made = state()
    made.world_size = 3
    for _ in range(2):
        made.descend(made.model(torch.ones(1, 3)).sum(), clip=1.0, decay=0.9, images=8)
    assert (made.seen, made.step) == (48, 2)


def test_the_average_follows_with_a_short_memory_at_first() -> None:
    made = state()
    made.set_rate(0.1)
    first = made.model.weight.detach().clone()
    expected = first.clone()
    for step in range(1, 4):
        made.descend(made.model(torch.ones(1, 3)).sum(), clip=1.0, decay=0.28, images=1)
        memory = min(0.28, (1 + step) / (10 + step))
        expected = memory * expected + (1 - memory) * made.model.weight.detach()
    torch.testing.assert_close(made.average.weight, expected)
    assert not any(p.requires_grad for p in made.average.parameters())
    assert not torch.equal(made.model.weight, first)


def test_the_critic_s_step_is_clipped_and_leaves_the_model_alone() -> None:
    torch.manual_seed(1)
    critic = PatchCritic((2, 2, 2))
    made = state(critic)
    made.set_rate(0.0)
    model, before = made.model.weight.detach().clone(), made.step
    made.descend_critic(1e4 * critic(torch.randn(2, 3, 16, 16)).mean(), clip=0.5)
    norm = torch.stack([p.grad.norm() for p in critic.parameters() if p.grad is not None]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-4)
    assert torch.equal(made.model.weight, model) and made.step == before


def test_gradients_of_the_step_before_are_gone() -> None:
    made = state()
    made.set_rate(0.0)
    for _ in range(2):
        made.descend(made.model(torch.ones(1, 3)).sum() * 0.01, clip=1.0, decay=0.9, images=1)
    assert made.model.bias.grad is not None
    torch.testing.assert_close(made.model.bias.grad, torch.full((2,), 0.01))


@pytest.mark.parametrize(("saved", "loaded"), [(False, True), (True, False)])
def test_a_training_goes_on_the_same_where_maps_are_laid_out_another_way(saved: bool, loaded: bool) -> None:
    def made(last: bool) -> TrainState[nn.Module]:
        torch.manual_seed(0)
        model = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last if last else torch.contiguous_format)
        return TrainState.create(model, [{"params": list(model.parameters()), "scale": 1.0}])

    def step(state: TrainState[nn.Module], seed: int) -> None:
        torch.manual_seed(seed)
        x, weight = torch.randn(2, 3, 8, 8), torch.randn(2, 4, 6, 6)
        state.set_rate(0.1)
        state.descend((state.model(x) * weight).sum(), clip=1e9, decay=0.9, images=2)

    unbroken, other = made(saved), made(loaded)
    for seed in (1, 2):
        step(unbroken, seed)
    other.load_state_dict(copy.deepcopy(unbroken.state_dict()))
    for state in (unbroken, other):
        step(state, 3)
    for one, two in zip(unbroken.model.parameters(), other.model.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)
        for name, value in other.optimizer.state[two].items():
            assert value.dim() == 0 or value.stride() == two.stride(), name
    weight = next(iter(other.model.parameters()))
    assert weight.is_contiguous(memory_format=torch.channels_last) == loaded
