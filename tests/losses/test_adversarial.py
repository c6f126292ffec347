"""The hinge's literals, where it stops pressing, and which way each side pulls."""

import pytest
import torch

from rupantara.losses.adversarial import critic_loss, maker_loss


@pytest.mark.parametrize(
    ("real", "fake", "expected"),
    [
        ([1.0, 2.0], [-1.0, -3.0], 0.0),
        ([0.0, 0.0], [0.0, 0.0], 2.0),
        ([0.5, 3.0], [-0.5, 1.0], 0.25 + 1.25),
        ([-1.0, 1.0], [1.0, -1.0], 2.0),
    ],
)
def test_the_critic_s_hinge_by_hand(real: list[float], fake: list[float], expected: float) -> None:
    assert float(critic_loss(torch.tensor(real), torch.tensor(fake))) == expected


def test_the_maker_wants_high_scores_however_many_patches() -> None:
    assert float(maker_loss(torch.tensor([[1.0, -3.0], [4.0, 0.0]]))) == -0.5
    assert float(maker_loss(torch.full((2, 1, 8, 8), 0.25))) == -0.25


def test_scores_beyond_the_margin_get_no_gradient_and_the_others_their_side_s() -> None:
    real = torch.tensor([0.5, 1.5], requires_grad=True)
    fake = torch.tensor([-0.5, -1.5], requires_grad=True)
    critic_loss(real, fake).backward()
    assert real.grad is not None and real.grad.tolist() == [-0.5, 0.0]
    assert fake.grad is not None and fake.grad.tolist() == [0.5, 0.0]


def test_half_precision_scores_are_averaged_in_full() -> None:
    scores = torch.full((70_000,), 1.0009765625, dtype=torch.float16)
    assert float(maker_loss(scores)) == pytest.approx(-1.0009765625, abs=1e-6)
    assert maker_loss(scores).dtype == critic_loss(scores, scores).dtype == torch.float32
