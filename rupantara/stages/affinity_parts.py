"""Parts of features, faces or photographs to rows of the affinity table; sums of every space go with the rows (`storage.statistics`)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rupantara import schema
from rupantara.bank.face_groups import Groups
from rupantara.bank.reference_file import ReferenceFile
from rupantara.stages.affinity import MapAffinity, MapOptions
from rupantara.stages.affinity_rows import MadeRows
from rupantara.storage import statistics, uris
from rupantara.storage.statistics import Statistics


@dataclass(frozen=True)
class MapPlan:
    """What a worker needs to map parts: the reference's file, the spaces (rows are of the first), and which faces of a part.

    `others` are the options in the spaces but the first.
    """

    reference: str
    spaces: tuple[str, ...]
    column: str
    options: MapOptions = field(default_factory=MapOptions)
    others: MapOptions = field(default_factory=MapOptions)
    wanted: Mapping[str, str] = field(default_factory=dict)
    chosen: frozenset[str] | None = None


class MapParts:
    """A part of what `made` makes features of -> rows of `schema.AFFINITY` in the first space."""

    def __init__(self, plan: MapPlan, made: MadeRows) -> None:
        """Read the reference."""
        file = ReferenceFile.from_bytes(uris.read_bytes(plan.reference))
        self._plan, self._made, self._maps = plan, made, {}
        for name in plan.spaces:
            options = plan.options if name == plan.spaces[0] else plan.others
            settings: Any = (plan.column, options, plan.wanted, plan.chosen)
            self._maps[name] = MapAffinity(file.reference(name), file.spaces.space(name), *settings)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map a part."""
        # Left out before features are made of them, which costs most.
        faces = schema.where(self._made.faces(batch), **self._plan.wanted)
        faces = faces if self._plan.chosen is None else schema.where_id(faces, self._plan.chosen)
        groups, features = self._made.groups(faces), self._made.features(faces)
        # Groups of faces are compared in the first space alone; sums of all would be most of a small part's file.
        known = [groups] + [Groups(groups.owner, {})] * (len(self._maps) - 1)
        made = [mapping.map(features, one) for mapping, one in zip(self._maps.values(), known, strict=True)]
        named = zip(self._maps, made, strict=True)
        sums = {key: value for name, (_, one) in named for key, value in one.arrays(name).items()}
        return statistics.attach(made[0][0], Statistics(sums))
