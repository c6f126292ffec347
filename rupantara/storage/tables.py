"""Tables of Parquet parts: a plan of deterministic parts, one file each, so that any kill loses at most the parts in flight.

A part's file is named after the recipe's fingerprint and the part's number and appears whole or not at all; its row counts
stand in the file's own metadata. So what is done can always be read from the storage itself.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rupantara import schema as schemas
from rupantara.storage import manifest as manifests
from rupantara.storage import uris
from rupantara.storage.manifest import DataFile, Manifest

ROW_GROUP_BYTES = 64 * 2**20


def part_path(fingerprint: str, index: int) -> str:
    """Name the file of one part, relative to the table."""
    return f"data/part-{fingerprint[:12]}-{index:06d}.parquet"


def counts_of(table: pa.Table, rows_in: int) -> dict[str, Any]:
    """Count a part: rows in, accepted, and rejected by reason."""
    if "reject" not in table.column_names:
        return {"in": rows_in, "accepted": table.num_rows, "rejected": {}}
    reasons = Counter(reject["reason"] for reject in table["reject"].to_pylist() if reject)
    return {
        "in": rows_in,
        "accepted": table.num_rows - sum(reasons.values()),
        "rejected": dict(sorted(reasons.items())),
    }


def add_counts(counts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Merge the counts of parts."""
    rejected: Counter[str] = Counter()
    for part in counts:
        rejected.update(part["rejected"])
    total = {key: sum(part[key] for part in counts) for key in ("in", "accepted")}
    return {**total, "rejected": dict(sorted(rejected.items()))}


def write_parquet(uri: str, table: pa.Table) -> None:
    """Write one Parquet file atomically: zstd, but image columns uncompressed (they are compressed already)."""
    sink = pa.BufferOutputStream()
    leaves = _leaf_columns(table.schema)
    compression = {leaf: "none" if leaf in schemas.IMAGE_COLUMNS else "zstd" for leaf in leaves}
    rows = max(1, min(table.num_rows, int(ROW_GROUP_BYTES * max(table.num_rows, 1) / max(table.nbytes, 1))))
    pq.write_table(table, sink, compression=compression, row_group_size=rows, use_dictionary=False)
    uris.write_bytes(uri, sink.getvalue().to_pybytes())


def _leaf_columns(schema: pa.Schema) -> list[str]:
    sink = pa.BufferOutputStream()
    pq.write_table(schema.empty_table(), sink)
    leaves = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(i).path for i in range(len(leaves))]


def write_part(uri: str, fingerprint: str, index: int, table: pa.Table, rows_in: int) -> dict[str, Any]:
    """Write one part with its counts inside, and return them."""
    counts = counts_of(table, rows_in)
    metadata = {**(table.schema.metadata or {}), b"rupantara_counts": json.dumps(counts).encode()}
    write_parquet(uris.join(uri, part_path(fingerprint, index)), table.replace_schema_metadata(metadata))
    return counts


def done_parts(uri: str, fingerprint: str) -> dict[int, int]:
    """Find the parts of this recipe that are already on storage: part number -> bytes."""
    pattern = re.compile(rf"part-{fingerprint[:12]}-(\d{{6}})\.parquet")
    found = {entry: pattern.fullmatch(entry.path) for entry in uris.list_files(uris.join(uri, "data"), recursive=False)}
    return {int(match[1]): entry.size for entry, match in found.items() if match}


def commit_parts(
    uri: str,
    running: Manifest,
    num_parts: int,
    seconds: float,
    *,
    beside: str = "",
    keep_old: bool = False,
    amended: Mapping[int, str] | None = None,
    **extra: Any,
) -> Manifest:
    """Commit a table whose parts are all written; raise RuntimeError if one is missing.

    `amended` names files that take the place of parts, by part number.
    `beside` names a folder of further files of this recipe, named after its fingerprint, that belong to the output. With
    `keep_old` the files of an output that it replaces stay.
    """
    paths = {i: part_path(running.fingerprint, i) for i in range(num_parts)} | dict(amended or {})
    sizes = {f"data/{e.path}": e.size for e in uris.list_files(uris.join(uri, "data"), recursive=False)}
    missing = [index for index, path in paths.items() if path not in sizes]
    if missing:
        raise RuntimeError(f"{len(missing)} of {num_parts} parts were not written to {uri}, the first is {missing[0]}")
    files, counts = [], []
    for index in range(num_parts):
        metadata = read_footer(uri, paths[index])
        files.append(DataFile(paths[index], metadata.num_rows, sizes[paths[index]]))
        counts.append(json.loads(metadata.metadata[b"rupantara_counts"]))
    others = uris.list_files(uris.join(uri, beside)) if beside else []
    files += [DataFile(f"{beside}/{e.path}", 0, e.size) for e in others if e.path.startswith(running.fingerprint[:12])]
    done = replace(
        running, state="complete", counts=add_counts(counts), seconds=round(seconds, 1), files=tuple(files), extra=extra
    )
    manifests.commit(uri, done, running, keep_old=keep_old)
    abandoned: str = running.extra.get(manifests.ABANDONS, "")
    for index in done_parts(uri, abandoned) if abandoned else ():
        uris.delete(uris.join(uri, part_path(abandoned, index)))
    return done


def read_footer(uri: str, path: str) -> pq.FileMetaData:
    """Read the footer of one file of a table."""
    fs, full = uris.resolve(uris.join(uri, path))
    with fs.open_input_file(full) as file:
        return pq.read_metadata(file)


def read_schema(uri: str, path: str) -> pa.Schema:
    """Read the schema of one file of a table."""
    fs, full = uris.resolve(uris.join(uri, path))
    with fs.open_input_file(full) as file:
        return pq.read_schema(file)


def read_file(uri: str, path: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Read one file of a table."""
    fs, full = uris.resolve(uris.join(uri, path))
    with fs.open_input_file(full) as file:
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


def read_parts(uri: str, columns: Sequence[str] | None = None, *, schema: str = "") -> Iterator[pa.Table]:
    """Read a complete table file by file, only the files that its manifest lists."""
    found = manifests.require(uri, schema) if schema else manifests.read(uri)
    for file in found.data if found else ():
        yield read_file(uri, file.path, columns)


def read(uri: str, columns: Sequence[str] | None = None, *, schema: str) -> pa.Table:
    """Read a complete table whole (small tables and column projections)."""
    return pa.concat_tables(list(read_parts(uri, columns, schema=schema)))
