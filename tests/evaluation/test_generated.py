"""Generated pictures are measured against the people that they were made from, whatever part of the table they lie in."""

from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.evaluation.generated import GeneratedTrial
from rupantara.faces.arrays import load
from rupantara.generation import rows
from rupantara.generation.donors import NEAREST
from rupantara.generation.face import FaceCodes
from rupantara.generation.hybrid import HybridGenerator, HybridRequest
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.reports import generated_metrics, html
from rupantara.stages.generate import GenerateHybrids
from rupantara.stages.measure import JudgeNetworks, MeasureMethods
from rupantara.storage.recipe import Recipe
from tests.conftest import WEIGHTS
from tests.drawn import CONFIG, SIDE, face_row, tiny_model, write_faces, write_table
from tests.generation.test_hybrid import InProcess

PEOPLE = [face_row(f"h{i}", "human", i) for i in range(5)]


class Made:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.faces = write_faces(str(root / "faces"), PEOPLE)
        generator = HybridGenerator(LoadedRegionVAE(tiny_model(), "c0de"), InProcess())
        ask = partial(HybridRequest, species=("cat", NEAREST), unmixed=True)
        stage = GenerateHybrids(lambda: generator, ask)
        self.generated = stage(pa.Table.from_pylist(PEOPLE, schema=schema.FACES))
        rng = np.random.default_rng(0)
        codes = (rng.normal(size=n).astype(np.float32) for n in ((CONFIG.global_dim,), (5, CONFIG.region_dim)))
        nobody = FaceCodes("sample-0-0", *codes, load(self.generated_people(), SIDE).boxes[0], sampled=True)
        self.nobody = rows.table(generator.generate([HybridRequest(nobody, ("dog",), unmixed=True)])[0])

    @staticmethod
    def generated_people() -> pa.Table:
        return pa.Table.from_pylist(PEOPLE, schema=schema.FACES)

    def measured(self, table: pa.Table, chosen: list[str] | None = None, weights: str = "") -> list[dict]:
        trial = partial(GeneratedTrial, self.faces, chosen)
        return MeasureMethods(trial, JudgeNetworks(weights), {"h1"})(table).to_pylist()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("generated"))


def test_each_picture_has_a_row_and_each_person_one_more(made: Made) -> None:
    found = made.measured(made.generated)
    keys = [(row["face_id"], row["kind"], row["species"]) for row in found]
    expected = [("source", "human"), ("reconstruction", "human"), ("hybrid", "cat"), ("hybrid", NEAREST)]
    assert sorted(keys) == sorted((f"h{i}", *one) for i in range(5) for one in expected)
    assert {row["face_id"] for row in found if row["image"]} == {"h1"}


def test_errors_are_those_of_numpy_and_hybrids_are_not_held_to_look_like_the_person(made: Made) -> None:
    sources = load(made.generated_people(), SIDE).pictures.astype(np.float64) / 255
    found = {(row["face_id"], row["kind"]): row for row in made.measured(made.generated)}
    for row in made.generated.to_pylist():
        face, kind = row["face_ids"][0], row["kind"]
        if kind == "hybrid":
            assert found[face, kind]["mse"] is None
            continue
        picture = load(pa.Table.from_pylist([{**PEOPLE[0], "image": row["image"]}], schema=schema.FACES), SIDE).pictures
        expected = np.mean((picture[0] / 255 - sources[int(face[1:])]) ** 2)
        assert found[face, kind]["mse"] == pytest.approx(expected, rel=1e-4)


def test_people_who_do_not_exist_have_no_source_and_others_can_be_left_out(made: Made) -> None:
    both = pa.concat_tables([made.generated.replace_schema_metadata(), made.nobody.replace_schema_metadata()])
    found = made.measured(both)
    assert [r["kind"] for r in found if r["face_id"] == "sample-0-0"] == ["sample", "hybrid"]
    assert {r["face_id"] for r in made.measured(both, ["h2", "h4"])} == {"h2", "h4"}


@pytest.mark.skipif(not (WEIGHTS / "squeezenet_v1.1.npz").exists(), reason="needs the published networks")
def test_a_copy_of_the_photograph_is_the_person(made: Made) -> None:
    copies = [
        {**row, "image": PEOPLE[int(row["face_ids"][0][1:])]["image"]}
        for row in made.generated.to_pylist()
        if row["kind"] == "reconstruction"
    ]
    found = made.measured(pa.Table.from_pylist(copies, schema=schema.GENERATED), weights=str(WEIGHTS))
    assert all(row["identity"] == pytest.approx(1, abs=1e-4) for row in found if row["kind"] != "source")
    assert all(row["lpips_caffe_squeezenet"] < 1e-6 for row in found if row["kind"] != "source")


def test_the_report_has_a_line_for_each_kind_and_species(made: Made) -> None:
    uri = str(made.root / "metrics")
    table = pa.Table.from_pylist(made.measured(made.generated), schema=schema.METRICS)
    write_table(uri, "metrics", [table], Recipe("test", 1), generated="g", pictures=15, people=5)
    lines = generated_metrics.table_rows(uri)
    assert sorted((line[0], line[1], line[2]) for line in lines) == [
        ("hybrid", "cat", "5"),
        ("hybrid", NEAREST, "5"),
        ("reconstruction", "human", "5"),
    ]
    assert "±" in next(line for line in lines if line[0] == "reconstruction")[3]
    assert b"Pictures by kind and species" in html.render("x", [generated_metrics.section(uri)])
