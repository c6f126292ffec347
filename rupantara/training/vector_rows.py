"""Features tables as the streams of a training: vectors and tokens by column, each in the shape that its field says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.storage import manifest, tables
from rupantara.training.choice import TrainingChoice, choose
from rupantara.training.streams import Stream


@dataclass(frozen=True)
class VectorRows:
    """Rows of a features table -> float32 [rows, *shape] for each of the columns, whose rows must all be there."""

    columns: tuple[str, ...]

    def __call__(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Read the columns."""
        return {
            name: schema.dense(rows[name], *shape_of(rows.schema, name)).astype(np.float32) for name in self.columns
        }


def shape_of(columns: pa.Schema, name: str) -> tuple[int, ...]:
    """Return the shape of a vector column's rows: 18 x 512 of e4e's tokens."""
    field = columns.field(name)
    shape = (field.metadata or {}).get(b"shape")
    return tuple(json.loads(shape)) if shape else (field.type.list_size,)


def vector_streams(
    uris: Sequence[str], columns: Sequence[str], least: Mapping[str, int], most: int, most_validation: int, seed: int
) -> tuple[dict[str, Stream], dict[str, Stream]]:
    """Lay out the streams to train and to validate on of the domains that `least` names: rows that have all of the vector columns.

    The first table is validated on too. UserError where a column is not there, or a domain has fewer rows than `least` to train on, or
    none to validate on.
    """
    fields = tables.read_schema(uris[0], manifest.require(uris[0], "features").data[0].path)
    lacking = [name for name in columns if name not in fields.names]
    if lacking:
        raise UserError(
            f"{uris[0]} has no column {' '.join(lacking)}: run jobs.extract with the extractors that make it"
        )
    decode, out = VectorRows(tuple(columns)), ({}, {})
    for domain, count in least.items():
        for laid, split, own, limit, fewest in (
            (out[0], "train", uris, most, count),
            (out[1], "val", uris[:1], most_validation, 1),
        ):
            chosen = choose(
                own, "features", TrainingChoice(split, domain, present=decode.columns, seed=seed), limit, fewest
            )
            laid[domain] = Stream(tuple(own), "features", chosen.choice.columns, chosen.choice, decode, chosen.count)
    return out
