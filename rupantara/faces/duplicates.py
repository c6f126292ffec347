"""Photographs that are there twice, byte for byte: one of each stays, the others are rejected by name.

A face's id is of its photograph's bytes, so two of a name would be one face to all that comes after; and of two paths, two rules
may make two people, two species, a train and a test face.
"""

import pyarrow as pa

from rupantara import schema

COLUMNS = ("uri", "sha256", "reject")
REASON = "duplicate"


class Duplicates:
    """Which photograph of equal ones stays: the first with an accepted face. What is rejected anyway keeps its own reason."""

    def __init__(self) -> None:
        """Know of none."""
        self._kept: dict[str, str] = {}

    def add(self, rows: pa.Table) -> None:
        """Take note of the next rows of a faces table, in the order of the photographs."""
        for row in rows.select(COLUMNS).to_pylist():
            if row["reject"] is None:
                self._kept.setdefault(row["sha256"], row["uri"])

    def of(self, rows: pa.Table) -> dict[int, str]:
        """Return which accepted rows, of those that were added, are of another's bytes: row number -> the other's URI."""
        listed = enumerate(rows.select(COLUMNS).to_pylist())
        kept = {i: (row["uri"], self._kept[row["sha256"]]) for i, row in listed if row["reject"] is None}
        return {i: first for i, (uri, first) in kept.items() if first != uri}


def rejected(rows: pa.Table, duplicates: dict[int, str]) -> pa.Table:
    """Return the table with these rows rejected."""
    rejects = rows["reject"].to_pylist()
    for i, kept in duplicates.items():
        rejects[i] = {"stage": "read", "reason": REASON, "detail": f"the same bytes as {kept}"}
    at = rows.schema.get_field_index("reject")
    column = pa.array(rejects, schema.FACES.field("reject").type)
    return rows.set_column(at, rows.schema.field(at), column)
