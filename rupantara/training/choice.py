"""Which rows a training takes: a predicate on the row (domain, split, a threshold of the id's hash), and how many it keeps."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.balance import draw
from rupantara.storage import tables

log = logging.getLogger(__name__)
KEYS = ("face_id", "domain", "species", "split")


@dataclass(frozen=True)
class TrainingChoice:
    """Keeps accepted rows of a split, of a domain and of some species ("" and () = any), whose `present` columns are there.

    Vectors of `present` columns must be finite. `below` keeps the faces whose hash by `seed` is below it. Of a face that is twice in
    one file the first row is kept.
    """

    split: str
    domain: str = ""
    species: tuple[str, ...] = ()
    present: tuple[str, ...] = ()
    below: float = 1.0
    seed: int = 0

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that the predicate reads, without `reject`, which not every table has."""
        return tuple(dict.fromkeys((*KEYS, *self.present)))

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Return the rows that are kept."""
        rows = schema.accepted(rows) if "reject" in rows.column_names else rows
        wanted = {"split": self.split, "domain": self.domain}
        rows = schema.where(rows, **{column: value for column, value in wanted.items() if value})
        if self.species:
            rows = rows.filter(schema.is_one_of("species", self.species))
        for column in self.present:
            rows = rows.filter(pa.array(schema.is_whole(rows[column])))
        if self.below < 1:
            rows = rows.filter(
                pa.array([draw(i, self.seed) < self.below for i in rows["face_id"].to_pylist()], pa.bool_())
            )
        return distinct(rows)


def distinct(table: pa.Table) -> pa.Table:
    """Keep the first row of each face_id: one photograph may lie at two places."""
    first: dict[str, int] = {}
    for i, face_id in enumerate(table["face_id"].to_pylist()):
        first.setdefault(face_id, i)
    return table if len(first) == table.num_rows else table.take(pa.array(list(first.values()), pa.int64()))


@dataclass(frozen=True)
class ChosenFaces:
    """A choice, and the hashes (sorted, in [0, 1)) of the faces that it keeps, by species."""

    choice: TrainingChoice
    draws: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Return the number of faces."""
        return sum(map(len, self.draws.values()))

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of faces of each species."""
        return {name: len(found) for name, found in sorted(self.draws.items())}


def choose(uris: Sequence[str], kind: str, choice: TrainingChoice, most: int, least: int) -> ChosenFaces:
    """Count the faces that a choice keeps of tables of a schema, and lower its threshold so that at most `most` are kept (0 = all).

    Reads file by file and holds one number a face. UserError where fewer than `least` are kept.
    """
    found: dict[str, list[np.ndarray]] = {}
    total = whole = 0
    reject = ("reject",) if kind == "faces" else ()
    for uri in uris:
        for part in tables.read_parts(uri, (*choice.columns, *reject), schema=kind):
            rows = choice(part)
            total, whole = total + replace(choice, present=())(part).num_rows, whole + rows.num_rows
            species = np.array(rows["species"].to_pylist(), dtype=object)
            draws = np.array([draw(i, choice.seed) for i in rows["face_id"].to_pylist()])
            for name in dict.fromkeys(species.tolist()):
                found.setdefault(name, []).append(draws[species == name])
    name = " ".join(filter(None, (choice.split, choice.domain)))
    if total > whole:
        log.info("%d of %d %s rows lack %s", total - whole, total, name, " or ".join(choice.present))
    draws: dict[str, np.ndarray] = {name: np.unique(np.concatenate(parts)) for name, parts in found.items()}
    below = _threshold(draws, most)
    kept = {name: values[values < below] for name, values in draws.items()}
    chosen = ChosenFaces(replace(choice, below=below), {name: values for name, values in kept.items() if len(values)})
    if chosen.count < least:
        columns = f" with {' and '.join(choice.present)}" if total > whole else ""
        raise UserError(f"{uris[0]} must have at least {least} accepted {name} faces{columns}, got {chosen.count}")
    return chosen


def _threshold(draws: Mapping[str, np.ndarray], most: int) -> float:
    """Return the hash below which `most` faces lie (0 = all)."""
    every = np.sort(np.concatenate([*draws.values(), np.empty(0)]))
    return float(every[most]) if most and len(every) > most else 1.0
