"""Which animals of a features table a small bank holds."""

from collections.abc import Iterator, Mapping

import numpy as np

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, Alignment
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import tables
from rupantara.types import Vectors

COLUMNS = ("face_id", "species")
VIVID_SHARE = 2
"""Of so many times as many that point most nearly where their species' mean does, `vivid` takes the strongest codes."""


def characteristic(
    features: str,
    candidates: Mapping[str, str],
    alignment: Alignment,
    most: int,
    *,
    vivid: bool = False,
    column: str = "regions_mu",
) -> dict[str, str]:
    """Return the `most` (0 = all) animals of each species that are most like its mean: id -> species.

    By the cosine of all regions' aligned codes (`column`) together with the species' mean direction; `vivid` takes of the first 2 * `most`
    by cosine those who reach farthest that way, for a weak code decodes to hardly anything, and a strong one that points
    elsewhere to a face turned away. The mean is of unit vectors. Ties go by id. The table is read twice and never held.
    """
    sums: dict[str, np.ndarray] = {}
    for species, _, units, _ in _units(features, candidates, alignment, column):
        sums[species] = sums.get(species, 0.0) + units.sum(0, dtype=np.float64)
    scored: dict[str, list[tuple[float, str, float]]] = {}
    for species, ids, units, lengths in _units(features, candidates, alignment, column):
        along = -(units @ sums[species])
        scored.setdefault(species, []).extend(zip(along.tolist(), ids, (along * lengths).tolist(), strict=True))
    out: dict[str, str] = {}
    for species, rows in sorted(scored.items()):
        kept = sorted(rows)
        if vivid and most:
            kept = sorted(kept[: VIVID_SHARE * most], key=lambda row: (row[2], row[1]))
        out |= {name: species for _, name, _ in kept[: most or None]}
    return out


def _units(
    features: str, candidates: Mapping[str, str], alignment: Alignment, column: str
) -> Iterator[tuple[str, list[str], Vectors, np.ndarray]]:
    """Yield (species, ids, unit codes of all regions together, their lengths) of each part of a features table."""
    for part in tables.read_parts(features, (*COLUMNS, column), schema="features"):
        rows = schema.whole(schema.where_id(part, frozenset(candidates)), column)
        for species in sorted(set(rows["species"].to_pylist())):
            found = schema.where(rows, species=species)
            codes = schema.dense(found[column], len(REGIONS), -1)
            units, lengths = unit(alignment.align(codes, ANIMAL).reshape(len(codes), -1))
            yield species, found["face_id"].to_pylist(), units, lengths
