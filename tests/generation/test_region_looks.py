"""Crops of a bank's features: of the picture where the bank has one, else of what the animal's own codes decode to."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
import torch

from rupantara import schema
from rupantara.bank.donors import Donors
from rupantara.generation.exemplar import animal_decoder
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.protocol import Generated
from rupantara.generation.region_looks import CONTEXT, SIDE, Feature, RegionLooks
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import CANONICAL, REGIONS, part_boxes
from rupantara.synthetic import draw_face
from rupantara.tensors import to_pictures
from tests.drawn import CONFIG, tiny_model
from tests.generation.test_exemplar import lenders

__all__ = ["lenders"]

LOADED = LoadedRegionVAE(tiny_model(), "c0de")


def codes(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((len(REGIONS), CONFIG.region_dim)).astype(np.float32)


def coded(species: str, seeds: tuple[int, ...]) -> Donors:
    """Animals of a bank that come as codes."""
    points = (np.array(draw_face(species, 0).keypoints, np.float32) / 256).ravel().tolist()
    rows = [
        {
            "face_id": f"{species}{seed}",
            "species": species,
            "global_code": np.full(CONFIG.global_dim, seed, np.float16),
            "region_codes": codes(seed).ravel().astype(np.float16),
            "yaw": 0.0,
            "eyes_open": True,
            "fitness": 1.0,
            "points": (points + [float("nan")] * 12)[:12],
        }
        for seed in seeds
    ]
    made = Donors(pa.Table.from_pylist(rows, schema=schema.DONORS))
    made.show_by(animal_decoder(LOADED.model))
    return made


def test_a_photograph_of_the_bank_is_cut_at_its_own_boxes(lenders: Donors) -> None:
    (shown,) = RegionLooks(LOADED, lenders).show([Feature("cat2/mouth", "mouth", "cat")])
    assert isinstance(shown, np.ndarray) and shown.shape == (SIDE, SIDE, 3)
    picture, points, photographed = lenders.looks("cat2")
    assert photographed
    x0, y0, x1, y1 = part_boxes(None, "animal", 256, (points * 256).astype(np.float32))[2]
    half = CONTEXT * max(x1 - x0, y1 - y0) / 2
    middle = np.clip([(x0 + x1) / 2, (y0 + y1) / 2], half, 1 - half)
    expected = region_crop(picture, (*(middle - half), *(middle + half)), 1.0, SIDE)
    np.testing.assert_array_equal(shown, expected)


def test_an_animal_of_codes_alone_is_decoded_over_its_species_mean_and_says_so() -> None:
    looks = RegionLooks(LOADED, coded("cat", (1, 3)))
    asked = [Feature("a/nose", "nose", "cat", codes(9)), Feature("b/nose", "nose", "cat")]
    (made, unknown) = looks.show(asked)
    assert unknown is None
    assert isinstance(made, Generated) and made.picture is not None
    whole = torch.full((1, CONFIG.global_dim), 2.0)
    boxes = torch.tensor(CANONICAL["animal"], dtype=torch.float32)[None]
    with torch.inference_mode():
        decoded = LOADED.model.decode(whole, torch.from_numpy(codes(9))[None], boxes, CONFIG.species_index(["cat"]))
    x0, y0, x1, y1 = CANONICAL["animal"][1]
    half = CONTEXT * max(x1 - x0, y1 - y0) / 2
    middle = np.clip([(x0 + x1) / 2, (y0 + y1) / 2], half, 1 - half)
    expected = region_crop(to_pictures(decoded)[0], (*(middle - half), *(middle + half)), 1.0, SIDE)
    assert np.abs(made.picture.astype(int) - expected).max() <= 1
    assert (made.record.kind, made.record.species, list(made.record.bank_ids)) == ("reconstruction", "cat", ["a/nose"])


def test_an_animal_whose_whole_code_the_bank_carries_is_shown_by_it() -> None:
    animals = coded("cat", (1, 3))
    feature = Feature("cat3/eyes", "eyes", "cat", codes(9))
    (by_whole,), (by_regions,) = (
        RegionLooks(LOADED, animals).show([one]) for one in (feature, replace(feature, bank_id="other/eyes"))
    )
    assert isinstance(by_whole, Generated) and isinstance(by_regions, Generated)
    assert by_whole.record.parameters["decoded_from"] == "whole"
    assert by_regions.record.parameters["decoded_from"] == "regions"
    assert not np.array_equal(by_whole.picture, by_regions.picture)


@pytest.mark.parametrize("region", REGIONS)
def test_several_features_are_shown_as_one_by_one(region: str) -> None:
    looks = RegionLooks(LOADED)
    asked = [Feature(f"{i}/{region}", region, "dog", codes(i)) for i in range(3)]
    together = looks.show(asked)
    for feature, shown in zip(asked, together, strict=True):
        (alone,) = looks.show([feature])
        assert isinstance(alone, Generated) and isinstance(shown, Generated)
        assert alone.picture is not None and shown.picture is not None
        assert np.abs(alone.picture.astype(int) - shown.picture).max() <= 1
