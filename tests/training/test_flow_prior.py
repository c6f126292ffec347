"""The flow prior starts as a Gaussian, keeps means and directions, learns what a Gaussian cannot, and listens to conditions."""

import numpy as np
import pytest
import torch

from rupantara.models.flow_prior import OPEN, FlowPrior, FlowPriorConfig, age_class
from rupantara.training import flow_prior as training
from rupantara.training.flow_prior import FlowLoss, FlowObjective
from rupantara.training.flow_prior_task import conditions_of
from rupantara.training.state import TrainState

CONFIG = FlowPriorConfig(dim=2, width=64, blocks=2, embedding=32, dropout=0.0)
OBJECTIVE = FlowObjective(learning_rate=3e-3, jitter=0.0, warm_up_codes=500, drop_all=0.1, drop_one=0.0)


def codes(count: int, seed: int) -> tuple[np.ndarray, torch.Tensor]:
    """Two clumps that sex tells apart, in a plane of six numbers."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, count)
    flat = np.stack([(2 * sex - 1) * 3.0, np.zeros(count)], 1) + 0.3 * rng.normal(size=(count, 2))
    basis = np.array([(1, 0, 1, 0, 0, 0), (0, 1, 0, 0, 1, 1)], np.float64)
    conditions = torch.full((count, 3), OPEN)
    conditions[:, 1] = torch.from_numpy(sex)
    return (flat @ basis + 5).astype(np.float32), conditions


def started(rows: np.ndarray, scale: np.ndarray) -> TrainState[FlowPrior]:
    model = FlowPrior(CONFIG, rows.shape[1])
    for name, value in training.fit_axes(rows, scale, CONFIG.dim).items():
        model.get_buffer(name).copy_(torch.from_numpy(value))
    return training.state_of(model, OBJECTIVE)


def test_untrained_it_is_the_gaussian_of_its_codes() -> None:
    rows, _ = codes(2000, 0)
    model = started(rows, np.ones(6)).model.eval()
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(0))
    made = model.sample(noise, torch.full((4000, 3), OPEN), steps=12).numpy()
    assert np.allclose(made.mean(0), rows.mean(0), atol=0.15)
    assert np.allclose(np.cov(made.T), np.cov(rows.T), atol=0.6)


def test_reduced_codes_come_back_whole() -> None:
    rows, _ = codes(500, 1)
    scale = np.array([1, 2, 1, 0.5, 1, 3.0])
    model = started(rows, scale).model
    flat = training.reduce(rows, scale, model)
    assert torch.allclose(flat.std(0), torch.ones(2), atol=0.02)
    whole = (model.mean + flat @ model.directions).numpy()
    inside = (rows - rows.mean(0)) @ np.linalg.pinv(rows[:50] - rows.mean(0)) @ (rows[:50] - rows.mean(0))
    assert np.abs(whole - (inside + rows.mean(0))).max() < 0.05


def test_it_learns_two_clumps_and_listens_to_conditions() -> None:
    torch.manual_seed(0)
    rows, conditions = codes(1024, 2)
    state = started(rows, np.ones(6))
    flat = training.reduce(rows, np.ones(6), state.model)
    losses, network = [], FlowLoss(state.model, OBJECTIVE)
    for _ in range(300):
        pick = torch.randint(len(flat), (256,))
        losses.append(
            float(training.train_step(state, OBJECTIVE, network, flat[pick], conditions[pick], 300 * 256)["loss"])
        )
    assert np.mean(losses[-30:]) < 0.8 * np.mean(losses[:30])
    model: FlowPrior = state.model.eval()
    noise = torch.randn(400, 2, generator=torch.Generator().manual_seed(1))
    free = model.sample(noise, torch.full((400, 3), OPEN)).numpy()[:, 0] - 5
    assert (np.abs(free) > 1.5).mean() > 0.8 and 0.3 < (free > 0).mean() < 0.7
    for sex, sign in ((0, -1), (1, 1)):
        asked = torch.full((400, 3), OPEN)
        asked[:, 1] = sex
        assert (model.sample(noise, asked).numpy()[:, 0] * sign > 5 * sign).mean() > 0.9


@pytest.mark.parametrize(("years", "found"), [(0, 0), (2, 0), (3, 1), (29, 3), (30, 4), (110, 7)])
def test_ages_have_classes(years: int, found: int) -> None:
    assert age_class(years) == found


def test_a_negative_age_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 0"):
        age_class(-1)


def test_conditions_are_read_from_rows_and_unknown_ones_left_open() -> None:
    rows = {"age": np.array([31.0, -1.0, 2.0]), "sex": np.array([1, -1, 0]), "group": np.array([4, 7, -1])}
    assert conditions_of(rows).tolist() == [[4, 1, 4], [OPEN, OPEN, OPEN], [0, 0, OPEN]]
