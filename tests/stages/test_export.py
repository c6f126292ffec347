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
        assert said["attributes"] == {"age": row["attributes"][0]["value"]}
        assert "image" not in said
    assert len(contents) == 10


def test_hugging_faces_imagefolder_reads_a_folder_with_its_metadata(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    for file in export.folder(0, faces()):
        path = tmp_path / "out" / file.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.data)
    read = datasets.load_dataset(
        "imagefolder", data_dir=str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"), drop_labels=True
    )
    assert {split: len(rows) for split, rows in read.items()} == {"train": 3, "test": 2}
    for rows in read.values():
        for row in rows:
            there = codec.decode_jpeg(faces().to_pylist()[int(row["face_id"].split("-")[0])]["image"])
            np.testing.assert_array_equal(np.array(row["image"]), there)


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
