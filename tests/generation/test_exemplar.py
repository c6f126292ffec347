"""The renderer exemplar: amount 0 is the face itself, the answer says who lent its looks, many animals serve."""

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.bank import donors
from rupantara.bank.donors import Donors
from rupantara.errors import UserError
from rupantara.generation import hybrid
from rupantara.generation.face import FaceCodes, encode
from rupantara.generation.hybrid import HybridGenerator, HybridRequest, everywhere
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.rendering import render
from rupantara.imaging import codec
from rupantara.landmarks import align
from rupantara.synthetic import draw_face
from tests.drawn import tiny_model
from tests.generation.test_hybrid import InProcess, crop


def faces_row(species: str, number: int) -> dict:
    drawn = draw_face(species, number)
    cut = align.align(drawn.image, drawn.keypoints, "animal", 256)
    points = align.transform_points(drawn.keypoints, cut.transform)
    row = {"face_id": f"{species}{number}", "species": species, "image": codec.encode_jpeg(cut.crop)}
    return row | {"keypoints": points.ravel().tolist(), "quality": {"coverage": cut.coverage, "interocular_px": 60.0}}


@pytest.fixture(scope="module")
def lenders() -> Donors:
    rows = [faces_row(species, i) for species in ("cat", "dog") for i in range(6)]
    return Donors(
        pa.Table.from_pylist(donors.donor_rows(pa.Table.from_pylist(rows, schema=schema.FACES)), schema.DONORS)
    )


@pytest.fixture(scope="module")
def generator(lenders: Donors) -> HybridGenerator:
    return HybridGenerator(LoadedRegionVAE(tiny_model(), "c0de"), InProcess(), donors=lenders)


def test_exemplar_is_the_default_where_there_are_pictures_and_amount_0_is_the_face_itself(
    generator: HybridGenerator,
) -> None:
    request = HybridRequest(crop(0), ("cat", "dog"), everywhere(0.0), unmixed=True)
    itself, cat, dog = generator.generate([request])[0]
    assert np.array_equal(itself.picture, cat.picture) and np.array_equal(itself.picture, dog.picture)
    (full,) = generator.generate([HybridRequest(crop(0), ("cat",))])[0]
    assert full.record.parameters["renderer"] == "exemplar" and not np.array_equal(full.picture, itself.picture)
    lent = set(full.record.parameters["looks_of"].values())
    assert len(lent) == 1 and lent.pop().startswith("cat")


def test_a_face_and_all_that_is_laid_on_it_are_decoded_once(
    generator: HybridGenerator, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    monkeypatch.setattr(hybrid, "render", lambda model, codes: [decoded.extend(codes), *render(model, codes)][1:])
    made = generator.generate([HybridRequest(crop(i), ("cat", "dog"), unmixed=True) for i in range(2)])
    assert [len(one) for one in made] == [3, 3] and len(decoded) == 2


def test_an_animal_is_cut_out_once_for_both_ways_it_looks(lenders: Donors, monkeypatch: pytest.MonkeyPatch) -> None:
    cut = []
    prepare = donors.donor.prepare
    monkeypatch.setattr(donors.donor, "prepare", lambda *a, **k: [cut.append(k["name"]), prepare(*a, **k)][1])
    turned = Donors(pa.Table.from_pylist([row | {"yaw": 12.0} for row in lenders._rows], schema.DONORS))
    found = [[turned.pick(f"person-{i}", "dog", yaw)[0] for i in range(20)] for yaw in (15.0, -15.0)]
    assert len(cut) > 1 and len(set(cut)) == len(cut)
    for straight, mirrored in zip(*found, strict=True):
        assert mirrored.name == straight.name and not np.array_equal(mirrored.lab, straight.lab)
        assert np.array_equal(mirrored.lab, straight.lab[:, ::-1])
        assert np.array_equal(mirrored.points, straight.mirrored().points, equal_nan=True)


def test_latent_is_as_without_pictures(generator: HybridGenerator) -> None:
    plain = HybridGenerator(generator.loaded, InProcess())
    wanted = HybridRequest(crop(1), ("dog",), renderer="latent")
    (first,), (second,) = generator.generate([wanted])[0], plain.generate([HybridRequest(crop(1), ("dog",))])[0]
    assert np.array_equal(first.picture, second.picture)
    assert first.record.parameters["renderer"] == second.record.parameters["renderer"] == "latent"


def test_a_batch_is_answered_as_each_alone(generator: HybridGenerator) -> None:
    asked = [
        HybridRequest(crop(2), ("cat", "dog"), everywhere(0.5)),
        HybridRequest(crop(3), ({"eyes": "cat", "mouth": "dog"},), {"eyes": 1.0, "mouth": 0.8}),
        HybridRequest(crop(2), ("dog",), renderer="latent"),
    ]
    for one, together in zip(asked, generator.generate(asked), strict=True):
        alone = generator.generate([one])[0]
        said = [[made.record.parameters.get(k) for k in ("renderer", "looks_of")] for made in (*alone, *together)]
        assert said[: len(alone)] == said[len(alone) :]
        assert max(np.abs(a.picture.astype(int) - b.picture).max() for a, b in zip(alone, together, strict=True)) <= 2


def test_without_landmarks_auto_is_latent_and_exemplar_is_refused(generator: HybridGenerator) -> None:
    (codes,) = encode(generator.loaded, [crop(4)])
    bare = FaceCodes(codes.face_id, codes.global_mu, codes.regions_mu, codes.boxes)
    assert generator.generate([HybridRequest(bare, ("cat",))])[0][0].record.parameters["renderer"] == "latent"
    with pytest.raises(UserError, match="renderer exemplar needs"):
        generator.generate([HybridRequest(bare, ("cat",), renderer="exemplar")])


def test_many_people_are_served_by_many_animals(lenders: Donors) -> None:
    picked = [lenders.pick(f"person-{i}", "cat", 0.0)[0].name for i in range(60)]
    counts = [picked.count(name) for name in set(picked)]
    assert len(counts) >= 3 and max(counts) <= 40
    assert picked == [lenders.pick(f"person-{i}", "cat", 0.0)[0].name for i in range(60)]


def test_an_animal_that_looks_the_other_way_is_mirrored(lenders: Donors) -> None:
    for yaw in (-15.0, 15.0):
        donor, _ = lenders.pick("somebody", "dog", yaw)
        nose, eyes = donor.points[2, 0], donor.points[:2, 0].mean()
        aside = (nose - eyes) / (donor.points[1, 0] - donor.points[0, 0])
        assert abs(aside) < 0.03 or (aside > 0) == (yaw > 0)


def test_who_has_no_eyes_or_looks_away_is_less_fit() -> None:
    rows = donors.donor_rows(pa.Table.from_pylist([faces_row("cat", 0)], schema=schema.FACES))
    away = faces_row("cat", 0)
    points = np.array(away["keypoints"]).reshape(5, 2)
    points[2:] += (22, 0)
    turned = donors.donor_rows(
        pa.Table.from_pylist([away | {"keypoints": points.ravel().tolist()}], schema=schema.FACES)
    )
    shut = donors.donor_rows(
        pa.Table.from_pylist([away | {"quality": away["quality"] | {"eye_openness": 0.1}}], schema=schema.FACES)
    )
    assert turned[0]["fitness"] < 0.5 * rows[0]["fitness"] and not shut[0]["eyes_open"] and rows[0]["eyes_open"]
