"""Who a face is of, and the groups that it is in, by the attributes of a faces table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rupantara.storage import tables

AGES = ((0, 12, "0-12"), (13, 19, "13-19"), (20, 34, "20-34"), (35, 49, "35-49"), (50, 64, "50-64"), (65, 200, "65+"))
"""Bands of the attribute `age`, years."""


@dataclass(frozen=True)
class Groups:
    """What is known of faces: the person of each (bootstrap weights go by person), and the groups that it is in (`sex=1`)."""

    owner: Mapping[str, str]
    groups: Mapping[str, Sequence[str]]

    @staticmethod
    def none() -> "Groups":
        """Return groups that know nothing: each face is its own person, in no group."""
        return Groups({}, {})


def read_groups(faces: str, by: Sequence[str]) -> Groups:
    """Read the person and the groups of each face of a faces table; without one nothing is known."""
    if not faces:
        return Groups.none()
    owner: dict[str, str] = {}
    groups: dict[str, Sequence[str]] = {}
    for part in tables.read_parts(faces, COLUMNS, schema="faces"):
        found = groups_of(part, by)
        owner |= found.owner
        groups |= found.groups
    return Groups(owner, groups)


COLUMNS = ("face_id", "identity", "species", "split", "attributes")
"""Columns of a faces table that say who a face is of and what groups it is in."""


def groups_of(faces: pa.Table, by: Sequence[str]) -> Groups:
    """Read the person and the groups of rows of a faces table."""
    owner: dict[str, str] = {}
    groups: dict[str, Sequence[str]] = {}
    for row in faces.select(COLUMNS).to_pylist():
        owner[row["face_id"]] = row["identity"] or row["face_id"]
        known = {a["name"]: a["value"] for a in row["attributes"] or ()}
        known |= {"species": row["species"], "split": row["split"]}
        groups[row["face_id"]] = tuple(f"{name}={label(name, known[name])}" for name in by if known.get(name))
    return Groups(owner, groups)


def label(name: str, value: str) -> str:
    """Return the group of an attribute's value; ages go in bands."""
    if name != "age":
        return value
    try:
        age = float(value)
    except ValueError:
        return value
    return next((band for low, high, band in AGES if low <= age < high + 1), value)
