"""What a part of an input becomes on its way to affinity: faces, whom they are of, and their features."""

import hashlib
import os
from collections.abc import Sequence
from typing import Protocol

import pyarrow as pa

from rupantara.bank.alignment import ANIMAL, HUMAN
from rupantara.bank.face_groups import Groups, groups_of
from rupantara.faces.paths import DEFAULT_RULES, is_animal
from rupantara.stages.curate import CuratePhotos
from rupantara.stages.extract import ExtractFeatures


class MadeRows(Protocol):
    """Rows of an input to faces, their groups, and features."""

    def faces(self, rows: pa.Table, domain: str = "", most: int = 0) -> pa.Table:
        """Return the faces of rows; with `domain` and `most` others may be left out before they are made."""
        ...

    def groups(self, faces: pa.Table) -> Groups:
        """Tell whom faces are of, and their groups."""
        ...

    def features(self, faces: pa.Table) -> pa.Table:
        """Return the features of faces."""
        ...


class FeatureRows:
    """Rows of a features table, of which all is made; groups are of a faces table."""

    def __init__(self, groups: Groups) -> None:
        """Take the groups of all faces."""
        self._groups = groups

    def faces(self, rows: pa.Table, domain: str = "", most: int = 0) -> pa.Table:
        """Return the rows."""
        return rows

    def groups(self, faces: pa.Table) -> Groups:
        """Return the groups of all faces."""
        return self._groups

    def features(self, faces: pa.Table) -> pa.Table:
        """Return the rows."""
        return faces


class FaceRows:
    """Rows of a faces table, which are extracted."""

    def __init__(self, extract: ExtractFeatures, by: Sequence[str]) -> None:
        """Take what extracts, and the attributes that make groups."""
        self._extract, self._by = extract, by

    def faces(self, rows: pa.Table, domain: str = "", most: int = 0) -> pa.Table:
        """Return the rows."""
        return rows

    def groups(self, faces: pa.Table) -> Groups:
        """Read the faces' own columns."""
        return groups_of(faces, self._by)

    def features(self, faces: pa.Table) -> pa.Table:
        """Extract the accepted faces."""
        return self._extract(faces)


class PhotoRows:
    """Rows of listed photographs: `faces` curates them in memory, and no faces table is written; the rest is as of faces."""

    def __init__(self, curate: CuratePhotos, then: FaceRows) -> None:
        """Take what curates, and what becomes of the faces."""
        self._curate, self._then = curate, then

    def faces(self, rows: pa.Table, domain: str = "", most: int = 0) -> pa.Table:
        """Curate the photographs; with `domain` only those of its paths, `most` of them by hash (0 = all)."""
        if domain:
            of = [ANIMAL if is_animal(os.fsdecode(p), DEFAULT_RULES) else HUMAN for p in rows["path"].to_pylist()]
            rows = rows.filter(pa.array([one == domain for one in of], pa.bool_()))
        if domain and most and most < len(rows):
            # By hash: photographs that lie side by side are often of one person.
            order = sorted(range(len(rows)), key=lambda i: hashlib.sha256(rows["path"][i].as_py()).digest())
            rows = rows.take(sorted(order[:most]))
        return self._curate(rows)

    def groups(self, faces: pa.Table) -> Groups:
        """Read the faces' own columns."""
        return self._then.groups(faces)

    def features(self, faces: pa.Table) -> pa.Table:
        """Extract the accepted faces."""
        return self._then.features(faces)
