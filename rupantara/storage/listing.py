"""A listing of files, kept beside the table that is made of them: a row group for each part, so that nobody holds it whole."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rupantara import schema
from rupantara.storage import parquet, uris
from rupantara.storage.plan import Part
from rupantara.storage.uris import FileEntry

FOLDER = "listing"
"""Folder of the names, sizes and times of files, by which a retry knows that the others are as they were."""


class Listing:
    """Files that come one by one, cut into parts of bounded count and bytes, in a local file until the output is claimed."""

    def __init__(self, most_files: int, most_bytes: int) -> None:
        """Begin an empty listing."""
        self._folder = tempfile.TemporaryDirectory(prefix="listing-")
        self._path = Path(self._folder.name) / "listing.parquet"
        self._writer = pq.ParquetWriter(self._path, schema.PHOTOS, compression="zstd", write_statistics=False)
        self._most = most_files, most_bytes
        self._rows: list[FileEntry] = []
        self._bytes = 0
        self.parts = self.files = 0

    def add(self, entry: FileEntry) -> None:
        """Take the next file."""
        files, size = self._most
        if self._rows and (len(self._rows) >= files or self._bytes + entry.size > size):
            self._cut()
        self._rows.append(entry)
        self._bytes += entry.size
        self.files += 1

    def close(self) -> None:
        """Take no more."""
        if self._rows:
            self._cut()
        self._writer.close()

    def _cut(self) -> None:
        self._writer.write_table(as_rows(self._rows), row_group_size=len(self._rows))
        self._rows, self._bytes = [], 0
        self.parts += 1

    def plan(self, output: str, fingerprint: str) -> list[Part]:
        """Plan a part for each piece of the listing, as it lies in the output once it is kept there."""
        return [Part(i, table=output, file=path_of(fingerprint), row_group=i) for i in range(self.parts)]

    def keep(self, output: str, fingerprint: str) -> None:
        """Write the listing beside the table that a recipe makes, unless it is there."""
        uri = uris.join(output, path_of(fingerprint))
        if not uris.exists(uri):
            uris.write_bytes(uri, self._path.read_bytes())

    def paths(self) -> Iterator[str]:
        """Yield the paths of all files, in their order."""
        for batch in pq.ParquetFile(self._path).iter_batches(columns=["path"]):
            yield from map(os.fsdecode, batch["path"].to_pylist())

    def rows(self) -> pa.Table:
        """Return all files, in their order."""
        return pq.read_table(self._path)


def as_rows(entries: Sequence[FileEntry]) -> pa.Table:
    """Turn listed files into rows of `schema.PHOTOS`."""
    columns = {
        "path": [os.fsencode(r.path) for r in entries],
        "bytes": [r.size for r in entries],
        "mtime_ns": [r.mtime_ns for r in entries],
    }
    return pa.table(columns, schema=schema.PHOTOS)


def path_of(fingerprint: str) -> str:
    """Name the listing of a recipe, relative to its output."""
    return f"{FOLDER}/{fingerprint[:12]}.parquet"


def read(output: str, fingerprint: str) -> pa.Table:
    """Read what was listed for a table."""
    return parquet.read_file(output, path_of(fingerprint))
