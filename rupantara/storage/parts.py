"""Files of deterministic parts: written whole under the recipe's fingerprint and the part's number, with their counts inside.

So what is done can always be read from the storage itself, and a part that is written twice is the same file.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from rupantara.storage import parquet, uris
from rupantara.storage.parquet import ASIDE, DATA, aside

PART = re.compile(r"data/part-([0-9a-f]{12})-(\d{6})\.parquet")
COUNTS = b"rupantara_counts"


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


def write_part(uri: str, fingerprint: str, index: int, table: pa.Table, rows_in: int) -> dict[str, Any]:
    """Write one part with its counts inside, and return them; no reader sees it before the commit."""
    counts = counts_of(table, rows_in)
    metadata = {**(table.schema.metadata or {}), COUNTS: json.dumps(counts).encode()}
    parquet.write(uris.join(uri, aside(part_path(fingerprint, index))), table.replace_schema_metadata(metadata))
    return counts


def done_parts(uri: str, fingerprint: str) -> dict[int, int]:
    """Find the parts of this recipe that are already on storage: part number -> bytes."""
    found = {PART.fullmatch(path): size for path, size in sizes_of(uri).items()}
    return {int(match[2]): size for match, size in found.items() if match and match[1] == fingerprint[:12]}


def sizes_of(uri: str) -> dict[str, int]:
    """Map the files of a table, as manifests name them, to their bytes: those in `data/` and those aside."""
    listed = (uris.list_files(uris.join(uri, folder), recursive=False) for folder in (ASIDE, DATA))
    return {f"{DATA}/{entry.path}": entry.size for entries in listed for entry in entries}
