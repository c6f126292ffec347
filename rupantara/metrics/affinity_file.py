"""What a report of reverse mapping is drawn from: sums and calibration of every space, and whom faces were compared with."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rupantara.errors import UserError
from rupantara.metrics.affinity_summary import Members
from rupantara.metrics.affinity_sums import ALL, AffinitySums


@dataclass(frozen=True)
class SpaceResult:
    """Of one space: the reference's members, sums over the faces, and of the reference's own animals as calibration (or None)."""

    members: Members
    sums: AffinitySums
    own: AffinitySums | None = None


@dataclass(frozen=True)
class AffinityResults:
    """Results by space, the table's first; `about` says what was mapped, with what, in words and numbers."""

    spaces: Mapping[str, SpaceResult]
    about: Mapping[str, Any]


def with_others(file: AffinityResults, others: Sequence[AffinityResults]) -> AffinityResults:
    """Join results of the same species by other vectors, their spaces named `VECTORS/SPACE`; UserError for other species."""
    first = next(iter(file.spaces.values())).members
    spaces, meanings = dict(file.spaces), dict(file.about["meanings"])
    for other in others:
        for name, one in other.spaces.items():
            if one.members.groups[: one.members.num_species] != first.groups[: first.num_species]:
                raise UserError(f"tables must be of one set of species, got {one.members.groups} and {first.groups}")
            named = f"{other.about.get('vectors', 'other')}/{name}"
            if named in spaces:
                raise UserError(f"tables beside must be by vectors of different names, got {named} twice")
            spaces[named], meanings[named] = one, other.about["meanings"][name]
    return AffinityResults(spaces, {**file.about, "meanings": meanings})


def encode_about(about: Mapping[str, Any], members: Members, own: Mapping[str, AffinitySums]) -> bytes:
    """Encode what is known beside the faces' sums: `about` with its list `spaces`, the members, their own calibration by space."""
    arrays: dict[str, np.ndarray] = {"about": np.array(json.dumps(dict(about)))}
    arrays |= {"groups": np.array(members.groups), "ids": np.array(members.ids), "group": members.group}
    arrays |= {"people": np.array(members.people)}
    for space, sums in own.items():
        arrays |= {f"own|{name}": value for name, value in sums.arrays(space).items()}
    sink = io.BytesIO()
    np.savez_compressed(sink, allow_pickle=False, **arrays)
    return sink.getvalue()


def read_results(about: bytes, sums: Mapping[str, np.ndarray]) -> AffinityResults:
    """Join what `encode_about` gave with the sums of all faces; UserError where no face was mapped."""
    found = np.load(io.BytesIO(about), allow_pickle=False)
    said = json.loads(str(found["about"]))
    names: Sequence[str] = said["spaces"]
    if any(f"{space}|group|count|{ALL}" not in sums for space in names):
        raise UserError("a report of reverse mapping needs at least one face with a vector, got none")
    own = {key.removeprefix("own|"): found[key] for key in found.files if key.startswith("own|")}
    ids, groups = tuple(found["ids"].tolist()), tuple(found["groups"].tolist())
    spaces = {}
    for space in names:
        members = Members(space, groups, bool(found["people"]), ids, found["group"])
        calibration = AffinitySums.from_arrays(own, space) if f"{space}|placed" in own else None
        spaces[space] = SpaceResult(members, AffinitySums.from_arrays(sums, space), calibration)
    return AffinityResults(spaces, said)
