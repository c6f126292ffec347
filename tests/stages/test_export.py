"""What other tools find in an export."""

import io
import json
import tarfile

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rupantara import schema
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.stages import export

PICTURES = np.random.default_rng(0).integers(0, 255, (5, 16, 16, 3), np.uint8)


def faces() -> pa.Table:
    rows = [
        {
            "face_id": f"{i:032d}-0",
            "species": "cat" if i % 2 else "human",
            "split": "train" if i < 3 else "test",
            "image": codec.encode_jpeg(PICTURES[i], 95),
            "attributes": [{"name": "age", "value": str(i)}],
        }
        for i in range(5)
    ]
    return pa.Table.from_pylist(rows, schema=schema.FACES)


def features() -> pa.Table:
    columns = schema.features([schema.vector_field("arcface", 4)])
    row = {"domain": "human", "species": "human", "split": "train"}
    rows = [{**row, "face_id": str(i), "arcface": None if i == 2 else [float(i)] * 4} for i in range(5)]
    return pa.Table.from_pylist(rows, schema=columns)


def test_a_tar_holds_each_picture_with_its_metadata_and_is_the_same_each_time() -> None:
    table = faces()
    made = export.webdataset(3, table)
    assert made.path == "00003.tar"
    assert made.data == export.webdataset(3, table).data
    with tarfile.open(fileobj=io.BytesIO(made.data)) as tar:
        contents = {m.name: tar.extractfile(m).read() for m in tar.getmembers()}
    for row in table.to_pylist():
        assert contents[f"{row['face_id']}.jpg"] == row["image"]
        said = json.loads(contents[f"{row['face_id']}.json"])
        assert said["species"] == row["species"]
        assert json.loads(said["attributes"]) == {"age": row["attributes"][0]["value"]}
        assert said["identity"] == "" and "image" not in said
    assert len(contents) == 10


UNLIKE = [
    {"species": "human", "domain": "human", "identity": "A B", "landmarks": [1.5] * 136, "detector_score": 0.9},
    {"species": "cat", "domain": "animal", "attributes": [], "quality": {"sharpness": 0.5}},
    {"species": "human", "domain": "human", "attributes": [{"name": "age", "value": "3"}]},
]
"""Rows in which another column is null each time: people with a name, animals, people with an age."""


def write_export(folder, layout: str, order: list[int]) -> None:
    """Export three files of a table: unlike rows in an order, rejects alone, and the same rows again."""
    named = [
        {"face_id": f"{i:032d}-0", "split": "train", "image": codec.encode_jpeg(PICTURES[i], 95), **UNLIKE[i % 3]}
        for i in range(5)
    ]
    reject = {"face_id": "f" * 32 + "-0", "reject": {"stage": "decode", "reason": "empty", "detail": ""}}
    parts = [[named[i] for i in order], [reject], named[3:]]
    stage = export.ExportFiles(str(folder / "table"), str(folder / "out"), layout)
    for i, rows in enumerate(parts):
        path = folder / f"table/data/part-{i}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=schema.FACES), path)
        planned = pa.table({"index": [i], "source": [f"data/part-{i}.parquet"]}, schema=schema.EXPORT_PLANNED)
        assert (stage(planned).num_rows == 0) == (i == 1)


@pytest.mark.parametrize("layout", ["folder", "webdataset"])
@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
def test_hugging_faces_readers_open_unlike_rows_in_any_order(layout, order, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    write_export(tmp_path, layout, order)
    out, cache = str(tmp_path / "out"), str(tmp_path / "cache")
    if layout == "folder":
        read = datasets.load_dataset("imagefolder", data_dir=out, cache_dir=cache, drop_labels=True)["train"]
        found = {row["face_id"]: (row["image"], row["identity"] or "", row["landmarks"]) for row in read}
    else:
        read = datasets.load_dataset("webdataset", data_files=f"{out}/*.tar", cache_dir=cache)["train"]
        said = [(row["jpg"], row["json"]) for row in read]
        found = {j["face_id"]: (i, j["identity"], json.loads(j["landmarks"] or "null")) for i, j in said}
    assert sorted(found) == [f"{i:032d}-0" for i in range(5)]
    for i in range(5):
        image, identity, landmarks = found[f"{i:032d}-0"]
        there = codec.decode_jpeg(codec.encode_jpeg(PICTURES[i], 95))
        np.testing.assert_array_equal(np.array(image), there)
        assert identity == UNLIKE[i % 3].get("identity", "")
        assert landmarks == UNLIKE[i % 3].get("landmarks")


def test_embeddings_and_metadata_stay_in_step_when_a_vector_is_missing() -> None:
    vectors, rows = export.clip_retrieval(2, features(), "arcface")
    assert (vectors.path, rows.path) == ("img_emb/img_emb_2.npy", "metadata/metadata_2.parquet")
    matrix, table = np.load(io.BytesIO(vectors.data)), pq.read_table(io.BytesIO(rows.data))
    assert matrix.shape == (4, 4)
    assert matrix[:, 0].tolist() == [float(i) for i in table["image_path"].to_pylist()] == [0.0, 1.0, 3.0, 4.0]


@pytest.mark.parametrize(
    ("table", "layout", "column"), [(features(), "webdataset", ""), (faces(), "clip_retrieval", "image")]
)
def test_a_table_without_what_the_layout_needs_is_refused(table: pa.Table, layout: str, column: str) -> None:
    with pytest.raises(UserError, match="got"):
        export.check(table.schema, layout, column)
