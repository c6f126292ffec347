"""The probe's rows against brute force on the codes it encodes, and on alterations that alter nothing."""

from functools import partial

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment, fit
from rupantara.faces.arrays import FaceArrays, keypoints, load
from rupantara.generation import loading
from rupantara.landmarks.augmentations import AUGMENTATIONS, MarkedFace
from rupantara.landmarks.regions import REGIONS
from rupantara.reports import html, probe
from rupantara.stages.extract import encode
from rupantara.stages.probe import MEASURES, VIEWS, ProbeCodes
from rupantara.storage.recipe import Recipe
from tests.drawn import SIDE, face_row, tiny_model, write_faces, write_model, write_table

HUMANS, SPECIES = 6, ("cat", "dog")
ROWS = [face_row(f"h{i}", "human", i, "test") for i in range(HUMANS)]
ROWS += [face_row(f"{name}{i}", name, i, "test") for name in SPECIES for i in range(4)]
ROWS += [face_row(f"train-dog{i}", "dog", i) for i in range(4)]
HELD = {HUMAN: {f"h{i}": "human" for i in range(HUMANS)}, ANIMAL: {f"{s}{i}": s for s in SPECIES for i in range(4)}}


class Made:
    """A stage over drawn faces, the codes it should have, and the alignment fitted on them."""

    def __init__(self, root) -> None:
        faces = write_faces(str(root / "faces"), ROWS)
        checkpoint = write_model(str(root / "model"), tiny_model())
        table = pa.Table.from_pylist(ROWS, schema=schema.FACES)
        self.loaded = loading.load(checkpoint)
        arrays = load(table, SIDE)
        self.faces = {HUMAN: arrays.slice(0, HUMANS), ANIMAL: arrays.slice(HUMANS, 8)}
        self.train = {f"train-dog{i}": "dog" for i in range(4)}
        self.codes = {d: encode(self.loaded, part)[1].numpy() for d, part in self.faces.items()}
        space = fit([(HUMAN, self.codes[HUMAN]), ("cat", self.codes[ANIMAL][:4]), ("dog", self.codes[ANIMAL][4:])])
        assert space is not None
        self.space: Alignment = space
        self.stage = partial(ProbeCodes, faces, checkpoint, space, HELD, 0)

    def spaces(self, domain: str, codes: np.ndarray) -> dict[str, np.ndarray]:
        return {"raw": codes, "aligned": self.space.align(codes, domain)}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("probe"))


def rows_of(stage: ProbeCodes, *measures: str) -> dict[tuple[str, str, str], dict]:
    table = stage(pa.table({"measure": list(measures)}))
    assert table.schema.equals(schema.PROBE)
    found = {(row["measure"], row["space"], row["region"]): row for row in table.to_pylist()}
    matches = [m + VIEWS for m in measures if m.startswith("match_")]
    assert set(found) == {(m, s, r) for m in (*measures, *matches) for s in ("raw", "aligned") for r in REGIONS}
    return found


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = (x.astype(np.float64) / np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True) for x in (a, b))
    return a @ b.T


def test_species_and_hits_are_those_of_a_sorted_list(made: Made) -> None:
    found = rows_of(made.stage(), "species", "distinct_hits")
    names = np.array(list(HELD[ANIMAL].values()))
    pairs = made.spaces(HUMAN, made.codes[HUMAN]), made.spaces(ANIMAL, made.codes[ANIMAL])
    for space in ("raw", "aligned"):
        humans, animals = pairs[0][space], pairs[1][space]
        for i, region in enumerate(REGIONS):
            between = cosines(animals[:, i], animals[:, i])
            nearest = [max((j for j in range(8) if j != k), key=lambda j, k=k: between[k, j]) for k in range(8)]
            row = found["species", space, region]
            assert row["n"] == 8 and row["value"] == pytest.approx((names[nearest] == names).mean())
            assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1
            hit = {int(np.argmax(line)) for line in cosines(humans[:, i], animals[:, i])}
            row = found["distinct_hits", space, region]
            assert row["n"] == HUMANS and row["value"] == pytest.approx(len(hit) / HUMANS)
            assert np.isnan(row["low"]) and np.isnan(row["high"]), "not a share of independent draws"


def altered(made: Made, name: str) -> list[np.ndarray]:
    """Codes of the held-out animals after an alteration without chance, and of their mirror images."""
    part = made.faces[ANIMAL]
    points = keypoints(part.rows, SIDE)
    faces = [MarkedFace(*one) for one in zip(part.pictures, points, part.boxes, strict=True)]
    faces = [AUGMENTATIONS[name](face, np.random.default_rng((0, i))) for i, face in enumerate(faces)]
    out = []
    for seen in (faces, [AUGMENTATIONS["flip"](face, np.random.default_rng(0)) for face in faces]):
        pictures, boxes = np.stack([f.picture for f in seen]), np.stack([f.boxes for f in seen])
        out.append(encode(made.loaded, FaceArrays(part.rows, pictures, boxes.astype(np.float32)))[1].numpy())
    return out


@pytest.mark.parametrize("name", ["flip", "jitter", "shift_zoom"])
def test_an_altered_animal_finds_itself_as_often_as_by_brute_force(made: Made, name: str) -> None:
    found = rows_of(made.stage(), f"match_{name}")
    views = [made.spaces(ANIMAL, codes) for codes in altered(made, name)]
    known = made.spaces(ANIMAL, made.codes[ANIMAL])
    for (measure, space, region), row in found.items():
        i, asked = REGIONS.index(region), views if measure.endswith(VIEWS) else views[:1]
        best = np.max([cosines(view[space][:, i], known[space][:, i]) for view in asked], axis=0).argmax(1)
        assert row["n"] == 8 and row["value"] == pytest.approx((best == np.arange(8)).mean())
        assert 0 <= row["low"] <= row["value"] <= row["high"] <= 1


def test_a_mirrored_animal_is_found_for_sure_only_where_its_mirror_image_is_asked_for_too(made: Made) -> None:
    found = rows_of(made.stage(), "match_flip")
    plain, views = ([row["value"] for (m, *_), row in found.items() if m.endswith(VIEWS) == v] for v in (False, True))
    assert min(plain) < 1.0, "random weights do not know a mirrored face everywhere"
    assert views == [1.0] * len(views)


def test_train_animals_lie_in_the_bank_too_and_equal_ones_make_a_match_a_tie(made: Made, monkeypatch) -> None:
    """Every dog is in the train split once more, under another name: no dog can be the only nearest one, every cat can."""
    monkeypatch.setitem(AUGMENTATIONS, "blur", lambda face, rng: face)
    rows = rows_of(made.stage(train=made.train), "match_blur")
    assert {row["value"] for row in rows.values()} == {0.5} and {row["n"] for row in rows.values()} == {8}
    asked = made.codes[ANIMAL][:, 0] + np.linspace(0, 3, 8)[:, None].astype(np.float32)
    stage = made.stage(train=made.train)
    own = stage._matched([np.repeat(asked[:, None], len(REGIONS), 1)], "raw")[:, 0]
    bank = np.concatenate([made.codes[ANIMAL], made.codes[ANIMAL][4:]])[:, 0]
    scores = np.sort(cosines(asked, bank))
    best = cosines(asked, bank).argmax(1) == np.arange(8)
    assert own.tolist() == (best & (scores[:, -1] > scores[:, -2] + 1e-6)).tolist()


def test_an_alteration_that_alters_nothing_is_always_found(made: Made, monkeypatch) -> None:
    monkeypatch.setitem(AUGMENTATIONS, "blur", lambda face, rng: face)
    for row in rows_of(made.stage(), "match_blur").values():
        assert row["value"] == 1.0 and row["high"] == 1.0 and 0.6 < row["low"] < 0.7


def test_the_same_seed_measures_the_same(made: Made) -> None:
    first, again = (rows_of(made.stage(), "match_all", "domain_probe") for _ in range(2))
    assert first == again
    assert all(0 <= row["low"] <= row["high"] <= 1 for row in first.values())
    assert {row["n"] for (measure, *_), row in first.items() if measure == "domain_probe"} == {HUMANS}


def test_the_gap_that_alignment_takes_out_is_the_shift_of_the_means(made: Made) -> None:
    """Humans' and animals' codes far apart: raw, the discrepancy is large; aligned, about none."""
    codes = {d: c.copy() for d, c in made.codes.items()}
    stage = made.stage()
    stage._codes = {HUMAN: codes[HUMAN] + 50, ANIMAL: codes[ANIMAL]}
    shifted = {d: m + 50 * (d == HUMAN) for d, m in made.space.mean.items()}
    stage._alignment = Alignment(shifted, made.space.std)
    found = rows_of(stage, "domain_mmd", "domain_probe")
    for region in REGIONS:
        assert found["domain_probe", "raw", region]["value"] == 1.0
        raw, aligned = (found["domain_mmd", space, region] for space in ("raw", "aligned"))
        assert raw["value"] > 0.5 > 0.2 > aligned["value"]
        assert np.isnan(raw["low"]) and np.isnan(raw["high"])


def test_the_report_has_a_table_a_measure_with_intervals_where_there_are_some(made: Made, tmp_path) -> None:
    measures = ("domain_probe", "domain_mmd", "distinct_hits", "match_shift_zoom")
    assert set(measures) < set(MEASURES)
    table = made.stage()(pa.table({"measure": list(measures)}))
    write_table(
        str(tmp_path / "probe"),
        "probe",
        [table],
        Recipe("probe", 1, {"seed": 7}),
        gallery={"held_out": 8, "train": 4},
    )
    page = html.render("Region codes", [probe.section(str(tmp_path / "probe"))]).decode()
    captions = [part.split("<")[0] for part in page.split("<caption>")[1:]]
    assert captions == [
        probe.TITLES["domain_probe"],
        probe.TITLES["domain_mmd"],
        probe.TITLES["distinct_hits"],
        "An altered animal finds its own feature first: shift and zoom",
        "An altered animal finds its own feature first: shift and zoom (asked with its mirror image too)",
    ]
    assert "seed 7" in page and "among 8 held-out and 4 train animals" in page and "nan" not in page
    for row in table.to_pylist():
        if row["region"] == "mouth":
            interval = "" if np.isnan(row["low"]) else f" [{row['low']:.3f}, {row['high']:.3f}]"
            assert f"<td>{row['value']:.3f}{interval}</td>" in page
