"""What faces are compared with, read a file at a time: the bank's animals, and a sample of people."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank import spaces, versions
from rupantara.bank.alignment import HUMAN
from rupantara.bank.face_groups import Groups
from rupantara.bank.reference import codes_of
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.hashed_weights import seeds
from rupantara.storage import tables
from rupantara.storage.plan import Part
from rupantara.types import Vectors

SAMPLED_FILES = 16
"""Parts of an input that a sample of people is drawn from, evenly spaced."""

Coded = dict[str, tuple[list[str], Vectors]]
"""Group -> face ids, codes [n, 5, dim]."""


def bank_codes(found: versions.BankVersion, most: int) -> Coded:
    """Read the bank's animals, shard by shard, at most `most` (0 = all) of each species by hash."""
    out: Coded = {}
    for shard in range(len(found.shards)):
        for species, (ids, codes) in codes_of(found.rows(shard), found.alignment).items():
            known, before = out.get(species, ([], codes[:0]))
            out[species] = least(known + ids, np.concatenate([before, codes]), most)
    return out


def least(ids: list[str], codes: Vectors, most: int) -> tuple[list[str], Vectors]:
    """Keep the `most` (0 = all) of least hash."""
    kept = np.sort(np.argsort(seeds(ids, "reference"), kind="stable")[: most or None])
    return [ids[i] for i in kept], codes[kept]


def fitted_spaces(found: versions.BankVersion, features: str, dim: int) -> spaces.Spaces:
    """Return the bank's named spaces; of a bank from before there were any, fit them on the features' train split."""
    stored = found.spaces
    if stored is not None:
        return stored
    if not features:
        raise UserError(f"{found.uri} has no named spaces: build it again, or give --features with train animals")

    def groups() -> Iterator[tuple[str, Vectors]]:
        for part in tables.read_parts(features, ("species", "split", found.vectors), schema="features"):
            rows = schema.whole(schema.where(part, split="train"), found.vectors)
            for species in rows["species"].unique().to_pylist():
                column = schema.where(rows, species=species)[found.vectors]
                yield species, schema.dense(column, len(REGIONS), dim)

    return spaces.fit(spaces.sums_by_species(groups()))


class Rows(Protocol):
    """How rows of an input become faces with groups, and features (`stages.affinity_rows`)."""

    def faces(self, rows: pa.Table, domain: str = "", most: int = 0) -> pa.Table:
        """Return the faces of rows, of one domain and at least so many if there are."""
        ...

    def groups(self, faces: pa.Table) -> Groups:
        """Tell whom faces are of, and their groups."""
        ...

    def features(self, faces: pa.Table) -> pa.Table:
        """Return the features of faces."""
        ...


def sample(
    plan: Sequence[Part],
    columns: Sequence[str] | None,
    made: Rows,
    vector: str,
    by: str,
    most: int,
    owner: dict[str, str],
) -> Coded:
    """Sample at most `most` persons of each group (`by` "" = one group, people), a face each, from evenly spaced parts.

    `owner` is told the person of each sampled face.
    """
    parts = [plan[i] for i in np.unique(np.linspace(0, len(plan) - 1, SAMPLED_FILES).astype(int))]
    # With groups there may be few of one, so that each part gives as many as it has.
    each = -(-most // len(parts)) if not by else most
    out: Coded = {}
    for part in parts:
        faces = schema.where(made.faces(part.read(columns), HUMAN, 0 if by else 2 * each), domain=HUMAN)
        groups = made.groups(faces)
        rows = schema.whole(made.features(one_a_person(faces, groups, by, each)), vector)
        dim = rows.schema.field(vector).type.list_size // len(REGIONS)
        codes = schema.dense(rows[vector], len(REGIONS), dim).astype(np.float32)
        names = rows["face_id"].to_pylist()
        whose = {name: groups.owner.get(name, name) for name in names}
        for group in sorted({group_of(name, groups, by) for name in names}):
            at = [i for i, name in enumerate(names) if group_of(name, groups, by) == group]
            known, before = out.get(group, ([], codes[:0]))
            persons = {owner.get(name, name) for name in known}
            fresh = [i for i in at if whose[names[i]] not in persons]
            out[group] = least(known + [names[i] for i in fresh], np.concatenate([before, codes[fresh]]), most)
        owner |= whose
    return out


def first_ids(table: str, wanted: dict[str, str], most: int) -> frozenset[str]:
    """Return the `most` first ids of the rows with the `wanted` values, holding no more than those."""
    out: list[str] = []
    for part in tables.read_parts(table, ("face_id", *wanted)):
        out = sorted(out + schema.where(part, **wanted)["face_id"].to_pylist())[:most]
    return frozenset(out)


def group_of(name: str, groups: Groups, by: str) -> str:
    """Return the group of a face by one attribute (`sex=1`), "" when it has none; with `by` "" all are in one."""
    return next((g for g in groups.groups.get(name, ()) if g.startswith(f"{by}=")), "") if by else "people"


def one_a_person(rows: pa.Table, groups: Groups, by: str, most: int) -> pa.Table:
    """Keep the face of least hash of each person that has a group, at most `most` of a group."""
    rows = schema.accepted(rows) if "reject" in rows.column_names else rows
    names = rows["face_id"].to_pylist()
    kept: list[int] = []
    persons: set[str] = set()
    counts: dict[str, int] = {}
    for i in np.argsort(seeds(names, "reference"), kind="stable").tolist():
        person, group = groups.owner.get(names[i], names[i]), group_of(names[i], groups, by)
        if group and person not in persons and counts.get(group, 0) < most:
            persons.add(person)
            counts[group] = counts.get(group, 0) + 1
            kept.append(i)
    return rows.take(pa.array(sorted(kept), pa.int64()))
