"""Moment distance: zero of the same variety in any order, by hand on small maps, and it makes pictures vary."""

import numpy as np
import pytest
import torch

from rupantara.losses.moments import GRID, moment_distance


def maps(seed: int, side: int = 6) -> torch.Tensor:
    return torch.randn(8, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_it_is_zero_of_the_same_pictures_in_any_order_and_not_of_others() -> None:
    a = maps(0)
    assert float(moment_distance(a, a[torch.randperm(8)])) == pytest.approx(0, abs=1e-6)
    assert float(moment_distance(a, maps(1))) > 0.1


@pytest.mark.parametrize("side", [6, 2 * GRID])
def test_it_is_what_numpy_gives_coarser_where_pictures_are_large(side: int) -> None:
    made, wanted = maps(0, side), 3 * maps(3, side) + 1
    a, b = made.numpy().astype(np.float64), wanted.numpy().astype(np.float64)
    if side > GRID:
        a, b = (z.reshape(8, 3, GRID, 2, GRID, 2).mean((3, 5)) for z in (a, b))
    apart = np.abs(a.std(0, ddof=1) - b.std(0, ddof=1)).mean() + np.abs(a.mean(0) - b.mean(0)).mean()
    assert float(moment_distance(made, wanted)) == pytest.approx(apart / b.std(0, ddof=1).mean(), rel=1e-5)


def test_a_mean_that_answers_everything_learns_to_vary_and_its_gradient_is_finite() -> None:
    codes, wanted = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)), maps(5)
    model = torch.nn.Linear(4, 3 * 36)
    torch.nn.init.zeros_(model.weight)
    optimizer = torch.optim.Adam(model.parameters(), 0.05)
    found = []
    for step in range(60):
        made = model(codes).unflatten(1, (3, 6, 6))
        loss = moment_distance(made, wanted)
        # All pictures are one at first, where a deviation has no gradient: an error by pixel moves them apart.
        (loss + (made - wanted).abs().mean() if step < 5 else loss).backward()
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(loss.detach()))
    assert found[-1] < 0.4 * found[0]
    assert float(model(codes).detach().std(0).mean()) > 0.5 * float(wanted.std(0).mean())
