"""Tables to the layouts that other tools read: WebDataset tars, image folders, clip-retrieval's embeddings."""

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rupantara import schema
from rupantara.errors import UserError
from rupantara.storage import tables, uris

FORMATS = ("webdataset", "folder", "clip_retrieval")
NOT_METADATA = ("image", "reject")
SUFFIXES = {b"\xff\xd8": "jpg", b"\x89P": "png", b"RI": "webp"}


@dataclass(frozen=True)
class File:
    """One exported file."""

    path: str
    data: bytes
    rows: int


class ExportFiles:
    """Batch of `schema.EXPORT_PLANNED` (files of a table) -> `schema.EXPORTED`: writes each file in the layout, as tar, folder or
    embeddings; a row for each file written.
    """

    def __init__(self, table: str, output: str, layout: str, column: str = "") -> None:
        """Export a table in one of FORMATS; `column` is the vector that clip_retrieval takes."""
        self._table, self._output, self._layout, self._column = table, output, layout, column

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Write the files."""
        rows = []
        for planned in batch.to_pylist():
            part = tables.read_file(self._table, planned["source"])
            for file in self._files(planned["index"], schema.accepted(part) if "reject" in part.column_names else part):
                uris.write_bytes(uris.join(self._output, file.path), file.data)
                digest = hashlib.sha256(file.data).hexdigest()
                written = {"file": file.path, "rows": file.rows, "bytes": len(file.data), "sha256": digest}
                rows.append({**written, "source": planned["source"]})
        return pa.Table.from_pylist(rows, schema=schema.EXPORTED)

    def _files(self, index: int, part: pa.Table) -> Iterator[File]:
        if not part.num_rows or (self._column and part[self._column].null_count == part.num_rows):
            # No reader opens a shard without rows.
            return
        if self._layout == "webdataset":
            yield webdataset(index, part)
        elif self._layout == "folder":
            yield from folder(index, part)
        else:
            yield from clip_retrieval(index, part, self._column)


def row_id(row: dict[str, Any]) -> str:
    """Return what names a row: its face_id, or the request_id of a generated picture."""
    return str(row["request_id"] if "request_id" in row else row["face_id"])


def as_text(row: dict[str, Any]) -> dict[str, str]:
    """Return everything but the picture as text: strings as they are, other values as JSON, "" for what is absent.

    A reader that guesses types from the first rows, as Hugging Face's does, so finds the same in every row.
    """
    return {name: _text(name, value) for name, value in row.items() if name not in NOT_METADATA}


def _text(name: str, value: Any) -> str:
    if name == "attributes":
        value = {pair["name"]: pair["value"] for pair in value or ()} or None
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def suffix(image: bytes) -> str:
    """Return the file name's ending for encoded bytes."""
    return SUFFIXES.get(image[:2], "bin")


def webdataset(index: int, part: pa.Table) -> File:
    """Pack rows as `ID.jpg` and `ID.json` into a tar whose bytes depend on nothing but the rows."""
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for row in part.to_pylist():
            encoded = json.dumps(as_text(row), ensure_ascii=False).encode()
            for ending, data in ((suffix(row["image"]), row["image"]), ("json", encoded)):
                member = tarfile.TarInfo(f"{row_id(row)}.{ending}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return File(f"{index:05d}.tar", sink.getvalue(), part.num_rows)


def folder(index: int, part: pa.Table) -> Iterator[File]:
    """Lay pictures out as SPLIT/SPECIES/NNNNN/ID.jpg, with a metadata.parquet of typed columns in each last folder.

    Hugging Face's imagefolder reads it with the metadata, torchvision's ImageFolder with the species as classes.
    """
    named: dict[str, dict[int, str]] = {}
    for i, row in enumerate(part.to_pylist()):
        place = "/".join([*(str(row[name]) for name in ("split", "kind", "species") if row.get(name)), f"{index:05d}"])
        name = f"{row_id(row)}.{suffix(row['image'])}"
        named.setdefault(place, {})[i] = name
        yield File(f"{place}/{name}", row["image"], 1)
    kept = part.select([name for name in part.column_names if name not in NOT_METADATA])
    for place, names in named.items():
        sink = io.BytesIO()
        rows = kept.take(list(names)).add_column(0, "file_name", pa.array(list(names.values())))
        pq.write_table(rows, sink, compression="zstd")
        yield File(f"{place}/metadata.parquet", sink.getvalue(), len(names))


def clip_retrieval(index: int, part: pa.Table, column: str) -> Iterator[File]:
    """Write a file's vectors as img_emb/img_emb_N.npy and its other columns, row by row alike, as metadata/metadata_N.parquet.

    Rows without a finite vector are left out of both, so that the two never slip against each other.
    """
    part = schema.whole(part, column)
    vectors = schema.dense(part[column], part.schema.field(column).type.list_size)
    sink, table = io.BytesIO(), io.BytesIO()
    np.save(sink, vectors)
    plain = [f.name for f in part.schema if not pa.types.is_fixed_size_list(f.type)]
    pq.write_table(part.select(plain).append_column("image_path", part["face_id"]), table)
    yield File(f"img_emb/img_emb_{index}.npy", sink.getvalue(), part.num_rows)
    yield File(f"metadata/metadata_{index}.parquet", table.getvalue(), part.num_rows)


def check(columns: pa.Schema, layout: str, column: str) -> None:
    """Raise UserError when a table has not what the layout needs."""
    if layout != "clip_retrieval" and "image" not in columns.names:
        raise UserError(f"--format {layout} needs a table with pictures, got columns {', '.join(columns.names)}")
    vectors = [f.name for f in columns if pa.types.is_fixed_size_list(f.type)]
    if layout == "clip_retrieval" and column not in vectors:
        raise UserError(
            f"--column must be a vector of the table ({', '.join(vectors) or 'it has none'}), got {column!r}"
        )
