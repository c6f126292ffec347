"""Which rows of a faces or features table a job works on: a rule about the row, so that no list of ids is held anywhere."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from rupantara import schema
from rupantara.faces.balance import draw
from rupantara.storage import tables


@dataclass(frozen=True)
class Choice:
    """Accepted faces of a domain and a split ("" = any) whose hash is at most `last` (1 = all)."""

    domain: str = "human"
    split: str = ""
    last: float = 1.0
    seed: int = 0

    def __call__(self, rows: pa.Table) -> pa.Table:
        """Keep the rows of the choice."""
        rows = schema.accepted(rows) if "reject" in rows.column_names else rows
        rows = schema.where(rows, **{c: v for c, v in (("domain", self.domain), ("split", self.split)) if v})
        if self.last >= 1:
            return rows
        return rows.filter(pa.array([draw(i, self.seed) <= self.last for i in rows["face_id"].to_pylist()], pa.bool_()))


@dataclass(frozen=True)
class Chosen:
    """A choice, how many rows it takes, and how many of the table it leaves out by reason."""

    choice: Choice
    count: int
    left_out: dict[str, int]

    def said(self) -> str:
        """Say both in words."""
        return said(self.count, "faces", self.left_out)


def said(count: int, what: str, left_out: Mapping[str, int]) -> str:
    """Say how many are taken, and how many are left out by reason."""
    left = ", ".join(f"{number} {reason}" for reason, number in left_out.items() if number)
    return f"{count} {what}" + (f"; left out: {left}" if left else "")


def choose_rows(uri: str, schema_name: str, split: str, limit: int, seed: int, domain: str = "human") -> Chosen:
    """Choose accepted faces of a table: those of a domain and a split, at most `limit` by hash (0 = all)."""
    columns = ("face_id", "domain", "split", *(("reject",) if schema_name == "faces" else ()))
    every, counts, draws = Choice(domain, split, seed=seed), Counter[str](), []
    for part in tables.read_parts(uri, columns, schema=schema_name):
        counts.update(_reasons(part, domain, split))
        draws += [draw(i, seed) for i in every(part)["face_id"].to_pylist()] if limit else []
    found = counts.pop("", 0)
    if not limit or found <= limit:
        return Chosen(every, found, dict(counts))
    last = sorted(draws)[limit - 1]
    beyond = {f"beyond --limit {limit}": found - limit}
    return Chosen(Choice(domain, split, last, seed), limit, {**counts, **beyond})


def _reasons(part: pa.Table, domain: str, split: str) -> Iterable[str]:
    """Yield why each row is left out, "" for those that are not."""
    rejects = part["reject"].is_valid().to_pylist() if "reject" in part.column_names else [False] * part.num_rows
    for rejected, theirs, own in zip(rejects, part["domain"].to_pylist(), part["split"].to_pylist(), strict=True):
        if rejected:
            yield "rejected"
        elif domain and theirs != domain:
            yield f"no {domain}s" if domain == "human" else "people"
        else:
            yield f"of another split than {split}" if split and own != split else ""
