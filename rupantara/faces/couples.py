"""Pairs of parents out of a faces table: named in a list, or drawn by rule; what is wrong with a named one is its reason."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.balance import draw
from rupantara.storage import manifest, tables, uris

COUPLES = pa.schema(
    [
        ("first", pa.string()),
        ("second", pa.string()),
        ("first_file", pa.string()),
        ("second_file", pa.string()),
        ("reason", pa.string()),
        ("detail", pa.string()),
    ]
)
"""A pair of face ids, the files of the faces table that hold them, and why it has no child ("" = it has)."""

RULES = ("any", "opposite_sex", "like_age", "like_group")
LIKE_AGE_YEARS = 10.0
TRIES = 10_000
"""Draws without a new pair after which there is none."""

COLUMNS = ("face_id", "uri", "domain", "identity", "attributes", "split", "reject")
HEADS = ({"first", "second"}, {"father", "mother"}, {"parent1", "parent2"})
"""Column names that a list may have; without such a first line each line is a pair."""


@dataclass(frozen=True)
class Person:
    """What a faces table says of a face, without its picture."""

    face_id: str
    file: str
    domain: str
    identity: str
    attributes: Mapping[str, str]
    split: str
    rejected: str


class People:
    """The faces of a table, by id and by photograph."""

    def __init__(self, uri: str) -> None:
        """Read all but the pictures."""
        self.by_id: dict[str, Person] = {}
        self._named: dict[str, list[str]] = {}
        for file in manifest.require(uri, "faces").data:
            for row in tables.read_file(uri, file.path, COLUMNS).to_pylist():
                found = {a["name"]: a["value"] for a in row["attributes"] or ()}
                rejected = row["reject"]["reason"] if row["reject"] else ""
                face_id = row["face_id"]
                identity = row["identity"] or face_id
                self.by_id[face_id] = Person(face_id, file.path, row["domain"], identity, found, row["split"], rejected)
                for name in {row["uri"], row["uri"].rpartition("/")[2]}:
                    self._named.setdefault(name, []).append(face_id)

    def find(self, name: str) -> Person | str:
        """Return the person of a face id or a photograph (its URI or file name), or why there is none."""
        name = name.strip()
        if not name:
            return "one_parent"
        ids = [name] if name in self.by_id else self._named.get(name, [])
        sound = [i for i in ids if not self.by_id[i].rejected] or ids
        if len(sound) > 1:
            return "ambiguous"
        return self.by_id[sound[0]] if sound else "unknown_parent"

    def couple(self, first: str, second: str) -> dict[str, str]:
        """Return a row of COUPLES for two names."""
        found = [self.find(name) for name in (first, second)]
        ids = [one if isinstance(one, str) else one.face_id for one in found]
        reason, detail = self._wrong(found, (first, second))
        files = ["" if isinstance(one, str) else one.file for one in found]
        named = [name if isinstance(one, str) else i for one, i, name in zip(found, ids, (first, second), strict=True)]
        return dict(zip(COUPLES.names, (*named, *files, reason, detail), strict=True))

    def couples(self, names: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
        """Return a row of COUPLES for each of a list's pairs; one that is listed again has no second child."""
        rows, known = [self.couple(*pair) for pair in names], set()
        for row in rows:
            pair = (row["first"], row["second"])
            if not row["reason"] and pair in known:
                row |= {"reason": "listed_twice", "detail": "the list has this pair before"}
            known.add(pair)
        return rows

    @staticmethod
    def _wrong(found: Sequence[Person | str], names: Sequence[str]) -> tuple[str, str]:
        """Return the reason and the detail by which a pair has no child, or two empty strings."""
        for one, name in zip(found, names, strict=True):
            if isinstance(one, str):
                said = {
                    "one_parent": "a child needs two parents",
                    "ambiguous": f"{name} holds several faces: name one by its id",
                }
                return one, said.get(one, f"{name} is not in the faces table")
        people = [one for one in found if isinstance(one, Person)]
        for one in people:
            if one.rejected:
                return "rejected_parent", f"{one.face_id}: {one.rejected}"
            if one.domain != "human":
                return "animal", f"{one.face_id} is an animal's"
        if people[0].face_id == people[1].face_id:
            return "same_face", f"{people[0].face_id} is both parents"
        return "", ""

    def drawn(self, count: int, rule: str, split: str, seed: int) -> Iterator[dict[str, str]]:
        """Draw pairs of different people by the seed, each pair once; fewer than `count` where people make no more.

        UserError where the rule fits none.
        """
        people = [p for p in self.by_id.values() if not p.rejected and p.domain == "human" and split in ("", p.split)]
        people = sorted((p for p in people if _known(p, rule)), key=lambda p: draw(p.face_id, seed))
        rng, tries = np.random.default_rng(seed), 0
        known: set[frozenset[str]] = set()
        while len(known) < count and tries < TRIES and people:
            first, second = (people[int(i)] for i in rng.integers(0, len(people), 2))
            pair, tries = frozenset((first.face_id, second.face_id)), tries + 1
            if first.identity != second.identity and pair not in known and fits(first, second, rule):
                known.add(pair)
                tries = 0
                yield self.couple(first.face_id, second.face_id)
        if not known:
            raise UserError(
                f"the faces table must have people whom the rule {rule} pairs in split {split!r}, it has none"
            )


def _known(person: Person, rule: str) -> bool:
    wanted = {"opposite_sex": "sex", "like_age": "age", "like_group": "group"}.get(rule)
    return wanted is None or wanted in person.attributes


def fits(first: Person, second: Person, rule: str) -> bool:
    """Tell whether a rule of RULES pairs two people."""
    a, b = first.attributes, second.attributes
    if rule == "opposite_sex":
        return a["sex"] != b["sex"]
    if rule == "like_age":
        return abs(float(a["age"]) - float(b["age"])) <= LIKE_AGE_YEARS
    return a["group"] == b["group"] if rule == "like_group" else True


def read_list(data: bytes, name: str) -> list[tuple[str, str]]:
    """Read a CSV of two face ids or photographs a line, with or without column names; a missing one is ""; UserError for no text."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} must be a CSV in UTF-8: {error}") from error
    lines = [row for row in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in row)]
    if not lines:
        raise UserError(f"{name} must list pairs of parents, it is empty")
    head = [cell.strip().lower() for cell in lines[0]]
    places = [0, 1]
    for names in HEADS:
        if names <= set(head):
            places, lines = [head.index(n) for n in sorted(names)], lines[1:]
    if crowded := next((row for row in lines if places == [0, 1] and len(row) > 2), None):
        raise UserError(f"{name} must have two columns, or columns first and second, got {','.join(crowded)!r}")
    return [tuple(row[i].strip() if i < len(row) else "" for i in places) for row in lines]  # ty: ignore[invalid-explicit-return]


def read_named(uri: str, name: str) -> list[tuple[str, str]]:
    """Read pairs of names out of a CSV file, or out of a table's columns `first` and `second`; `name` is what a UserError calls it."""
    if uris.exists(uri):
        return read_list(uris.read_bytes(uri), uri)
    found = manifest.read(uri)
    if found is None:
        raise UserError(f"{name} must be a CSV file or a table, {uri} is neither")
    rows = tables.read(uri, ("first", "second"), schema=found.schema).to_pylist()
    return [(row["first"] or "", row["second"] or "") for row in rows]


def couples_table(rows: Sequence[Mapping[str, str]]) -> pa.Table:
    """Return rows of COUPLES; sorted nowhere, so that a list's order stays."""
    return pa.Table.from_pylist([dict(row) for row in rows], schema=COUPLES)


def accepted_of(uri: str, file: str, columns: Sequence[str]) -> pa.Table:
    """Read the accepted rows of one file of a faces table."""
    return schema.accepted(tables.read_file(uri, file, (*columns, "reject")))
