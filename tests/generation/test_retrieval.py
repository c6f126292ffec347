"""Mixing is exact at both ends, linear or along the great circle between them; retrieval gives back raw codes."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import geometric_slerp
from scipy.special import softmax

from rupantara import schema
from rupantara.bank.alignment import HUMAN, Alignment, fit
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.generation import retrieval
from rupantara.generation.mixing import amount_row, mix, slerp
from rupantara.generation.retrieval import DonorRule, retrieve, retrieve_all, softmax_weights
from rupantara.landmarks.regions import REGIONS
from rupantara.types import Vectors

DIM = 6


class InProcess:
    """A bank in this process: an index and the alignment that its rows were made with."""

    def __init__(self, index: BankIndex, alignment: Alignment) -> None:
        self.alignment, self._index = alignment, index

    def num_faces(self, species: str) -> int:
        return self._index.moments().counts.get(("eyes", species), 0)

    def search_regions(self, queries: Mapping[str, Vectors], k: int, species: str = "") -> dict[str, Hits]:
        return {region: self._index.search(rows, region, k, species) for region, rows in queries.items()}


def drawn(rows: int, seed: int, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(rows, len(REGIONS), DIM)) + shift).astype(np.float32)


def bank_of(codes: dict[str, np.ndarray], humans: np.ndarray) -> InProcess:
    alignment = fit([(HUMAN, humans), *codes.items()])
    assert alignment is not None
    names = [name for name, rows in codes.items() for _ in rows]
    columns = {
        "face_id": [f"{name}-{i}" for name, rows in codes.items() for i in range(len(rows))],
        "species": names,
        "regions_mu": schema.vector_array(np.concatenate(list(codes.values()))),
    }
    return InProcess(BankIndex(bank_rows(pa.table(columns), schema.bank(DIM, "test"), alignment)), alignment)


@pytest.mark.parametrize("mode", ["linear", "spherical"])
def test_weight_0_and_1_are_the_codes_to_the_bit(mode: str) -> None:
    human, animal = torch.from_numpy(drawn(7, 0)) * 1e3, drawn(7, 1) / 3
    assert torch.equal(mix(human, torch.from_numpy(animal), torch.zeros(7, 5), mode), human)
    assert torch.equal(mix(human, torch.from_numpy(animal), torch.ones(7, 5), mode), torch.from_numpy(animal))
    # Also where there is nothing between them.
    zero = np.zeros_like(animal)
    assert torch.equal(mix(human, torch.from_numpy(zero), torch.zeros(7, 5), mode), human)
    assert torch.equal(
        mix(torch.from_numpy(zero), torch.from_numpy(animal), torch.ones(7, 5), mode), torch.from_numpy(animal)
    )


@settings(max_examples=20, deadline=None)
@given(weight=st.floats(0, 1), seed=st.integers(0, 1000))
def test_linear_mixing_is_numpy_s(weight: float, seed: int) -> None:
    human, animal = drawn(3, seed), drawn(3, seed + 1)
    found = mix(torch.from_numpy(human), torch.from_numpy(animal), torch.full((3, 5), weight))
    np.testing.assert_allclose(found, (1 - weight) * human + weight * animal, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(weight=st.floats(0, 1), seed=st.integers(0, 1000))
def test_spherical_mixing_is_scipy_s_with_lengths_in_between(weight: float, seed: int) -> None:
    human, animal = drawn(2, seed), drawn(2, seed + 1) * 4
    found = mix(torch.from_numpy(human), torch.from_numpy(animal), torch.full((2, 5), weight), "spherical").numpy()
    for row in range(2):
        for region in range(len(REGIONS)):
            a, b = human[row, region].astype(np.float64), animal[row, region].astype(np.float64)
            lengths = np.linalg.norm(a), np.linalg.norm(b)
            direction = geometric_slerp(a / lengths[0], b / lengths[1], weight)
            length = (1 - weight) * lengths[0] + weight * lengths[1]
            np.testing.assert_allclose(found[row, region], length * direction, atol=2e-4)


def test_by_hand() -> None:
    """Half way from (2, 0) to (0, 4): 45 degrees, of length 3."""
    found = slerp(torch.tensor([2.0, 0.0]), torch.tensor([0.0, 4.0]), torch.tensor([0.5]))
    np.testing.assert_allclose(found, [3 * 0.5**0.5] * 2, rtol=1e-6)


@pytest.mark.parametrize("weight", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ([0, 0, 0], [1, 2, 2]),
        ([1, 2, 2], [0, 0, 0]),
        ([0, 0, 0], [0, 0, 0]),
        ([1, 2, 2], [2, 4, 4]),
        ([1, 2, 2], [-2, -4, -4]),
        ([1, 2, 2], [1, 2, 2.0005]),
        ([1e-20, 0, 0], [0, 1, 0]),
    ],
)
def test_vectors_without_a_great_circle_are_mixed_linearly(a: list[float], b: list[float], weight: float) -> None:
    first, second = torch.tensor([a, b], dtype=torch.float32).unbind(0)
    found = slerp(first, second, torch.tensor([weight]))
    np.testing.assert_allclose(found, (1 - weight) * np.array(a) + weight * np.array(b), atol=1e-3)


def test_each_region_has_its_weight_and_others_stay() -> None:
    human, animal = torch.from_numpy(drawn(4, 0)), drawn(4, 1)
    amounts = amount_row({"mouth": 0.25, "eyes": 1.0})
    found = mix(human, torch.from_numpy(animal), amounts.expand(4, -1))
    at = {name: i for i, name in enumerate(REGIONS)}
    for name in ("nose", "ears", "forehead"):
        assert amounts[at[name]] == 0 and torch.equal(found[:, at[name]], human[:, at[name]])
    assert torch.equal(found[:, at["eyes"]], torch.from_numpy(animal)[:, at["eyes"]])
    expected = 0.75 * human[:, at["mouth"]].numpy() + 0.25 * animal[:, at["mouth"]]
    np.testing.assert_allclose(found[:, at["mouth"]], expected, atol=1e-6)


def test_attention_is_scipy_s_softmax_and_absent_features_get_none() -> None:
    scores = np.array([[0.9, 0.85, -np.inf], [0.5, 0.5, 0.5], [1.0, -1.0, -np.inf]])
    for temperature in (0.01, 0.1, 1e-6):
        found = softmax_weights(scores, temperature)
        np.testing.assert_allclose(found, softmax(scores / temperature, axis=1), atol=1e-12)
        assert (found[[0, 2], 2] == 0).all()
    np.testing.assert_allclose(softmax_weights(scores, 1e-6)[0], [1, 0, 0])


def test_the_nearest_feature_comes_back_raw_and_is_the_one_nearest_after_alignment() -> None:
    humans, codes = drawn(30, 0), {"cat": drawn(20, 1, 5.0), "dog": drawn(15, 2, 8.0) * 2}
    bank = bank_of(codes, humans)
    # The mean and spread of species that count alike.
    moments = [np.stack([part.astype(np.float64) for part in (c.mean(0), (c**2).mean(0))]) for c in codes.values()]
    mean, squares = np.mean(moments, axis=0)
    deviation = np.sqrt(squares - mean**2)
    for i, region in enumerate(REGIONS):
        for species, rows in codes.items():
            found = retrieve(bank, {region: humans[:, i]}, species, DonorRule(top_k=1))[region]
            queries = (humans[:, i] - humans[:, i].mean(0)) / humans[:, i].std(0)
            known = (rows[:, i] - mean[i]) / deviation[i]
            cosine = queries @ known.T / np.linalg.norm(queries, axis=1)[:, None] / np.linalg.norm(known, axis=1)
            best = cosine.argmax(1)
            assert found.ids[:, 0].tolist() == [f"{species}-{j}/{region}" for j in best]
            np.testing.assert_allclose(found.codes, rows[best, i], atol=1e-4)
            np.testing.assert_allclose(found.scores[:, 0], cosine.max(1), atol=1e-5)
            assert (found.weights == 1).all()


def test_more_features_are_averaged_by_attention_in_the_common_space_and_fewer_than_wanted_are_enough() -> None:
    humans, codes = drawn(10, 0), {"cat": drawn(3, 1, 5.0), "dog": drawn(15, 2, 8.0)}
    bank = bank_of(codes, humans)
    found = retrieve(bank, {"nose": humans[:, 1]}, "cat", DonorRule(top_k=5, temperature=0.5))["nose"]
    rows = {f"cat-{i}/nose": code for i, code in enumerate(codes["cat"][:, 1])}
    for row in range(10):
        assert sorted(found.ids[row, :3]) == sorted(rows) and (found.ids[row, 3:] == "").all()
        # Restoring is affine and the weights sum to 1, so the mean of raw codes is the same.
        expected = sum(w * rows[name] for w, name in zip(found.weights[row, :3], found.ids[row, :3], strict=True))
        np.testing.assert_allclose(found.codes[row], expected, atol=1e-4)
    np.testing.assert_allclose(found.weights.sum(1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="no nose of species 'fox'"):
        retrieve(bank, {"nose": humans[:, 1]}, "fox", DonorRule())


def test_one_animal_lends_all_regions_the_one_of_the_greatest_mean_cosine() -> None:
    humans, codes = drawn(12, 0), {"cat": drawn(40, 1, 5.0), "dog": drawn(15, 2, 8.0)}
    bank = bank_of(codes, humans)
    wanted = ("eyes", "mouth", "ears")
    by_region = {region: humans[:, REGIONS.index(region)] for region in wanted}
    found = retrieve_all(bank, by_region, "cat", DonorRule())
    cosines = []
    for region in wanted:
        i = REGIONS.index(region)
        queries = bank.alignment.align(humans[:, i], "human", region)
        known = bank.alignment.align(codes["cat"][:, i], "animal", region)
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(known, axis=1)
        cosines.append(queries @ known.T / lengths)
    best = np.mean(cosines, axis=0).argmax(1)
    assert len(set(best.tolist())) > 1
    for region, cosine in zip(wanted, cosines, strict=True):
        assert found[region].ids[:, 0].tolist() == [f"cat-{j}/{region}" for j in best]
        np.testing.assert_allclose(found[region].codes, codes["cat"][best, REGIONS.index(region)], atol=1e-4)
        np.testing.assert_allclose(found[region].scores[:, 0], cosine[np.arange(12), best], atol=1e-5)
    apart = retrieve_all(bank, by_region, "cat", DonorRule("region", top_k=1))
    assert any((apart[region].ids[:, 0] != found[region].ids[:, 0]).any() for region in wanted)


def best_animals(bank: InProcess, by_region: dict[str, np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """By brute force: the animal of the greatest mean cosine for each face, and that mean."""
    cosines = []
    for region, humans in by_region.items():
        queries = bank.alignment.align(humans, "human", region).astype(np.float64)
        known = bank.alignment.align(rows[:, REGIONS.index(region)], "animal", region).astype(np.float64)
        lengths = np.linalg.norm(queries, axis=1)[:, None] * np.linalg.norm(known, axis=1)
        cosines.append(queries @ known.T / lengths)
    mean = np.mean(cosines, axis=0)
    return mean.argmax(1), mean.max(1)


@pytest.mark.parametrize("room", [2**16, 700])
@pytest.mark.parametrize("num", [200, 256, 257, 2500])
def test_the_one_animal_is_the_best_of_all_however_many_there_are(num: int, room: int, monkeypatch) -> None:
    """Of 2,500 about none is among the 256 best of each of five regions, and one that is need not be the best."""
    monkeypatch.setattr(retrieval, "WHOLE_ROOM", room)
    humans, codes = drawn(12, 3), {"cat": drawn(num, 4, 5.0), "dog": drawn(15, 5)}
    bank = bank_of(codes, humans)
    by_region = {region: humans[:, i] for i, region in enumerate(REGIONS)}
    found = retrieve_all(bank, by_region, "cat", DonorRule())
    best, mean = best_animals(bank, by_region, codes["cat"])
    for i, region in enumerate(REGIONS):
        assert found[region].ids[:, 0].tolist() == [f"cat-{j}/{region}" for j in best]
        np.testing.assert_allclose(found[region].codes, codes["cat"][best, i], atol=1e-4)
    np.testing.assert_allclose(np.mean([found[r].scores[:, 0] for r in REGIONS], axis=0), mean, atol=1e-6)


def test_an_animal_that_one_region_left_out_wins_over_those_that_all_regions_found() -> None:
    """One cat is near in both of the regions; another is the nearest nose by far and 300th in the eyes."""
    humans = np.zeros((1, len(REGIONS), DIM), np.float32)
    humans[:, :, 0] = 1
    cats = np.zeros((400, len(REGIONS), DIM), np.float32)

    def at(degrees: np.ndarray | float) -> np.ndarray:
        radians = np.radians(degrees)
        return np.stack([np.cos(radians), np.sin(radians)], axis=-1)

    cats[:, :, :2] = at(170.0)
    cats[:300, 0, :2] = at(np.linspace(60, 61, 300))
    cats[0, 1, :2] = at(90.0)
    cats[300, 0, :2], cats[300, 1, :2] = at(62.0), at(0.0)
    alignment = Alignment.identity(DIM)
    table = {"face_id": [f"cat-{i:03d}" for i in range(400)], "species": ["cat"] * 400}
    table["regions_mu"] = schema.vector_array(cats)
    bank = InProcess(BankIndex(bank_rows(pa.table(table), schema.bank(DIM, "test"), alignment)), alignment)
    found = retrieve_all(bank, {r: humans[:, i] for i, r in enumerate(REGIONS[:2])}, "cat", DonorRule())
    assert [found[region].ids[0, 0] for region in REGIONS[:2]] == [f"cat-300/{region}" for region in REGIONS[:2]]


def test_equal_animals_go_by_id() -> None:
    humans = drawn(3, 0)
    codes = np.repeat(drawn(1, 1), 600, 0)
    bank = bank_of({"cat": codes, "dog": drawn(9, 2)}, humans)
    found = retrieve_all(bank, {"nose": humans[:, 1], "ears": humans[:, 3]}, "cat", DonorRule())
    assert found["nose"].ids[:, 0].tolist() == ["cat-0/nose"] * 3
    assert found["ears"].ids[:, 0].tolist() == ["cat-0/ears"] * 3
