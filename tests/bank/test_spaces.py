"""Named spaces do what their sentences say."""

from pathlib import Path

import numpy as np
import pytest

from rupantara.bank import spaces
from rupantara.errors import UserError


def _groups(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    scale = np.array([5.0, 1.0, 0.5, 0.1])
    return {
        "human": rng.normal(size=(400, 5, 4)) * scale + 3,
        "cat": rng.normal(size=(900, 5, 4)) * scale + 1,
        "fox": rng.normal(size=(100, 5, 4)) * scale - 1,
    }


def _sums(groups: dict[str, np.ndarray]) -> dict[str, spaces.SpaceSums]:
    return {name: spaces.SpaceSums.update(codes) for name, codes in groups.items()}


def test_every_space_has_a_sentence_and_unknown_ones_are_named() -> None:
    assert set(spaces.MEANINGS) == {"raw", "pooled", "within", "aligned"} and "aligned" not in spaces.RANKING
    assert all(text.endswith(".") and text.count(". ") == 0 for text in spaces.MEANINGS.values())
    with pytest.raises(UserError, match="space must be one of raw, pooled, within, aligned, got 'whitened'"):
        spaces.meaning("whitened")


def test_the_documents_say_the_same_of_every_space() -> None:
    text = (Path(__file__).parents[2] / "docs/how/reverse-mapping.md").read_text()
    assert all(f"| `{name}` | {said} |" in text for name, said in spaces.MEANINGS.items())


def test_any_partition_fits_the_same_spaces() -> None:
    groups = _groups()
    halves = [(name, half) for name, codes in groups.items() for half in (codes[:70], codes[70:])]
    merged, whole = spaces.fit(spaces.sums_by_species(halves)), spaces.fit(_sums(groups))
    for name in ("human_mean", "animal_mean", "human_std", "animal_std", "whitening"):
        np.testing.assert_allclose(getattr(merged, name), getattr(whole, name), atol=1e-9)
    again = spaces.Spaces.from_bytes(whole.to_bytes())
    np.testing.assert_allclose(again.whitening, whole.whitening, rtol=1e-6)


def test_species_of_unequal_numbers_count_alike() -> None:
    groups = _groups()
    fitted = spaces.fit(_sums(groups))
    np.testing.assert_allclose(fitted.animal_mean, (groups["cat"].mean(0) + groups["fox"].mean(0)) / 2)


def test_raw_is_plain_cosine_pooled_has_one_centre_and_aligned_two() -> None:
    groups = _groups()
    fitted = spaces.fit(_sums(groups))
    codes = groups["cat"][:3].astype(np.float32)
    plain = codes / np.linalg.norm(codes, axis=-1, keepdims=True)
    np.testing.assert_allclose(fitted.space("raw").units(codes, "animal"), plain, atol=1e-6)
    pooled = fitted.space("pooled")
    np.testing.assert_array_equal(pooled.units(codes, "animal"), pooled.units(codes, "human"))
    aligned = fitted.space("aligned")
    means = [
        aligned.units(groups[name].astype(np.float32), domain).mean(0)
        for name, domain in (("human", "human"), ("cat", "animal"))
    ]
    # By construction people's mean says nothing about any species.
    assert np.abs(means[0]).max() < 0.1
    np.testing.assert_array_equal(pooled.units(codes[:, 1], "animal", "nose"), pooled.units(codes, "animal")[:, 1])


def test_within_damps_what_varies_within_species() -> None:
    groups = _groups()
    fitted = spaces.fit(_sums(groups))
    moved = (groups["cat"] - groups["cat"].mean(0))[:, 0] @ fitted.whitening[0]
    before, after = (groups["cat"] - groups["cat"].mean(0))[:, 0].std(0), moved.std(0)
    assert after.max() / after.min() < before.max() / before.min() / 2
    # Half shrunk: of the widest direction's variance v with mean variance m, v / (v / 2 + m / 2) is left.
    inside = np.mean([np.cov(groups[name][:, 0].T, bias=True) for name in ("cat", "fox")], axis=0)
    v, m = inside[0, 0], np.trace(inside) / 4
    assert after[0] ** 2 == pytest.approx(v / (v / 2 + m / 2), rel=0.1)
