"""The streams of a training on Ray Data: read and decoded once, kept in the object store."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import pyarrow as pa
import ray.data

from rupantara.storage import manifest, tables
from rupantara.training.streams import Rows, Stream

Key = tuple[str, str, tuple[str, ...]]
"""Table, schema and columns that are read."""


def lay_out(streams: Mapping[str, Stream], shuffled: Collection[str], seed: int) -> dict[str, ray.data.Dataset]:
    """Decode every stream once, and shuffle the rows of some as the seed says.

    A table that several streams read is read once, its pictures still encoded: a tenth of the pixels or less. Streams are decoded one after
    another, the largest first: beside what is laid out the store then holds the files as they are, and one stream in the making
    twice, before its shuffle and after.
    """
    # The order of rows decides what a seed means.
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    uses = Counter(key for stream in streams.values() for key in _keys(stream))
    read = {key: _read(key) for key in uses}
    shared = {key: rows.materialize() if uses[key] > 1 else rows for key, rows in read.items()}
    laid: dict[str, ray.data.Dataset] = {}
    for name in sorted(streams, key=lambda name: -streams[name].count):
        first, *others = (shared[key] for key in _keys(streams[name]))
        rows = first.union(*others) if others else first
        decode: Any = _Decode(streams[name])
        decoded = rows.map_batches(decode, batch_format="pyarrow", batch_size=None)
        # Rows come sorted by path, so by species: without a shuffle of the whole, a buffer would show one species at a time.
        laid[name] = (decoded.random_shuffle(seed=seed) if name in shuffled else decoded).materialize()
    return {name: laid[name] for name in streams}


def _keys(stream: Stream) -> list[Key]:
    return [(table, stream.schema, stream.columns) for table in stream.tables]


def _read(key: Key) -> ray.data.Dataset:
    """Lay out the reading of a table, a block a file."""
    table, schema, columns = key
    files = [{"path": file.path} for file in manifest.require(table, schema).data]
    rows = ray.data.from_items(files, override_num_blocks=len(files))
    read: Any = _ReadFile(table, columns)
    return rows.map_batches(read, batch_format="numpy", batch_size=1)


class _ReadFile:
    """Row with the `path` of a Parquet file -> its rows."""

    def __init__(self, table: str, columns: tuple[str, ...]) -> None:
        self._table, self._columns = table, columns

    def __call__(self, batch: Rows) -> pa.Table:
        return pa.concat_tables([tables.read_file(self._table, str(path), self._columns) for path in batch["path"]])


class _Decode:
    """Rows of a table -> arrays of a stream."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    def __call__(self, batch: pa.Table) -> dict:
        return self._stream.read(batch)
