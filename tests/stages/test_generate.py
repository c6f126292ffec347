"""Rows of faces, and numbers of sampled people, come out as rows of pictures that say how they were made."""

import io
import json
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.faces.balance import draw
from rupantara.faces.choice import Choice
from rupantara.generation import face
from rupantara.generation.donors import NEAREST
from rupantara.generation.hybrid import HybridGenerator, HybridRequest
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.prior import CodePrior
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.stages.generate import SAMPLE, GenerateHybrids, crops_of
from tests.drawn import CONFIG, face_row, tiny_model
from tests.generation.test_hybrid import InProcess

HUMANS = pa.Table.from_pylist([face_row(f"h{i}", "human", i) for i in range(7)], schema=schema.FACES)


def stage_of(choice: Choice | None = None, prior: CodePrior | None = None) -> GenerateHybrids:
    loaded = LoadedRegionVAE(tiny_model(), "c0de", prior)
    ask = partial(HybridRequest, species=("cat", NEAREST), unmixed=True)
    return GenerateHybrids(lambda: HybridGenerator(loaded, InProcess()), ask, choice, seed=3)


def pictures(table: pa.Table) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in table["image"].to_pylist()]).astype(int)


@pytest.mark.parametrize("batch", [1, 3])
def test_rows_are_the_same_whatever_is_worked_at_a_time(monkeypatch, batch: int) -> None:
    whole = stage_of()(HUMANS)
    assert whole["face_ids"].to_pylist() == [[f"h{i}"] for i in range(7) for _ in range(3)]
    assert whole["kind"].to_pylist() == ["reconstruction", "hybrid", "hybrid"] * 7
    monkeypatch.setattr(face, "BATCH", batch)
    parts = stage_of()(HUMANS)
    columns = [name for name in parts.column_names if name not in ("image", "scores")]
    assert parts.select(columns).equals(whole.select(columns))
    assert np.abs(pictures(parts) - pictures(whole)).max() <= 1


def test_a_row_and_its_picture_s_metadata_tell_the_same() -> None:
    for row in stage_of()(HUMANS.slice(0, 2)).to_pylist():
        said = Image.open(io.BytesIO(row["image"])).info
        assert "trainedAlgorithmicMedia" in said["DigitalSourceType"]
        told = json.loads(row["parameters"])
        assert json.loads(said["Parameters"]) == told
        assert (told["kind"], told["species"], told["face_ids"]) == (row["kind"], row["species"], row["face_ids"])
        assert told["model_sha256"] == row["model_sha256"] == ["c0de"]
        lent = [name for region in told.get("regions", {}).values() for name in region["bank_ids"]]
        assert sorted(row["bank_ids"]) == sorted(lent) and len(row["scores"]) == len(lent)


def test_rejected_faces_animals_and_those_outside_the_choice_are_left_out() -> None:
    others = [
        face_row("bad", "human", 20, reject=Rejected("quality", "blurred").as_row()),
        face_row("cat", "cat", 21),
        face_row("other", "human", 22, split="test"),
    ]
    rows = pa.concat_tables([HUMANS, pa.Table.from_pylist(others, schema=schema.FACES)])
    made = stage_of(Choice(split="train"))(rows)
    assert {face_ids[0] for face_ids in made["face_ids"].to_pylist()} == {f"h{i}" for i in range(7)}
    half = Choice(split="train", last=0.5, seed=1)
    expected = {f"h{i}" for i in range(7) if draw(f"h{i}", 1) <= 0.5}
    assert {face_ids[0] for face_ids in stage_of(half)(rows)["face_ids"].to_pylist()} == expected
    assert 0 < len(expected) < 7


def test_people_are_sampled_by_their_number_alone() -> None:
    dim, rng = CONFIG.global_dim + len(REGIONS) * CONFIG.region_dim, np.random.default_rng(0)
    prior = CodePrior(
        rng.normal(size=dim).astype(np.float32),
        rng.normal(size=(4, dim)).astype(np.float32),
        np.array(CANONICAL["human"], np.float32),
    )
    many, one = (stage_of(prior=prior)(pa.table({SAMPLE: pa.array(n, pa.int64())})) for n in ([0, 1, 2], [1]))
    assert many["kind"].to_pylist() == ["sample", "hybrid", "hybrid"] * 3
    assert one["face_ids"].to_pylist() == [["sample-3-1"]] * 3
    assert one["request_id"].to_pylist() == many["request_id"].to_pylist()[3:6]
    assert np.abs(pictures(one) - pictures(many)[3:6]).max() <= 1
    with pytest.raises(UserError, match="needs a checkpoint with a prior"):
        stage_of()(pa.table({SAMPLE: [0]}))


def test_crops_are_the_table_s_with_their_landmarks_boxes() -> None:
    for crop, row in zip(crops_of(HUMANS), HUMANS.to_pylist(), strict=True):
        assert crop.face_id == row["face_id"] and crop.landmarks is not None
        assert np.asarray(Image.open(io.BytesIO(row["image"]))).shape == crop.picture.shape
        np.testing.assert_allclose(crop.landmarks.ravel(), row["landmarks"], rtol=1e-6)
