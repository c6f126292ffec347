"""Enhanced rows: who they are stays, what was done is said, and errors are against the original."""

import io
import json

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from rupantara import schema
from rupantara.evaluation.originals import Originals
from rupantara.generation import provenance
from rupantara.imaging import codec
from rupantara.imaging.degrade import Cast
from rupantara.imaging.dehaze import Dehaze
from rupantara.imaging.enhance import enhance, parse
from rupantara.stages.enhance import Chain, EnhancePictures
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

PICTURES = np.stack([draw_face("human", i, size=64).image for i in range(5)])
REJECT = {"stage": "generate", "reason": "no_feature", "detail": "of a cat"}
CHAIN = Chain(parse("tone,dehaze,unsharp:amount=0.3"))


def generated(pictures: np.ndarray = PICTURES) -> pa.Table:
    """Reconstructions of faces 0, 1 and 9 (which is nowhere), a hybrid of 3, and a row that was rejected."""
    rows = []
    for i, (kind, face) in enumerate([("reconstruction", j) for j in (0, 1, 9)] + [("hybrid", 3)]):
        parameters = {"kind": kind, "face_id": f"face-{face}"}
        row = {"request_id": f"r{i}", "kind": kind, "face_ids": [f"face-{face}"], "species": "human", "seed": 4}
        image = provenance.png(pictures[i], kind, parameters)
        rows.append(row | {"parameters": json.dumps(parameters), "image": image, "scores": [0.5], "bank_ids": ["b"]})
    rows.append({"request_id": "r4", "kind": "hybrid", "face_ids": ["face-4"], "reject": REJECT})
    return pa.Table.from_pylist(rows, schema=schema.GENERATED)


def faces(first: int, last: int) -> pa.Table:
    rows = [
        {"face_id": f"face-{i}", "split": "test", "image": codec.encode_jpeg(PICTURES[i], 100), "license": "CC0"}
        for i in range(first, last)
    ]
    rejected = {"face_id": f"face-9{first}", "split": "test", "reject": REJECT}
    return pa.Table.from_pylist([*rows, rejected], schema=schema.FACES)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A faces table of two files."""
    uri = str(tmp_path_factory.mktemp("faces") / "faces")
    running = manifest.begin(uri, "faces", Recipe("curate", 1), version=schema.VERSION, overwrite=False)
    assert running is not None
    for i, part in enumerate((faces(0, 1), faces(1, 5))):
        tables.write_part(uri, running.fingerprint, i, part, part.num_rows)
    tables.commit_parts(uri, running, 2, 0.0)
    return uri


def test_originals_are_found_whatever_file_they_lie_in_and_only_those_there(table: str) -> None:
    found = Originals(table)(["face-0", "face-3", "face-9", "face-90"])
    assert found.keys() == {"face-0", "face-3"}
    for i in (0, 3):
        np.testing.assert_array_equal(found[f"face-{i}"], codec.decode_jpeg(codec.encode_jpeg(PICTURES[i], 100)))
    assert Originals(table)([]) == {}


def test_rows_stay_who_they_are_and_only_their_pictures_change(table: str) -> None:
    before = generated()
    after = EnhancePictures(CHAIN, table)(before)
    assert after.schema.equals(schema.enhanced(schema.GENERATED))
    kept = [name for name in before.column_names if name not in ("image", "parameters")]
    assert after.select(kept).equals(before.select(kept))
    for i, row in enumerate(after.to_pylist()[:4]):
        expected = enhance(PICTURES[i : i + 1], CHAIN.steps)[0]
        np.testing.assert_array_equal(codec.decode_jpeg(row["image"]), expected)


def test_a_rejected_row_passes_unchanged(table: str) -> None:
    before, after = (t.to_pylist()[4] for t in (generated(), EnhancePictures(CHAIN, table)(generated())))
    assert after == before | {"steps": None}


def test_the_picture_says_what_was_done_to_it(table: str) -> None:
    for row in EnhancePictures(CHAIN, table)(generated()).to_pylist()[:4]:
        said = Image.open(io.BytesIO(row["image"])).info
        assert "Synthetic" in said["Description"]
        assert json.loads(said["Parameters"]) == json.loads(row["parameters"])
        assert json.loads(row["parameters"])["face_id"] == row["face_ids"][0]
        done = json.loads(row["parameters"])["enhanced"]
        assert [step["step"] for step in done] == ["tone", "dehaze", "unsharp"]
        assert done[2] == {"step": "unsharp", "amount": 0.3, "sigma": 1.5}


def test_reconstructions_of_known_faces_alone_are_measured_after_each_step(table: str) -> None:
    rows = EnhancePictures(CHAIN, table)(generated(Cast(0.3)(PICTURES))).to_pylist()
    assert [row["steps"] is None for row in rows] == [False, False, True, True, True]
    for i, row in enumerate(rows[:2]):
        assert [step["step"] for step in row["steps"]] == ["input", "tone", "dehaze", "unsharp:amount=0.3"]
        source = codec.decode_jpeg(codec.encode_jpeg(PICTURES[i], 100)).astype(float)
        given = Cast(0.3)(PICTURES[i : i + 1])
        for count, step in enumerate(row["steps"]):
            made = enhance(given, CHAIN.steps[:count])[0]
            assert step["mse"] == pytest.approx(np.square((made - source) / 255).mean(), rel=1e-5)
            assert step["psnr"] == pytest.approx(-10 * np.log10(step["mse"]))
    assert all(row["steps"] is None for row in EnhancePictures(CHAIN)(generated()).to_pylist())


def test_a_larger_original_is_shrunk_to_the_picture(table: str) -> None:
    small = np.stack([codec.resize(picture, 32) for picture in PICTURES])
    rows = EnhancePictures(CHAIN, table)(generated(small)).to_pylist()
    assert rows[0]["steps"][0]["psnr"] > 35


def test_a_face_that_was_made_poor_is_measured_against_itself() -> None:
    before = faces(0, 5)
    chain = Chain((Dehaze(),), degrade=(Cast(0.4),))
    rows = EnhancePictures(chain)(before).to_pylist()
    assert [row["face_id"] for row in rows] == before["face_id"].to_pylist()
    for row, picture in zip(rows[:5], PICTURES, strict=True):
        errors = [step["mse"] for step in row["steps"]]
        assert errors[0] == pytest.approx(np.square(0.4 * (1 - picture / 255)).mean(), rel=0.02)
        assert errors[1] < errors[0]
        assert row["license"] == "CC0"
    assert rows[5]["reject"] == REJECT


def test_only_chosen_faces_are_enhanced() -> None:
    made = EnhancePictures(CHAIN, chosen=frozenset({"face-1", "face-4"}))(faces(0, 5))
    assert made["face_id"].to_pylist() == ["face-1", "face-4"]
