"""The prior of people: samples have the fit's moments, one seed one person, and what moves the picture is kept."""

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.generation import prior
from rupantara.generation.prior import CodePrior, importance
from rupantara.landmarks.regions import CANONICAL
from rupantara.models.linear_path import Components
from rupantara.stages.pack import fit_prior
from tests.drawn import CONFIG, tiny_model

GLOBAL, REGION = CONFIG.global_dim, CONFIG.region_dim
WIDTH = GLOBAL + 5 * REGION
BOXES = np.array(CANONICAL["human"], np.float32)


def small_prior(rank: int = 3) -> CodePrior:
    rng = np.random.default_rng(0)
    mean, directions = rng.normal(size=12) * 3, rng.normal(size=(rank, 12))
    return CodePrior(mean.astype(np.float32), directions.astype(np.float32), BOXES)


def rows_of(drawn: tuple[torch.Tensor, torch.Tensor]) -> np.ndarray:
    return torch.cat([drawn[0], drawn[1].flatten(1)], dim=1).numpy().astype(np.float64)


def features(rows: np.ndarray) -> pa.Table:
    parts = rows[:, :GLOBAL], rows[:, GLOBAL:]
    return pa.table(
        {name: schema.vector_array(part) for name, part in zip(("global_mu", "regions_mu"), parts, strict=True)}
    )


def codes(count: int) -> np.ndarray:
    """Codes whose numbers are correlated, of mean 1."""
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(WIDTH, WIDTH)) / WIDTH**0.5 + np.eye(WIDTH)
    return (rng.normal(size=(count, WIDTH)) @ mixing + 1).astype(np.float32)


def test_many_samples_have_the_mean_and_covariance_of_the_fit() -> None:
    fitted = small_prior()
    covariance = fitted.directions.T @ fitted.directions
    for truncation in (1.0, 0.5):
        rows = rows_of(fitted.sample(40_000, seed=3, global_dim=2, truncation=truncation))
        scale = np.sqrt(np.diag(covariance)) * truncation
        assert float((np.abs(rows.mean(0) - fitted.mean) / scale).max()) < 5 / 200
        found = np.cov(rows.T) / truncation**2
        # Five standard errors of a covariance of 40,000 rows.
        assert float((np.abs(found - covariance) / np.outer(scale, scale) * truncation**2).max()) < 5 * 2**0.5 / 200


def test_one_seed_is_one_person_and_truncation_0_the_mean_face() -> None:
    fitted = small_prior()
    first, again, other = (fitted.sample(4, seed, global_dim=2) for seed in (5, 5, 6))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])
    assert first[1].shape == (4, 5, 2)
    still = fitted.sample(3, 5, global_dim=2, truncation=0.0)
    np.testing.assert_array_equal(rows_of(still), np.repeat(fitted.mean[None], 3, 0))
    near, far = (rows_of(fitted.sample(4, 5, 2, t)) - fitted.mean for t in (0.5, 1.0))
    np.testing.assert_allclose(2 * near, far, atol=1e-5)


def test_of_all_directions_the_fit_keeps_the_codes_mean_and_covariance() -> None:
    rows = codes(300)
    fitted = fit_prior(tiny_model(), features(rows), BOXES, WIDTH)
    np.testing.assert_allclose(fitted.mean, rows.mean(0), atol=1e-3)
    expected = np.cov(rows.T, bias=True)
    np.testing.assert_allclose(fitted.directions.T @ fitted.directions, expected, atol=2e-3 * expected.max())


def test_of_few_directions_the_one_that_moves_the_picture_is_kept() -> None:
    model, rows = tiny_model(), codes(300)
    with torch.no_grad():
        model.nets[0].base.components[3].mul_(1000)
    fitted = fit_prior(model, features(rows), BOXES, 1)
    assert fitted.directions.shape == (1, WIDTH)
    kept = (fitted.directions**2).sum(0) / rows.var(0)
    assert kept[3] > 0.999 > 0.9 > np.delete(kept, 3).max()


def test_importance_is_how_far_the_linear_path_s_picture_moves() -> None:
    model = tiny_model()
    net = model.domain_nets()[0]
    net.base.deviations.copy_(torch.linspace(1, 2, len(net.base.deviations)))
    found = importance(model)
    with torch.no_grad():
        moved = net.base.decode(torch.eye(GLOBAL)) - net.base.mean
        mouth = list(net.region_paths())[2]
        moved_mouth = mouth.decode(torch.eye(REGION)) - mouth.mean
    np.testing.assert_allclose(found[:GLOBAL], moved.norm(dim=1), rtol=1e-5)
    np.testing.assert_allclose(found[GLOBAL + 2 * REGION : GLOBAL + 3 * REGION], moved_mouth.norm(dim=1), rtol=1e-5)


def test_numbers_that_the_linear_path_does_not_show_stay_finite_and_within_what_people_have() -> None:
    """A PCA of few faces fills but a part of the path: the rest of its components are zero."""
    model, rows = tiny_model(), codes(300)
    net = model.nets[0]
    few = Components(torch.zeros(net.base.mean.numel()), torch.eye(4, net.base.mean.numel()), torch.ones(4))
    net.base.warm_start(few)
    fitted = fit_prior(model, features(rows), BOXES, WIDTH)
    sampled = rows_of(fitted.sample(2000, 0, GLOBAL, 1.0))
    assert np.isfinite(sampled).all()
    np.testing.assert_allclose(fitted.mean, rows.mean(0), atol=1e-2)
    ratio = sampled.std(0) / rows.std(0)
    assert np.delete(ratio, np.s_[4:GLOBAL]).min() > 0.85 and ratio.max() < 1.15


def test_what_is_read_back_is_the_prior_at_half_precision(tmp_path) -> None:
    assert prior.read(str(tmp_path)) is None
    fitted = small_prior()
    (tmp_path / prior.FILE).write_bytes(prior.as_bytes(fitted))
    again = prior.read(str(tmp_path))
    assert again is not None
    for name in prior.FIELDS:
        found, expected = getattr(again, name), getattr(fitted, name)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, expected.astype(np.float16).astype(np.float32))
