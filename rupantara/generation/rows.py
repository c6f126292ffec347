"""A generated picture as a row of `schema.GENERATED` and as a PNG: the one place that makes either."""

import json
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from rupantara import schema
from rupantara.generation import provenance
from rupantara.generation.protocol import Generated


def row(made: Generated) -> dict[str, Any]:
    """Return the row of a picture, or of its reject."""
    record = made.record
    return {
        "request_id": record.request_id,
        "kind": record.kind,
        "face_ids": list(record.face_ids),
        "species": record.species,
        "bank_ids": list(record.bank_ids),
        "parameters": json.dumps(provenance.told(record), sort_keys=True),
        "seed": record.seed,
        "image": None if made.picture is None else png(made),
        "model_sha256": list(record.model_sha256),
        "scores": list(record.scores.values()),
        "reject": made.reject.as_row() if made.reject else None,
    }


def png(made: Generated) -> bytes:
    """Encode a picture with its record as metadata; ValueError where there is none."""
    if made.picture is None:
        raise ValueError(f"a reject has no picture to encode, got {made.record.request_id}")
    return provenance.png(made.picture, made.record.kind, provenance.told(made.record))


def table(made: Iterable[Generated]) -> pa.Table:
    """Return the rows of many pictures, which count as rows in; each is encoded as it comes, so that pictures need not all be held."""
    found = pa.Table.from_pylist([row(one) for one in made], schema=schema.GENERATED)
    return found.replace_schema_metadata({schema.ROWS_IN: str(found.num_rows).encode()})
