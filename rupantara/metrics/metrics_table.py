"""What a report needs of a metrics table, gathered file by file: sums by group, and the vectors of a sample of its faces.

Memory depends on the number of groups and not on the number of rows. Up to MOST faces a group, every face is in its sample.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.metrics.frechet import GaussianStats, frechet_distance, kernel_distance
from rupantara.metrics.interval import Interval, normal_interval
from rupantara.storage import tables
from rupantara.storage.draws import draw

MOST = 10_000
"""Most faces of a sample: a measure that compares each face with each other takes seconds of so many, and hours of a million."""
SQUEEZENET, IDENTITY = "squeezenet", "mobilefacenet"
DIMS = {SQUEEZENET: 512, IDENTITY: 128}
"""Vector columns that are sampled, and their lengths."""


class Mean:
    """Number, sum and sum of squares of the values of a measure, NaN left out."""

    def __init__(self) -> None:
        """Start with no value."""
        self.count, self.total, self.squares = 0, 0.0, 0.0

    def add(self, values: np.ndarray) -> None:
        """Add values [n]."""
        there = np.asarray(values, np.float64)
        there = there[~np.isnan(there)]
        self.count += len(there)
        self.total += float(there.sum())
        self.squares += float((there**2).sum())

    @staticmethod
    def merged(means: "Iterable[Mean]") -> "Mean":
        """Join the means of several groups."""
        out = Mean()
        for one in means:
            out.count, out.total, out.squares = out.count + one.count, out.total + one.total, out.squares + one.squares
        return out

    @property
    def value(self) -> float:
        """Return the mean; ZeroDivisionError where there is no value."""
        return self.total / self.count

    @property
    def interval(self) -> Interval:
        """Return the mean with its 95 % interval; ValueError for fewer than 2 values."""
        return normal_interval(self.count, self.total, self.squares)

    def cell(self, digits: int, *, alone: bool = False) -> str:
        """Write the mean with half its interval; of one value "", or the value where it may stand `alone`."""
        if self.count < 2:
            return f"{self.total:.{digits}f}" if self.count and alone else ""
        found = self.interval
        return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"


class FaceSample:
    """The vectors of at most `most` faces, those of the lowest draws: every group samples the same faces."""

    def __init__(self, most: int = MOST) -> None:
        """Start with no face."""
        self._most, self.seen = most, 0
        self._draws, self._ids, self._rows = np.empty(0), np.empty(0, object), np.empty((0, 0))

    def add(self, ids: Sequence[str], rows: np.ndarray) -> None:
        """Add the vectors [n, dim] of some faces."""
        if not len(ids):
            return
        self.seen += len(ids)
        draws = np.array([draw(name, 0) for name in ids])
        self._rows = np.concatenate([self._rows, rows]) if len(self._rows) else rows
        self._draws = np.concatenate([self._draws, draws])
        self._ids = np.concatenate([self._ids, np.array(ids, object)])
        if len(self._ids) > 2 * self._most:
            self._keep(self._most)

    def _keep(self, most: int) -> None:
        kept = np.lexsort((self._ids, self._draws))[:most]
        self._draws, self._ids, self._rows = self._draws[kept], self._ids[kept], self._rows[kept]

    def sorted(self) -> tuple[list[str], np.ndarray]:
        """Return the faces in the order of their ids, and their vectors."""
        if len(self._ids) > self._most:
            self._keep(self._most)
        order = np.argsort(self._ids, kind="stable")
        return self._ids[order].tolist(), self._rows[order]

    @property
    def rows(self) -> np.ndarray:
        """Return the vectors in the order of the ids."""
        return self.sorted()[1]


class Group:
    """The rows of one group: their number, measures, SqueezeNet's features as a set, and samples of the vectors."""

    def __init__(self) -> None:
        """Start with no row."""
        self.rows = 0
        self.means: dict[str, Mean] = {}
        self.spread: GaussianStats | None = None
        self.samples = {name: FaceSample() for name in DIMS}

    def add(self, rows: pa.Table, values: Mapping[str, np.ndarray]) -> None:
        """Add rows, with the values of their measures [n]."""
        self.rows += rows.num_rows
        for name, numbers in values.items():
            self.means.setdefault(name, Mean()).add(numbers)
        for name, dim in DIMS.items():
            if name in rows.column_names:
                whole = schema.whole(rows, name)
                vectors = schema.dense(whole[name], dim)
                self.samples[name].add(whole["face_id"].to_pylist(), vectors)
                if name == SQUEEZENET and len(vectors):
                    stats = GaussianStats.update(vectors)
                    self.spread = self.spread.merge(stats) if self.spread else stats

    def mean(self, name: str) -> Mean:
        """Return the mean of a measure, of no value where none was taken."""
        return self.means.get(name, Mean())

    def frechet(self, other: "Group") -> float | None:
        """Return the Fréchet distance of both groups' features; None where either has fewer than 2."""
        if self.spread is None or other.spread is None or min(self.spread.count, other.spread.count) < 2:
            return None
        return frechet_distance(self.spread, other.spread)

    def kernel(self, other: "Group") -> float | None:
        """Return the kernel distance of both samples' features; None where either has fewer than 2."""
        sets = [group.samples[SQUEEZENET].rows for group in (self, other)]
        return None if min(map(len, sets)) < 2 else kernel_distance(*sets)


def sampled(count: int) -> str:
    """Say of how many faces kernel distances and ranks are, where that is not all of `count`."""
    return f" Kernel distances and ranks are of {MOST} faces, chosen by hash." if count > MOST else ""


Key = TypeVar("Key", bound=Hashable)
Split = Callable[[pa.Table], Iterable[tuple[Key, pa.Table, Mapping[str, np.ndarray]]]]
"""Cuts a file's rows into groups: the group's key, its rows, and the values of their measures."""


def gather(uri: str, columns: Sequence[str], split: Split[Key]) -> dict[Key, Group]:
    """Read columns of a metrics table and gather its groups."""
    found: dict[Key, Group] = {}
    for part in tables.read_parts(uri, columns, schema="metrics"):
        for key, rows, values in split(part):
            found.setdefault(key, Group()).add(rows, values)
    return found


def numbers(rows: pa.Table, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Return columns of numbers as float64 [n], NaN for null."""
    return {name: rows[name].cast(pa.float64()).to_numpy() for name in names}


def by(rows: pa.Table, *columns: str) -> Iterable[tuple[tuple[Any, ...], pa.Table]]:
    """Yield the rows of each combination of values of some columns, in the order of their first rows."""
    for key in rows.group_by(list(columns), use_threads=False).aggregate([]).to_pylist():
        found = rows
        for name, value in key.items():
            found = found.filter(pc.field(name).is_null() if value is None else pc.field(name) == value)
        yield tuple(key.values()), found


def pictured(uri: str, *columns: str) -> pa.Table:
    """Read the few rows whose picture was kept, in the order of their faces: `face_id`, `image` and some columns."""
    names = ("face_id", "image", *columns)
    parts = (part.filter(pc.field("image").is_valid()) for part in tables.read_parts(uri, names, schema="metrics"))
    return pa.concat_tables(parts).sort_by("face_id")
