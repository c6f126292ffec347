"""Which animals of a features table a bank holds."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, Alignment
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.storage import tables
from rupantara.storage.draws import lowest
from rupantara.types import Vectors

COLUMNS = ("face_id", "species")
VIVID_SHARE = 2
"""Of so many times as many that point most nearly where their species' mean does, `vivid` takes the strongest codes."""


def choose_animals(
    features: str, splits: Collection[str], most: int, seed: int, barred: Collection[str] = ()
) -> dict[str, str]:
    """Choose the animals of some splits that go into a bank, without those barred, at most `most` of each species by hash (0 = all).

    Return id -> species. Raise UserError when there are none, or when a face is there twice.
    """
    by_species: dict[str, dict[str, str]] = {}
    seen: Counter[str] = Counter()
    for part in tables.read_parts(features, ("face_id", "domain", "species", "split", "reject"), schema="features"):
        part = schema.accepted(part) if "reject" in part.column_names else part
        seen.update(part["face_id"].to_pylist())
        for row in schema.where(part, domain=ANIMAL).to_pylist():
            if row["split"] in splits and row["face_id"] not in barred:
                by_species.setdefault(row["species"], {})[row["face_id"]] = row["species"]
    twice = next((name for name, count in seen.items() if count > 1), "")
    if twice:
        raise UserError(
            f"{features} must hold each face once, got {twice} twice: curate the photographs again, with --overwrite;"
            " it rejects duplicates"
        )
    if not by_species:
        raise UserError(f"{features} must have animals of the splits {', '.join(splits)}, got none")
    return {name: s for ids in by_species.values() for name, s in lowest(ids, most, seed).items()}


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


@dataclass(frozen=True)
class Animals:
    """Which animals of a features table a bank takes: those of some splits, at most `most` of each species, and how they are chosen."""

    features: str
    splits: tuple[str, ...]
    most: int = 0
    seed: int = 0
    how: str = "hash"
    column: str = "regions_mu"

    def chosen(self, alignment: Alignment, barred: Collection[str] = ()) -> dict[str, str]:
        """Choose by `hash`, or as `characteristic` does: `typical` or `vivid`; id -> species, without those barred."""
        by_hash = self.how == "hash"
        found = choose_animals(self.features, self.splits, self.most if by_hash else 0, self.seed, barred)
        if by_hash:
            return found
        vivid = self.how == "vivid"
        return characteristic(self.features, found, alignment, self.most, vivid=vivid, column=self.column)
