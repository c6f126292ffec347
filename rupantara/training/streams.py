"""What a training reads: rows of tables that a predicate keeps and a decoder turns into arrays. Nothing here knows Ray."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from rupantara.storage import manifest, tables

Rows = Mapping[str, np.ndarray]
"""A batch of one stream: arrays of equal length, by name."""

CHUNK_ROWS = 1024
"""Rows that a worker takes and shuffles at a time (200 MB at 256 x 256): asking for every batch cost a fifth of the step."""


class RowDecoder(Protocol):
    """Turns rows of a table into arrays; a frozen dataclass, so that equal decoders compare equal and a worker can have it."""

    def __call__(self, rows: pa.Table) -> Rows:
        """Return one array a name, with an entry for each row (or none, or several), also where there are no rows."""
        ...


@dataclass(frozen=True)
class Stream:
    """One stream of a training or of its validation.

    A worker reads `columns` of each file of `tables` (complete outputs that hold `schema`), keeps the rows that `keep` returns, and
    decodes these. `count` is how many rows that will be, where it is known: the largest stream is laid out first.
    """

    tables: tuple[str, ...]
    schema: str
    columns: tuple[str, ...]
    keep: Callable[[pa.Table], pa.Table]
    decode: RowDecoder
    count: int = 0

    def read(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Keep and decode rows of one file."""
        return dict(self.decode(self.keep(rows)))

    def whole(self) -> dict[str, np.ndarray]:
        """Read, keep and decode all rows of all tables, for streams that fit into memory."""
        files = [(uri, file.path) for uri in self.tables for file in manifest.require(uri, self.schema).data]
        parts = [self.read(tables.read_file(uri, path, self.columns)) for uri, path in files]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class Laid(Protocol):
    """A stream whose rows are decoded: what measures where a network starts reads it, in its order (a Ray dataset is one)."""

    def count(self) -> int:
        """Return the number of rows."""
        ...

    def limit(self, limit: int) -> "Laid":
        """Return the first rows, at most `limit`."""
        ...

    def select_columns(self, cols: list[str]) -> "Laid":
        """Return some of the arrays."""
        ...

    def iter_batches(self, *, batch_size: int) -> Iterable[Any]:
        """Yield the rows as `Rows` in batches of `batch_size`, the last one smaller."""
        ...
