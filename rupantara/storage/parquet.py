"""Parquet files of a table: written whole, and read wherever they lie.

What a plain reader of `data/` sees is the newest commit and nothing else: files of a run that is not committed yet, or of a commit
that was replaced, lie in `_parts/` under the same name. So a path as manifests write it, `data/NAME`, is looked for in both.
"""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rupantara import schema as schemas
from rupantara.storage import uris

ROW_GROUP_BYTES = 64 * 2**20
LARGE = 4096
"""Bytes of a metadata value above which it is kept once."""
DATA, ASIDE = "data", "_parts"


def aside(path: str) -> str:
    """Return where a file of `data/` lies while it is not of the newest commit."""
    return f"{ASIDE}/{path.removeprefix(f'{DATA}/')}"


def write(uri: str, table: pa.Table) -> None:
    """Write one Parquet file atomically: zstd, but image columns uncompressed (they are compressed already)."""
    sink = pa.BufferOutputStream()
    leaves = _leaf_columns(table.schema)
    compression = {leaf: "none" if leaf in schemas.IMAGE_COLUMNS else "zstd" for leaf in leaves}
    rows = max(1, min(table.num_rows, int(ROW_GROUP_BYTES * max(table.num_rows, 1) / max(table.nbytes, 1))))
    again: Any = [leaf for leaf in leaves if leaf.partition(".")[0] in repeating(table.schema)]
    # What is large goes into the footer alone: Parquet keeps the schema's own metadata twice.
    known = table.schema.metadata or {}
    large = {key: value for key, value in known.items() if len(value) > LARGE}
    plain = table.replace_schema_metadata({key: value for key, value in known.items() if key not in large})
    with pq.ParquetWriter(sink, plain.schema, compression=compression, use_dictionary=again or False) as writer:
        writer.write_table(plain, row_group_size=rows)
        writer.add_key_value_metadata(large)
    uris.write_bytes(uri, sink.getvalue().to_pybytes())


def repeating(schema: pa.Schema) -> list[str]:
    """Name the columns whose values come again and again: dictionaries, and those that the schema marks with `REPEATS`."""
    return [f.name for f in schema if pa.types.is_dictionary(f.type) or schemas.REPEATS in (f.metadata or {})]


def _leaf_columns(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(i).path for i in range(len(leaves))]


def read_footer(uri: str, path: str) -> pq.FileMetaData:
    """Read the footer of one file of a table."""
    with _opened(uri, path) as file:
        return pq.read_metadata(file)


def read_schema(uri: str, path: str) -> pa.Schema:
    """Read the schema of one file of a table."""
    with _opened(uri, path) as file:
        return pq.read_schema(file)


def read_file(uri: str, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one file of a table."""
    with _opened(uri, path) as file:
        parquet = pq.ParquetFile(file)
        lacking = [c for c in columns or () if c in schemas.ADDED and c not in parquet.schema_arrow.names]
        wanted = [c for c in columns if c not in lacking] if columns else None
        return _filled(parquet.read(columns=wanted), lacking)


def _filled(table: pa.Table, columns: Sequence[str]) -> pa.Table:
    """Append columns of nulls that this file is too old to have."""
    for name in columns:
        field = schemas.ADDED[name]
        table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table


def read_row_group(uri: str, path: str, number: int) -> pa.Table:
    """Read one row group of a file."""
    with _opened(uri, path) as file:
        return pq.ParquetFile(file).read_row_group(number)


def exists(uri: str, path: str) -> bool:
    """Tell whether a file of a table is there, wherever it lies."""
    return any(uris.exists(uris.join(uri, place)) for place in _places(path))


def delete(uri: str, path: str) -> None:
    """Delete a file of a table, wherever it lies."""
    for place in _places(path):
        uris.delete(uris.join(uri, place))


def _places(path: str) -> tuple[str, ...]:
    return (path, aside(path)) if path.startswith(f"{DATA}/") else (path,)


def _opened(uri: str, path: str) -> Any:
    fs, full = uris.resolve(uris.join(uri, path))
    for place in _places(path):
        try:
            return fs.open_input_file(uris.resolve(uris.join(uri, place))[1])
        except FileNotFoundError:
            continue
    # A commit may have moved it between one look and the next.
    return fs.open_input_file(full)
