"""Alignment: undone exactly, mean 0 and deviation 1 by domain, species alike, and no line tells shifted domains apart."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.bank.alignment import ANIMAL, HUMAN, LEAST_STD, Alignment, fit
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.domain_gap import probe_accuracy

DIM = 4


def codes(rows: int, seed: int, mean: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """Codes whose regions and dimensions lie and spread differently."""
    rng = np.random.default_rng(seed)
    at = np.arange(len(REGIONS) * DIM).reshape(len(REGIONS), DIM)
    spread = scale * (0.5 + at / 10)
    return (mean + at / 5 + rng.normal(size=(rows, len(REGIONS), DIM)) * spread).astype(np.float32)


def fitted() -> Alignment:
    found = fit([(HUMAN, codes(50, 0)), ("cat", codes(40, 1, 3.0)), ("dog", codes(40, 2, 5.0, 2.0))])
    assert found is not None
    return found


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), region=st.sampled_from(REGIONS), domain=st.sampled_from((HUMAN, ANIMAL)))
def test_restoring_undoes_aligning(seed: int, region: str, domain: str) -> None:
    space, raw = fitted(), codes(5, seed, 2.0)[:, REGIONS.index(region)]
    np.testing.assert_allclose(space.restore(space.align(raw, domain, region), domain, region), raw, atol=1e-5)


def test_one_region_is_aligned_as_in_all_of_them() -> None:
    space, raw = fitted(), codes(6, 3)
    whole = space.align(raw, ANIMAL)
    for i, region in enumerate(REGIONS):
        np.testing.assert_array_equal(space.align(raw[:, i], ANIMAL, region), whole[:, i])
    assert whole.dtype == np.float32


def test_what_it_was_fitted_on_has_mean_0_and_deviation_1_in_each_domain() -> None:
    humans, cats, dogs = codes(50, 0), codes(40, 1, 3.0), codes(40, 2, 5.0, 2.0)
    space = fitted()
    for rows, domain in ((humans, HUMAN), (np.concatenate([cats, dogs]), ANIMAL)):
        made = space.align(rows, domain).astype(np.float64)
        np.testing.assert_allclose(made.mean(0), 0, atol=1e-5)
        np.testing.assert_allclose(made.std(0), 1, atol=1e-4)


def test_species_count_alike_whatever_their_numbers_and_however_they_come() -> None:
    humans, cats, dogs = codes(9, 0), codes(40, 1, 3.0), codes(30, 2, 5.0)
    few = fit([(HUMAN, humans), ("cat", cats), ("dog", dogs)])
    many = fit([("dog", dogs[:10]), *[("cat", cats)] * 7, (HUMAN, humans), ("dog", dogs[10:]), ("fox", dogs[:0])])
    assert few is not None and many is not None
    for domain in (HUMAN, ANIMAL):
        np.testing.assert_allclose(few.mean[domain], many.mean[domain], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(few.std[domain], many.std[domain], rtol=1e-5)
    np.testing.assert_allclose(few.mean[ANIMAL], (cats.mean(0) + dogs.mean(0)) / 2, rtol=1e-5)
    # The variance of an even mixture: within, and between the two means.
    variance = (cats.var(0) + dogs.var(0)) / 2 + ((cats.mean(0) - dogs.mean(0)) / 2) ** 2
    np.testing.assert_allclose(few.std[ANIMAL], np.sqrt(variance), rtol=1e-4)


def test_json_gives_back_the_same_bits() -> None:
    space = fitted()
    again = Alignment.from_json(json.loads(json.dumps(space.as_json())))
    for domain in (HUMAN, ANIMAL):
        for part in ("mean", "std"):
            before, after = getattr(space, part)[domain], getattr(again, part)[domain]
            assert after.dtype == np.float32
            np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("groups", [[], [(HUMAN, 5)], [("cat", 5)], [(HUMAN, 5), ("cat", 1)], [(HUMAN, 1), ("cat", 5)]])
def test_a_domain_of_fewer_than_two_codes_gives_none(groups: list[tuple[str, int]]) -> None:
    assert fit([(name, codes(rows, 0)) for name, rows in groups]) is None


def test_two_species_of_one_code_each_are_two_codes() -> None:
    assert fit([(HUMAN, codes(2, 0)), ("cat", codes(1, 1)), ("dog", codes(1, 2))]) is not None


def test_a_dimension_that_does_not_vary_is_not_blown_up() -> None:
    still = codes(30, 0)
    still[:, 2, 1] = 7.0
    space = fit([(HUMAN, still), ("cat", codes(30, 1))])
    assert space is not None
    assert space.std[HUMAN][2, 1] == np.float32(LEAST_STD)
    np.testing.assert_allclose(space.align(still, HUMAN)[:, 2, 1], 0, atol=1e-3)


def test_the_identity_changes_nothing() -> None:
    raw = codes(3, 0)
    np.testing.assert_array_equal(Alignment.identity(DIM).align(raw, HUMAN), raw)
    np.testing.assert_array_equal(Alignment.identity(DIM).restore(raw[:, 1], ANIMAL, "nose"), raw[:, 1])


def test_a_line_tells_shifted_domains_apart_until_they_are_aligned() -> None:
    """Held-out codes of the same two Gaussians: only their means and spreads told them apart."""
    space = fit([(HUMAN, codes(400, 0)), ("cat", codes(400, 1, 3.0, 2.0))])
    assert space is not None
    humans, animals = codes(300, 2), codes(300, 3, 3.0, 2.0)
    for i, region in enumerate(REGIONS):
        raw = probe_accuracy(humans[:, i], animals[:, i], seed=0)
        pair = space.align(humans[:, i], HUMAN, region), space.align(animals[:, i], ANIMAL, region)
        aligned = probe_accuracy(*pair, seed=0)
        assert raw > 0.8
        # Five standard errors of a share of 600, and what the two fits differ by.
        assert abs(aligned - 0.5) < 0.12, (region, aligned)
