"""Parts of faces or features to rows of the affinity table; the sums of every space go with the rows (`storage.statistics`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from rupantara.bank.face_groups import Groups, read_groups
from rupantara.bank.reference_file import ReferenceFile
from rupantara.stages.affinity import MapAffinity, MapOptions
from rupantara.storage import statistics, uris
from rupantara.storage.statistics import Statistics


@dataclass(frozen=True)
class MapPlan:
    """What a worker needs to map parts: the reference's file, the spaces (rows are of the first), and which faces of a part.

    In the spaces but the first, `others` says how.
    """

    reference: str
    spaces: tuple[str, ...]
    column: str
    faces: str = ""
    by: tuple[str, ...] = ()
    options: MapOptions = field(default_factory=MapOptions)
    wanted: Mapping[str, str] = field(default_factory=dict)
    chosen: frozenset[str] | None = None
    others: MapOptions = field(default_factory=MapOptions)


class MapParts:
    """A part's features, or faces that `extract` makes features of -> rows of `schema.AFFINITY` in the first space."""

    def __init__(self, plan: MapPlan, extract: Callable[[pa.Table], pa.Table] | None = None) -> None:
        """Read the reference, and the groups of faces if there is a table of them."""
        groups = read_groups(plan.faces, plan.by)
        file = ReferenceFile.from_bytes(uris.read_bytes(plan.reference))
        self._extract, self._maps = extract, {}
        for name in plan.spaces:
            # Groups of faces are compared in the first space alone; sums of all would be most of a small part's file.
            known = groups if name == plan.spaces[0] else Groups(groups.owner, {})
            options = plan.options if name == plan.spaces[0] else plan.others
            settings: Any = (plan.column, known, options, plan.wanted, plan.chosen)
            self._maps[name] = MapAffinity(file.reference(name), file.spaces.space(name), *settings)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map a part."""
        features = self._extract(batch) if self._extract else batch
        made = {name: mapping.map(features) for name, mapping in self._maps.items()}
        sums = {key: value for name, (_, one) in made.items() for key, value in one.arrays(name).items()}
        return statistics.attach(next(iter(made.values()))[0], Statistics(sums))
