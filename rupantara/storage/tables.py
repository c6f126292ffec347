"""Tables of Parquet parts: a plan of deterministic parts, one file each, so that any kill loses at most the parts in flight.

Parts are written by `storage.parts`, committed by `storage.commits`, and read here: only the files that the manifest lists.
"""

from collections.abc import Iterator, Sequence

import pyarrow as pa

from rupantara.storage import manifest as manifests
from rupantara.storage import statistics, uris
from rupantara.storage.commits import commit_parts, settle
from rupantara.storage.parquet import read_file, read_footer, read_row_group, read_schema
from rupantara.storage.parquet import write as write_parquet
from rupantara.storage.parts import add_counts, counts_of, done_parts, part_path, write_part
from rupantara.storage.statistics import Measure, Statistics

__all__ = [
    "add_counts",
    "commit_parts",
    "counts_of",
    "done_parts",
    "part_path",
    "read",
    "read_file",
    "read_footer",
    "read_parts",
    "read_row_group",
    "read_schema",
    "settle",
    "statistics_of",
    "write_parquet",
    "write_part",
]


def read_parts(uri: str, columns: Sequence[str] | None = None, *, schema: str = "") -> Iterator[pa.Table]:
    """Read a complete table file by file, only the files that its manifest lists."""
    found = manifests.require(uri, schema) if schema else manifests.read(uri)
    for file in found.data if found else ():
        yield read_file(uri, file.path, columns)


def read(uri: str, columns: Sequence[str] | None = None, *, schema: str) -> pa.Table:
    """Read a complete table whole (small tables and column projections)."""
    return pa.concat_tables(list(read_parts(uri, columns, schema=schema)))


def statistics_of(uri: str, measure: Measure, columns: Sequence[str] | None = None) -> Statistics:
    """Return the sums of a complete table; those of one that was made without any are measured now, file by file."""
    found = manifests.read(uri)
    assert found is not None
    for file in found.files:
        if file.path.startswith("statistics-"):
            return Statistics.from_bytes(uris.read_bytes(uris.join(uri, file.path)))
    return statistics.merge(Statistics(measure(rows).sums) for rows in read_parts(uri, columns))
