"""The divergence against torch.distributions, and free bits against a hand computation."""

import pytest
import torch
from torch.distributions import Independent, Normal
from torch.distributions import kl_divergence as reference

from rupantara.losses.kl import kl_divergence


def test_it_is_that_of_torch_s_distributions() -> None:
    torch.manual_seed(0)
    mu, logvar = torch.randn(4, 5, 3), torch.randn(4, 5, 3)
    posterior = Independent(Normal(mu, (0.5 * logvar).exp()), 2)
    prior = Independent(Normal(torch.zeros(4, 5, 3), torch.ones(4, 5, 3)), 2)
    torch.testing.assert_close(kl_divergence(mu, logvar), reference(posterior, prior))


def test_the_prior_itself_costs_nothing_and_everything_else_something() -> None:
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).tolist() == [0.0, 0.0]
    torch.manual_seed(0)
    assert (kl_divergence(torch.randn(50, 2), torch.randn(50, 2)) > 0).all()


def test_free_bits_by_hand() -> None:
    """Variance 1, so that a dimension's nats are mu² / 2: means over the batch 0.25, 4.25 and 0; free is 0.5."""
    mu = torch.tensor([[0.0, 4.0, 0.0], [1.0, 1.0, 0.0]])
    found = kl_divergence(mu, torch.zeros(2, 3), free_bits=0.5)
    # Rows 8 and 1; dimensions 0 and 2 lack 0.25 and 0.5 of what is free.
    assert found.tolist() == pytest.approx([8.75, 1.75])
    assert float(found.mean()) == pytest.approx(0.5 + 4.25 + 0.5), "eq. 15: the sum of the greater of both"


def test_below_its_free_bits_a_dimension_is_not_pressed() -> None:
    mu = torch.tensor([[0.5, 3.0], [-0.5, 2.0]], requires_grad=True)
    logvar = torch.zeros(2, 2, requires_grad=True)
    kl_divergence(mu, logvar, free_bits=0.5).mean().backward()
    assert mu.grad is not None and mu.grad[:, 0].tolist() == [0.0, 0.0]
    assert mu.grad[:, 1].tolist() == [1.5, 1.0]
    plain = mu.detach().clone().requires_grad_()
    kl_divergence(plain, torch.zeros(2, 2)).mean().backward()
    assert plain.grad is not None and plain.grad.tolist() == [[0.25, 1.5], [-0.25, 1.0]]
