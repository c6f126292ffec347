"""Photographs that lie there twice, byte for byte: one of each stays, the others are rejected by name.

A face's id is of its photograph's bytes, so two of a name would be one face to all that comes after; and of two paths, two rules
may make two people, two species, a train and a test face.
"""

import pyarrow as pa

from rupantara import schema

COLUMNS = ("uri", "sha256", "reject")
REASON = "duplicate"


class Duplicates:
    """Which photograph of equal ones stays: the first with an accepted face, else the first."""

    def __init__(self) -> None:
        """Know of none."""
        self._kept: dict[str, tuple[str, bool]] = {}

    def add(self, rows: pa.Table) -> None:
        """Take note of the next rows of a faces table, in the order of the photographs."""
        for row in rows.select(COLUMNS).to_pylist():
            if row["sha256"] is None:
                continue
            accepted = row["reject"] is None
            if row["sha256"] not in self._kept or (accepted and not self._kept[row["sha256"]][1]):
                self._kept[row["sha256"]] = (row["uri"], accepted)

    def of(self, rows: pa.Table) -> dict[int, str]:
        """Return which rows, of those that were added, are of another's bytes: row number -> the other's URI."""
        found = {}
        for i, row in enumerate(rows.select(COLUMNS).to_pylist()):
            kept = self._kept[row["sha256"]][0] if row["sha256"] is not None else row["uri"]
            if kept != row["uri"]:
                found[i] = kept
        return found


def rejected(rows: pa.Table, duplicates: dict[int, str]) -> pa.Table:
    """Return the table with these rows rejected."""
    rejects = rows["reject"].to_pylist()
    for i, kept in duplicates.items():
        rejects[i] = {"stage": "read", "reason": REASON, "detail": f"the same bytes as {kept}"}
    at = rows.schema.get_field_index("reject")
    column = pa.array(rejects, schema.FACES.field("reject").type)
    return rows.set_column(at, rows.schema.field(at), column)
