"""A hybrid depends on its request alone; amount 0 is the face itself; wrong requests are refused before any network runs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from threading import Event

import numpy as np
import pyarrow as pa
import pytest
import torch

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.errors import UserError
from rupantara.generation import face, rendering
from rupantara.generation.donors import NEAREST, DonorQuery, find_donors
from rupantara.generation.face import FaceCrop, encode
from rupantara.generation.hybrid import SEVERAL, HybridGenerator, HybridRequest, everywhere
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.protocol import Generated
from rupantara.generation.retrieval import DonorRule
from rupantara.landmarks.regions import REGIONS
from rupantara.synthetic import draw_face
from rupantara.types import Vectors
from tests.drawn import CONFIG, tiny_model

ANIMALS = ["cat", "dog"] * 4


class InProcess:
    """A bank in this process, of codes as they are."""

    alignment = Alignment.identity(CONFIG.region_dim)
    species = ("cat", "dog")

    def __init__(self) -> None:
        self.codes = np.random.default_rng(0).normal(size=(8, len(REGIONS), CONFIG.region_dim)).astype(np.float32)
        table = {"face_id": [f"a{i}" for i in range(8)], "species": ANIMALS}
        rows = pa.table(table | {"regions_mu": schema.vector_array(self.codes)})
        self._index = BankIndex(bank_rows(rows, schema.bank(CONFIG.region_dim, ""), self.alignment))

    at_a_time = 1

    def num_faces(self, species: str) -> int:
        return ANIMALS.count(species)

    def search_regions(self, queries: Mapping[str, Vectors], k: int, species: str = "") -> dict[str, Hits]:
        return {region: self._index.search(rows, region, k, species) for region, rows in queries.items()}

    def pinned(self) -> "InProcess":
        return self


@cache
def crop(number: int) -> FaceCrop:
    drawn = draw_face("human", number, size=64)
    return FaceCrop.of(f"h{number}", drawn.image, drawn.landmarks)


@pytest.fixture(scope="module")
def loaded() -> LoadedRegionVAE:
    return LoadedRegionVAE(tiny_model(), "c0de")


@pytest.fixture(scope="module")
def generator(loaded: LoadedRegionVAE) -> HybridGenerator:
    return HybridGenerator(loaded, InProcess())


def unlike() -> list[HybridRequest]:
    """Requests that differ in everything."""
    per_region = {"eyes": 0.0, "nose": 0.7, "mouth": 1.0}
    return [
        HybridRequest(crop(0), ("cat",), unmixed=True),
        HybridRequest(crop(1), (NEAREST, "dog"), everywhere(0.5), path="spherical"),
        HybridRequest(crop(2), ({"eyes": "cat", "nose": "dog", "mouth": NEAREST},), per_region),
        HybridRequest(crop(3), ("dog",), per_region, donor=DonorRule("region", 2, 0.1), seed=7),
    ]


def differ(a: Sequence[Generated], b: Sequence[Generated]) -> int:
    """The greatest difference of two lists of pictures, in grey levels."""
    return max(int(np.abs(x.picture.astype(int) - y.picture).max()) for x, y in zip(a, b, strict=True))


def test_unlike_requests_in_one_batch_are_answered_as_each_alone(generator: HybridGenerator) -> None:
    together = generator.generate(unlike())
    assert [[made.record.kind for made in one] for one in together] == [
        ["reconstruction", "hybrid"],
        ["hybrid", "hybrid"],
        ["hybrid"],
        ["hybrid"],
    ]
    for request, made in zip(unlike(), together, strict=True):
        (alone,) = generator.generate([request])
        for a, b in zip(alone, made, strict=True):
            assert replace(a.record, scores={}) == replace(b.record, scores={})
            assert a.record.scores == pytest.approx(b.record.scores, abs=1e-6)
        # A level of 8 bits where a sum in another order falls on the other side of a half.
        assert differ(alone, made) <= 1
    ids = [one.record.request_id for made in together for one in made]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_pictures_do_not_depend_on_how_many_are_decoded_at_a_time(generator: HybridGenerator, monkeypatch, batch: int):
    whole = generator.generate(unlike())
    sizes: list[int] = []
    decode = rendering.decode
    monkeypatch.setattr(face, "BATCH", batch)
    monkeypatch.setattr(rendering, "decode", lambda model, *codes: sizes.append(len(codes[0])) or decode(model, *codes))
    parts = generator.generate(unlike())
    assert sizes == {1: [1] * 6, 2: [2] * 3, 5: [5, 1]}[batch]
    assert all(differ(a, b) <= 1 for a, b in zip(whole, parts, strict=True))


@pytest.mark.parametrize("path", ["linear", "spherical"])
def test_amount_0_is_the_face_itself_to_the_bit(generator: HybridGenerator, path: str) -> None:
    request = HybridRequest(crop(0), ("cat", "dog"), everywhere(0.0), path=path, unmixed=True)
    own, *hybrids = generator.generate([request])[0]
    assert all((one.picture == own.picture).all() for one in hybrids)
    full, _ = generator.generate([HybridRequest(crop(0), ("cat", "dog"), path=path)])[0]
    assert (full.picture != own.picture).any()


def test_a_face_given_by_its_codes_is_the_face_of_the_crop(generator: HybridGenerator, loaded: LoadedRegionVAE) -> None:
    (codes,) = encode(loaded, [crop(4)])
    by_codes, by_crop = (generator.generate([HybridRequest(x, (NEAREST,))])[0][0] for x in (codes, crop(4)))
    assert by_codes.record == by_crop.record and (by_codes.picture == by_crop.picture).all()


def test_each_species_lends_its_nearest_animal_and_nearest_is_the_nearer_of_both(
    generator: HybridGenerator, loaded: LoadedRegionVAE
) -> None:
    (codes,) = encode(loaded, [crop(5)])
    bank = InProcess().codes / np.linalg.norm(InProcess().codes, axis=2, keepdims=True)
    human = codes.regions_mu / np.linalg.norm(codes.regions_mu, axis=1, keepdims=True)
    cosines = np.einsum("ard,rd->ar", bank, human)
    best = {s: max((i for i in range(8) if ANIMALS[i] == s), key=lambda i: cosines[i].mean()) for s in ("cat", "dog")}
    cat, dog, nearest = generator.generate([HybridRequest(crop(5), ("cat", "dog", NEAREST))])[0]
    for made, species in ((cat, "cat"), (dog, "dog")):
        assert made.record.bank_ids == tuple(f"a{best[species]}/{region}" for region in REGIONS)
        told = made.record.scores
        np.testing.assert_allclose([told[f"{region}/0"] for region in REGIONS], cosines[best[species]], atol=1e-5)
    nearer = [max(("cat", "dog"), key=lambda s, r=r: cosines[best[s], r]) for r in range(len(REGIONS))]
    assert [nearest.record.parameters["regions"][region]["species"] for region in REGIONS] == nearer
    assert nearest.record.species == NEAREST


def test_a_region_asked_of_another_species_comes_from_its_best_animal_over_what_it_lends(
    generator: HybridGenerator,
) -> None:
    wanted = {"eyes": "cat", "nose": "dog", "mouth": "dog"}
    amounts = {"eyes": 1.0, "nose": 0.5, "mouth": 0.25}
    (made,) = generator.generate([HybridRequest(crop(6), (wanted,), amounts)])[0]
    (dogs,) = generator.generate([HybridRequest(crop(6), ("dog",), {"nose": 0.5, "mouth": 0.25})])[0]
    told = made.record.parameters["regions"]
    assert {region: one["species"] for region, one in told.items()} == wanted
    assert {region: one["amount"] for region, one in told.items()} == amounts
    assert told["nose"] == dogs.record.parameters["regions"]["nose"]
    assert made.record.species == SEVERAL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"species": ("unicorn",)}, "species must be one of cat, dog, nearest, got 'unicorn'"),
        ({"species": ({"eyes": "cat"},)}, "got none for nose"),
        ({"species": ()}, "at least one hybrid"),
        ({"amounts": {"chin": 1.0}}, "regions must be of eyes"),
        ({"amounts": {}}, "got none"),
        ({"amounts": {"eyes": 2.0}}, r"amount of eyes must be in \[0, 1\], got 2.0"),
        ({"amounts": {"eyes": float("nan")}}, "amount of eyes"),
        ({"path": "crooked"}, "path must be"),
        ({"donor": DonorRule("animal", 0)}, "top_k must be at least 1"),
        ({"donor": DonorRule("region", 3, float("nan"))}, "temperature above 0"),
    ],
)
def test_what_nobody_can_meet_is_refused_before_any_network_runs(change: dict, said: str) -> None:
    broken = LoadedRegionVAE(torch.nn.Linear(1, 1), "c0de")  # ty: ignore[invalid-argument-type]
    with pytest.raises(UserError, match=said):
        HybridGenerator(broken, InProcess()).generate([HybridRequest(crop(0), **change)])


def test_a_bank_of_another_model_is_refused(loaded: LoadedRegionVAE) -> None:
    bank = InProcess()
    bank.model_sha256 = "other"
    with pytest.raises(UserError, match="must be made with the checkpoint"):
        HybridGenerator(loaded, bank)


def test_no_requests_give_nothing(generator: HybridGenerator) -> None:
    assert generator.generate([]) == []


class Several(InProcess):
    """A bank that takes several questions at a time and answers the first one last."""

    at_a_time = 4

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.second = [], Event()

    def search_regions(self, queries: Mapping[str, Vectors], k: int, species: str = "") -> dict[str, Hits]:
        self.asked.append(species)
        if species == self.species[0]:
            assert self.second.wait(20), "the second question was not asked while the first was open"
        else:
            self.second.set()
        return super().search_regions(queries, k, species)


def test_several_species_are_searched_at_the_same_time_with_the_same_answer() -> None:
    bank = Several()
    codes = bank.codes[:2] + 0.1
    wanted = [
        DonorQuery(i, dict.fromkeys(REGIONS, name), DonorRule()) for i in range(2) for name in (*bank.species, NEAREST)
    ]
    found, serial = find_donors(bank, codes, wanted), find_donors(InProcess(), codes, wanted)
    assert sorted(set(bank.asked)) == sorted(bank.species)
    for one, other in zip(found, serial, strict=True):
        assert one.keys() == other.keys()
        assert all(one[r].ids == other[r].ids and np.array_equal(one[r].code, other[r].code) for r in one)


def test_an_error_of_one_of_several_searches_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = Several()
    monkeypatch.setattr(InProcess, "search_regions", lambda self, queries, k, species: {}[species])
    with pytest.raises(KeyError):
        find_donors(bank, bank.codes[:1], [DonorQuery(0, dict.fromkeys(REGIONS, NEAREST), DonorRule())])
