"""Laws of the blenders: the parents' order, dominance, any size; and that each learns."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.models.blenders import KINDS, ChildNet, ChildNetConfig
from rupantara.models.blenders.refiner import Refiner, positions


def _net(kind: str, tokens: int, dim: int, *, keep_length: bool = False, seed: int = 0) -> ChildNet:
    torch.manual_seed(seed)
    net = ChildNet(ChildNetConfig(kind, tokens, dim, keep_length=keep_length, feedforward=32)).eval()  # ty: ignore[invalid-argument-type]
    for parameter in net.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return net


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=8)
@given(tokens=st.integers(1, 6), dim=st.sampled_from((4, 8, 12, 19)), seed=st.integers(0, 99), keep=st.booleans())
def test_the_order_of_the_parents_does_not_matter(kind: str, tokens: int, dim: int, seed: int, keep: bool) -> None:
    net = _net(kind, tokens, dim, keep_length=keep, seed=seed)
    first, second = torch.randn(3, tokens, dim), torch.randn(3, tokens, dim)
    child = net(first, second)
    assert child.shape == first.shape
    torch.testing.assert_close(child, net(second, first), rtol=1e-4, atol=1e-5)
    dominance = torch.rand(3, tokens) * 2 - 1
    torch.testing.assert_close(net(first, second, dominance), net(second, first, -dominance), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_full_dominance_leaves_nothing_of_the_other_parent(kind: str) -> None:
    net = _net(kind, 3, 8)
    first, others = torch.randn(1, 3, 8), torch.randn(2, 3, 8)
    made = net(first.expand(2, -1, -1), others, torch.ones(2, 3))
    torch.testing.assert_close(made[0], made[1])
    made = net(first.expand(2, -1, -1), others)
    assert (made[0] - made[1]).abs().max() > 1e-3
    of_one_token = torch.zeros(2, 3)
    of_one_token[:, 1] = 1.0
    plain = ChildNet(ChildNetConfig("average", 3, 8, refined=False))(first.expand(2, -1, -1), others, of_one_token)
    torch.testing.assert_close(plain[:, 1], first.expand(2, -1, -1)[:, 1])
    torch.testing.assert_close(plain[:, 0], (first[:, 0] + others[:, 0]) / 2)


@pytest.mark.parametrize("kind", ["average", "linear", "mlp"])
def test_untrained_a_child_is_the_average_and_half_dominance_moves_it_by_a_quarter(kind: str) -> None:
    net = ChildNet(ChildNetConfig(kind, 2, 8)).eval()  # ty: ignore[invalid-argument-type]
    first, second = torch.full((1, 2, 8), 1.0), torch.full((1, 2, 8), -1.0)
    torch.testing.assert_close(net(first, second), torch.zeros(1, 2, 8), atol=1e-6, rtol=0)
    torch.testing.assert_close(net(first, second, torch.full((1, 2), 0.5)), torch.full((1, 2, 8), 0.5))


def test_the_product_is_the_formulas() -> None:
    net = ChildNet(ChildNetConfig("product", 2, 3, refined=False))
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 3)), rng.standard_normal((2, 3))
    products = (a.T @ b + b.T @ a) / 2
    made = (a + b) / 2 @ products
    length = (np.linalg.norm(a, axis=1) + np.linalg.norm(b, axis=1)) / 2
    made = made / np.linalg.norm(made, axis=1)[:, None] * length[:, None]
    found = net(*(torch.from_numpy(z[None]).float() for z in (a, b)))[0].detach().numpy()
    np.testing.assert_allclose(found, ((a + b) / 2 + made) / 2, atol=1e-6)


def test_kept_lengths_are_the_parents_mean() -> None:
    net = ChildNet(ChildNetConfig("average", 4, 8, refined=False, keep_length=True))
    first, second = torch.randn(5, 4, 8), torch.randn(5, 4, 8)
    torch.testing.assert_close(net(first, second).norm(dim=2), (first.norm(dim=2) + second.norm(dim=2)) / 2)


def test_positions_are_sines_and_cosines_of_falling_rate() -> None:
    found = positions(5, 6)
    assert found[3, 0].item() == pytest.approx(math.sin(3))
    assert found[3, 3].item() == pytest.approx(math.cos(3 / 10000 ** (2 / 6)))
    assert positions(4, 5).shape == (4, 5)


def test_the_refiner_has_the_papers_sizes_and_sees_every_token_and_its_place() -> None:
    torch.manual_seed(1)
    refiner = Refiner(128).eval()
    layers = list(refiner.encoder.layers)
    assert len(layers) == 2
    assert all(layer.self_attn.num_heads == 8 and layer.linear1.out_features == 1024 for layer in layers)
    assert {m.p for m in refiner.modules() if isinstance(m, torch.nn.Dropout)} == {0.1}
    torch.nn.init.normal_(refiner.out.weight, std=0.1)
    tokens = torch.randn(1, 9, 128)
    changed = tokens.clone()
    # Another direction: a constant is taken out by the layer norm.
    changed[0, 8] += torch.randn(128)
    moved = (refiner(changed) - changed) - (refiner(tokens) - tokens)
    assert (moved[0].abs().amax(1) > 1e-4).all()
    turned = refiner(tokens.flip(1)).flip(1)
    assert (turned - refiner(tokens)).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["linear", "mlp", "product", "average"])
def test_each_learns_one_batch(kind: str) -> None:
    torch.manual_seed(2)
    net = ChildNet(ChildNetConfig(kind, 3, 8, feedforward=64, dropout=0.0))  # ty: ignore[invalid-argument-type]
    first, second, goal = torch.randn(3, 4, 3, 8)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    losses = []
    for _ in range(150):
        loss = (net(first, second) - goal).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]


def test_a_kind_that_is_not_known_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be one of average"):
        ChildNetConfig("sum")  # ty: ignore[invalid-argument-type]
