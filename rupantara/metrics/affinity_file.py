"""The file that a report of reverse mapping is drawn from: members, sums and calibration of every space."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from rupantara.metrics.affinity_summary import Members
from rupantara.metrics.affinity_sums import AffinitySums


@dataclass(frozen=True)
class SpaceResult:
    """Of one space: the reference's members, sums over the faces, and of the reference's own animals as calibration (or None)."""

    members: Members
    sums: AffinitySums
    own: AffinitySums | None = None


@dataclass(frozen=True)
class AffinityFile:
    """Results by space, the table's first; `about` says what was mapped, with what, in words and numbers."""

    spaces: Mapping[str, SpaceResult]
    about: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Encode as npz."""
        arrays: dict[str, Any] = {"about": np.array(json.dumps({**self.about, "spaces": list(self.spaces)}))}
        for name, result in self.spaces.items():
            m = result.members
            arrays |= {f"{name}.groups": np.array(m.groups), f"{name}.ids": np.array(m.ids), f"{name}.group": m.group}
            arrays |= {f"{name}.people": np.array(m.people), f"{name}.sums": _packed(result.sums)}
            arrays |= {f"{name}.own": _packed(result.own)} if result.own else {}
        sink = io.BytesIO()
        np.savez_compressed(sink, allow_pickle=False, **arrays)
        return sink.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "AffinityFile":
        """Decode what `to_bytes` gave."""
        found = np.load(io.BytesIO(data), allow_pickle=False)
        about = json.loads(str(found["about"]))
        spaces = {}
        for name in about.pop("spaces"):
            ids, groups = tuple(found[f"{name}.ids"].tolist()), tuple(found[f"{name}.groups"].tolist())
            members = Members(name, groups, bool(found[f"{name}.people"]), ids, found[f"{name}.group"])
            own = _unpacked(found[f"{name}.own"]) if f"{name}.own" in found else None
            spaces[name] = SpaceResult(members, _unpacked(found[f"{name}.sums"]), own)
        return AffinityFile(spaces, about)


def _packed(sums: AffinitySums) -> np.ndarray:
    return np.frombuffer(sums.to_bytes(), np.uint8)


def _unpacked(data: np.ndarray) -> AffinitySums:
    return AffinitySums.from_bytes(data.tobytes())
