"""A plan: deterministic parts of work, one file of the output each, so that whoever runs them, in whatever order, makes the same table."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara.errors import UserError
from rupantara.storage import tables
from rupantara.storage.manifest import Manifest


@dataclass(frozen=True)
class Part:
    """One unit of work: rows given here, or files of an input table, or one row group of a file."""

    index: int
    rows: pa.Table | None = None
    table: str = ""
    file: str = ""
    row_group: int | None = None
    more: tuple[str, ...] = ()

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows to work on; of a file only these columns."""
        if self.rows is not None:
            return self.rows
        if self.row_group is None:
            files = (self.file, *self.more)
            return pa.concat_tables([tables.read_file(self.table, file, columns) for file in files])
        return tables.read_row_group(self.table, self.file, self.row_group)


Plan = Sequence[Part]


def of_files(table_uri: str, found: Manifest) -> list[Part]:
    """Plan one part for each file of an input table."""
    return [Part(i, table=table_uri, file=f.path) for i, f in enumerate(found.data)]


def of_rows_in_files(table_uri: str, found: Manifest, most: int, least_parts: int = 16) -> list[Part]:
    """Plan parts of whole files that follow each other, of about `most` rows each, fewer where there would not be `least_parts`."""
    files, parts = list(found.data), []
    wanted = min(most, -(-sum(file.rows for file in files) // least_parts))
    while files:
        taken = [files.pop(0)]
        rows = taken[0].rows
        while files and rows + files[0].rows <= wanted:
            rows += files[0].rows
            taken.append(files.pop(0))
        first, *more = (file.path for file in taken)
        parts.append(Part(len(parts), table=table_uri, file=first, more=tuple(more)))
    return parts


def of_rows(tables_of_rows: Sequence[pa.Table]) -> list[Part]:
    """Plan one part for each of these small tables."""
    return [Part(i, rows=rows) for i, rows in enumerate(tables_of_rows)]


def of_blocks(rows: pa.Table, size: int) -> list[Part]:
    """Plan one part for each `size` rows of a table."""
    # Taken, not sliced: a slice is pickled with the whole table.
    places = np.arange(rows.num_rows)
    return of_rows([rows.take(places[start : start + size]) for start in range(0, rows.num_rows, size)])


def vector_dim(table_uri: str, found: Manifest, column: str) -> int:
    """Return the length of a vector column; raise UserError when the table has none of that name."""
    columns = tables.read_schema(table_uri, found.data[0].path)
    if column not in columns.names:
        raise UserError(
            f"{table_uri} must hold {column} (jobs.extract with region_vae), got {', '.join(columns.names)}"
        )
    return int(columns.field(column).type.list_size)
