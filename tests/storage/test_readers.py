"""Every table opens, with every column, in the readers that people use."""

import datasets
import duckdb
import numpy as np
import pandas
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rupantara import schema
from rupantara.storage import tables

VECTOR = np.arange(12, dtype=np.float32)
FEATURES = schema.features(
    [
        schema.vector_field("arcface", 12, model_sha256="ab", normalized=True),
        schema.vector_field("half", 3, 4, dtype=pa.float16()),
    ]
)
FACE = {
    **dict.fromkeys(("face_id", "uri", "sha256", "license", "domain", "species", "identity", "split"), "x"),
    "attributes": [{"name": "age", "value": "31"}],
    "image": b"\xff\xd8",
    "keypoints": [1.0] * 10,
    "landmarks": None,
    "detector_score": 0.5,
    "quality": dict.fromkeys(schema.QUALITY_FIELDS, 0.25),
    "parents": ["a", "b"],
    "reject": None,
}


@pytest.fixture(params=["faces", "features"])
def file(request: pytest.FixtureRequest, tmp_path) -> tuple[str, pa.Table]:
    if request.param == "faces":
        rejected = {**dict.fromkeys(FACE), "reject": {"stage": "read", "reason": "empty", "detail": ""}}
        table = pa.Table.from_pylist([FACE, rejected], schema=schema.FACES)
    else:
        row = {
            "face_id": "x",
            "domain": "human",
            "species": "human",
            "split": "val",
            "arcface": VECTOR.tolist(),
            "half": VECTOR.tolist(),
        }
        table = pa.Table.from_pylist([row, {**row, "arcface": None}], schema=FEATURES)
    path = str(tmp_path / "part.parquet")
    tables.write_parquet(path, table)
    return path, table


def values(table: pa.Table, column: str) -> list[object]:
    return [None if v is None else np.array(v, np.float32).tolist() for v in table[column].to_pylist()]


def vectors(table: pa.Table) -> list[str]:
    return [field.name for field in table.schema if pa.types.is_fixed_size_list(field.type)]


def test_pyarrow_reads_the_schema_with_its_metadata(file) -> None:
    path, table = file
    read = pq.read_table(path)
    assert read.equals(table)
    for name in vectors(table):
        assert read.schema.field(name).metadata[b"shape"] == table.schema.field(name).metadata[b"shape"]


def test_pandas_reads_every_column(file) -> None:
    path, table = file
    read = pandas.read_parquet(path)
    assert list(read.columns) == table.column_names
    for name in vectors(table):
        assert [None if v is None else v.tolist() for v in read[name]] == values(table, name)


def test_polars_reads_every_column(file) -> None:
    path, table = file
    read = polars.read_parquet(path)
    assert read.columns == table.column_names
    for name in vectors(table):
        assert values(read.to_arrow(), name) == values(table, name)


def test_duckdb_reads_every_column(file) -> None:
    path, table = file
    read = duckdb.sql(f"select * from read_parquet('{path}')")
    assert read.columns == table.column_names
    for name in vectors(table):
        found = [row[0] for row in duckdb.sql(f"select {name} from read_parquet('{path}')").fetchall()]
        assert [None if v is None else list(v) for v in found] == values(table, name)


def test_hugging_face_datasets_reads_every_column(file, tmp_path, monkeypatch) -> None:
    path, table = file
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    read = datasets.load_dataset("parquet", data_files=path, cache_dir=str(tmp_path / "cache"), split="train")
    assert read.column_names == table.column_names
    for name in vectors(table):
        assert [None if v is None else list(v) for v in read[name]] == values(table, name)
