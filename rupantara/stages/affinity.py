"""Features to affinity: how near each region of each face is to each species, and the sums that reports are made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.face_groups import Groups
from rupantara.bank.measures import Best, compare
from rupantara.bank.reference import Reference
from rupantara.bank.spaces import Space
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics import hashed_weights
from rupantara.metrics.affinity_sums import ALL, MEASURES, REPLICATES, AffinitySums
from rupantara.metrics.hashed_weights import poisson_weights
from rupantara.types import Vectors

NOTHING = Groups.none()
FACE = "face"
"""Factor of the bootstrap's weights of faces; the reference's members are the other factor."""


@dataclass(frozen=True)
class MapOptions:
    """Best members kept of each group; bootstrap draws; shares of faces, by hash, that are mapped and whose placements are summed;
    seed of the weights."""

    top: int = 3
    replicates: int = REPLICATES
    placed_share: float = 1.0
    seed: int = 0
    mapped_share: float = 1.0


class MapAffinity:
    """Batch of features -> batch of `schema.AFFINITY`, a row for each face, region and group of the reference, and its sums."""

    def __init__(
        self,
        reference: Reference,
        space: Space,
        column: str,
        options: MapOptions = MapOptions(),
        wanted: Mapping[str, str] | None = None,
        chosen: frozenset[str] | None = None,
    ) -> None:
        """Map the faces whose columns have the `wanted` values (`domain`, `split`), of these only the `chosen` ids where some are named."""
        self._reference, self._space, self._column = reference, space, column
        self._options, self._wanted, self._chosen = options, dict(wanted or {}), chosen

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map the wanted faces of the batch."""
        return self.map(batch)[0]

    def map(self, batch: pa.Table, groups: Groups = NOTHING) -> tuple[pa.Table, AffinitySums]:
        """Return rows and sums of the wanted faces; those without a vector are left out. `groups` say whom faces are of."""
        rows = schema.where(batch, **self._wanted)
        rows = rows if self._chosen is None else schema.where_id(rows, self._chosen)
        if self._options.mapped_share < 1:
            kept = hashed_weights.chosen(rows["face_id"].to_pylist(), self._options.mapped_share, "mapped")
            rows = rows.filter(pa.array(kept))
        rows = schema.whole(rows, self._column)
        dim = rows.schema.field(self._column).type.list_size // len(REGIONS)
        codes = schema.dense(rows[self._column], len(REGIONS), dim)
        domains = np.array(rows["domain"].to_pylist(), object)
        return self.map_codes(rows["face_id"].to_pylist(), codes, domains, groups)

    def map_codes(
        self, ids: Sequence[str], codes: Vectors, domains: np.ndarray, groups: Groups = NOTHING
    ) -> tuple[pa.Table, AffinitySums]:
        """Return rows and sums of faces by their codes [n, 5, dim] and domains [n]."""
        units = np.zeros((len(ids), len(REGIONS), self._reference.vectors.shape[2]), np.float32)
        for domain in sorted(set(domains.tolist())):
            units[domains == domain] = self._space.units(codes[domains == domain], domain)
        return self.map_units(ids, units, groups)

    def map_units(self, ids: Sequence[str], units: Vectors, groups: Groups = NOTHING) -> tuple[pa.Table, AffinitySums]:
        """Return rows and sums of faces by their unit vectors [n, 5, dim] in the space."""
        ref = self._reference
        owners = [groups.owner.get(name, name) for name in ids]
        own = [o if o in ref.place else i for i, o in zip(ids, owners, strict=True)]
        placed = hashed_weights.chosen(ids, self._options.placed_share, "placed")
        found = compare(units, ref, own, self._options.top, placed)
        weights = poisson_weights(owners, self._options.replicates, FACE, self._options.seed)
        members = _members(ids, groups)
        sums = AffinitySums.update(found.cells, weights, members, found.scores, found.places, int(placed.sum()))
        return affinity_rows(ids, ref, found.cells, found.best), sums


def _members(ids: Sequence[str], groups: Groups) -> dict[str, np.ndarray]:
    found = [frozenset(groups.groups.get(name, ())) for name in ids]
    names = sorted(set().union(*found) - {ALL}) if found else []
    return {name: np.array([name in one for one in found]) for name in names}


OWN_FACES = 60
"""Animals of each species whose nearness to their own species is measured, as calibration."""


def own_species(ref: Reference, space: Space) -> AffinitySums:
    """Measure the reference's animals against their own and other species, each without itself; groups `species=NAME`."""
    animals = range(len(ref.species))
    groups = {ref.ids[i]: (f"species={ref.groups[g]}",) for i, g in enumerate(ref.group.tolist()) if g in animals}
    chosen = [i for low, high in ref.ranges[: len(animals)] for i in range(low, min(high, low + OWN_FACES))]
    mapping = MapAffinity(ref, space, "", MapOptions(top=1, placed_share=0))
    units = ref.vectors[:, chosen].transpose(1, 0, 2)
    return mapping.map_units([ref.ids[i] for i in chosen], units, Groups({}, groups))[1]


def affinity_rows(ids: Sequence[str], ref: Reference, cells: np.ndarray, best: Best) -> pa.Table:
    """Lay out the table: faces, then regions, then groups."""
    n, regions, groups, _ = cells.shape
    at = np.arange(n * regions * groups)
    names = np.array(ids, object)
    region = pa.DictionaryArray.from_arrays(pa.array(at // groups % regions, pa.int8()), pa.array(REGIONS))
    species = pa.DictionaryArray.from_arrays(pa.array(at % groups, pa.int16()), pa.array(ref.groups))
    flat = cells.reshape(-1, len(MEASURES))
    columns = [pa.array(names[at // (regions * groups)], pa.string()), region, species]
    columns += [pa.array(flat[:, i], pa.float32(), from_pandas=True) for i in range(len(MEASURES))]
    there = best.positions.reshape(len(at), best.positions.shape[-1]) >= 0
    offsets = pa.array(np.concatenate([[0], there.sum(1).cumsum()]), pa.int32())
    members = pa.array(np.array(ref.ids, object), pa.string())
    found = members.take(pa.array(best.positions.reshape(len(at), best.positions.shape[-1])[there]))
    columns.append(pa.ListArray.from_arrays(offsets, found))
    columns.append(
        pa.ListArray.from_arrays(offsets, pa.array(best.scores.reshape(len(at), best.scores.shape[-1])[there]))
    )
    return pa.table(columns, schema=schema.AFFINITY)
