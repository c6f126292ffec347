"""What faces are compared with: the bank's animals by species, and a sample of people as the measure of "near"."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.spaces import Space
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.hashed_weights import seeds
from rupantara.types import Vectors

PEOPLE = "people"
"""Name of the group of people among the groups; it is the last."""


@dataclass(frozen=True)
class Reference:
    """Members sorted by group: unit vectors [5, members, dim] in one space, their ids and groups [members].

    `owners` are the persons (identities) or animals that members are of; a face is not compared with its owner. With `people` the last
    group is people. It is plain arrays, so that Ray shares one copy among the workers of a node.
    """

    space: str
    groups: tuple[str, ...]
    ids: tuple[str, ...]
    owners: tuple[str, ...]
    group: np.ndarray
    vectors: np.ndarray
    people: bool

    @property
    def species(self) -> tuple[str, ...]:
        """Return the groups but people."""
        return self.groups[:-1] if self.people else self.groups

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Return each group's first member and the one after its last."""
        ends = np.cumsum(np.bincount(self.group, minlength=len(self.groups)))
        return list(zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True))

    @cached_property
    def means(self) -> np.ndarray:
        """Return the mean unit vector of each group [5, groups, dim], float32."""
        return np.stack([self.vectors[:, a:b].mean(1, dtype=np.float64) for a, b in self.ranges], 1).astype(np.float32)

    @cached_property
    def place(self) -> dict[str, int]:
        """Return each member's place by its owner and by its id."""
        return {name: i for names in (self.owners, self.ids) for i, name in enumerate(names)}


def make_reference(
    animals: Mapping[str, tuple[Sequence[str], Vectors]],
    space: Space,
    people: tuple[Sequence[str], Vectors] | None = None,
    most: int = 0,
    domains: Mapping[str, str] | None = None,
    owners: Mapping[str, str] | None = None,
) -> Reference:
    """Make a reference of codes [n, 5, dim] by group, at most `most` (0 = all) of each, chosen by hash.

    `domains` names the domain of a group that is no species (groups of people, say), `owners` the person of an id. Raise UserError when
    there is no group, or one without members.
    """
    parts = {name: animals[name] for name in sorted(animals)} | ({PEOPLE: people} if people else {})
    if not animals or any(not len(ids) for ids, _ in parts.values()):
        raise UserError(f"a reference needs groups with members, got { {n: len(i) for n, (i, _) in parts.items()} }")
    ids: list[str] = []
    group, vectors = [], []
    for number, (name, (names, codes)) in enumerate(parts.items()):
        kept = np.sort(np.argsort(seeds(names, "reference"), kind="stable")[: most or None])
        domain = (domains or {}).get(name, HUMAN if name == PEOPLE else ANIMAL)
        vectors.append(space.units(codes[kept], domain).transpose(1, 0, 2))
        ids += [names[i] for i in kept]
        group += [number] * len(kept)
    stacked = np.ascontiguousarray(np.concatenate(vectors, axis=1))
    whose = tuple((owners or {}).get(name, name) for name in ids)
    return Reference(space.name, tuple(parts), tuple(ids), whose, np.array(group), stacked, people is not None)


def codes_of(rows: pa.Table, alignment: Alignment) -> dict[str, tuple[list[str], Vectors]]:
    """Return the region codes that a bank's rows stand for: species -> face ids, codes [n, 5, dim]."""
    dim = schema.bank_dim(rows.schema)
    parts = []
    for region in REGIONS:
        part = schema.where(rows, region=region).sort_by([("species", "ascending"), ("face_id", "ascending")])
        aligned = schema.dense(part["vector"], dim).astype(np.float32) * part["norm"].to_numpy()[:, None]
        parts.append(alignment.restore(aligned, ANIMAL, region))
    codes = np.stack(parts, axis=1)
    ids, species = np.array(part["face_id"].to_pylist(), object), np.array(part["species"].to_pylist(), object)
    return {name: (ids[species == name].tolist(), codes[species == name]) for name in sorted(set(species))}
