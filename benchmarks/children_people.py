"""Held-out adults of a faces table, one face of each person, and their crops: parents for the benchmarks of children."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.faces.couples import accepted_of
from rupantara.generation.face import FaceCrop
from rupantara.stages.generate import crops_of
from rupantara.storage import manifest, tables

CERTAIN = 0.95
"""Probability from which an estimated sex counts."""

ADULT, FRONTAL_YAW, BARE = (18.0, 55.0), 12.0, 0.5
"""Years; degrees; the most that a head may look covered."""

COLUMNS = ("face_id", "identity", "uri", "attributes", "estimated", "quality", "domain", "split", "reject")


@dataclass(frozen=True)
class Adult:
    """A held-out adult."""

    face_id: str
    file: str
    identity: str
    age: float
    female: bool


def adults(faces: str) -> list[Adult]:
    """Return one face of each held-out adult whose sex is certain."""
    out: dict[str, Adult] = {}
    for file in manifest.require(faces, "faces").data:
        rows = schema.where(schema.accepted(tables.read_file(faces, file.path, COLUMNS)), domain="human", split="test")
        for row in rows.to_pylist():
            said, guess = {a["name"]: a["value"] for a in row["attributes"] or ()}, row["estimated"]
            age = float(said.get("age", guess["age"]))
            sure = "sex" in said or guess["sex_probability"] > CERTAIN
            female = said["sex"] == "1" if "sex" in said else guess["sex"] == "female"
            seen = row["quality"]
            frontal = abs(seen["yaw"] or 0.0) < FRONTAL_YAW and (seen["headwear"] or 0.0) < BARE
            if sure and frontal and ADULT[0] <= age <= ADULT[1]:
                name = row["identity"] or row["face_id"]
                out.setdefault(name, Adult(row["face_id"], file.path, name, age, female))
    return sorted(out.values(), key=lambda one: one.face_id)


def couples(people: list[Adult], count: int, seed: int) -> Iterator[tuple[Adult, Adult]]:
    """Draw fathers and mothers, each pair once."""
    rng, known = np.random.default_rng(seed), set()
    fathers, mothers = ([one for one in people if one.female == female] for female in (False, True))
    while len(known) < min(count, len(fathers) * len(mothers)):
        pair = (int(rng.integers(len(fathers))), int(rng.integers(len(mothers))))
        if pair not in known:
            known.add(pair)
            yield fathers[pair[0]], mothers[pair[1]]


class Crops:
    """Crops of faces by id and file; files stay open."""

    def __init__(self, faces: str) -> None:
        self._faces = faces
        self._kept: dict[str, pa.Table] = {}

    def of(self, pair: tuple[Adult, Adult]) -> list[FaceCrop]:
        """Return both parents."""
        out = []
        for one in pair:
            if one.file not in self._kept:
                self._kept[one.file] = accepted_of(self._faces, one.file, ("face_id", "image", "landmarks"))
            place = self._kept[one.file]["face_id"].to_pylist().index(one.face_id)
            out += crops_of(self._kept[one.file].slice(place, 1))
        return out
