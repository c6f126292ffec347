"""What each part of a faces table measures of its rows: where they fell, the sum of landmarks, and what finds duplicates."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.storage.statistics import Statistics

COLUMNS = (
    *("uri", "sha256", "domain", "species", "attributes", "image", "landmarks", "quality", "split", "reject"),
    "face_id",
)
ACCEPTED = "accepted"
MOST_VALUES = 12
"""Attributes with more values than this (ages, say) are not counted."""
UNIT_PX = 2.0**-16
"""Landmarks are counted in whole numbers of this, so that no order of parts changes a bit of their mean."""
LANDMARKS = "landmarks"
SHA, URI, ROW = "sha", "uri", "row"


def measure(rows: pa.Table) -> Statistics:
    """Measure the rows of one part."""
    counts = {json.dumps(key): np.int64(number) for key, number in _counts(rows).items()}
    points = np.rint(scaled_landmarks(rows) / UNIT_PX).astype(np.int64)
    sums = counts | {LANDMARKS: np.append(points.sum(0).ravel(), len(points))}
    return Statistics({name: np.asarray(value) for name, value in sums.items()}, prints(rows))


def prints(rows: pa.Table) -> dict[str, np.ndarray]:
    """Return of each accepted row the first 64 bits of its photograph's SHA-256, a hash of its URI, and its number in the part."""
    at = np.flatnonzero(~rows["reject"].is_valid().to_numpy())
    shas, uris = rows["sha256"].take(at).to_pylist(), rows["uri"].take(at).to_pylist()
    names = [int.from_bytes(hashlib.blake2b(u.encode(), digest_size=8).digest(), "big") for u in uris]
    return {
        SHA: np.array([int(s[:16], 16) for s in shas], np.uint64),
        URI: np.array(names, np.uint64),
        ROW: at.astype(np.int32),
    }


def scaled_landmarks(rows: pa.Table) -> np.ndarray:
    """Return the landmarks of the train split's accepted humans in px of SIDE: float64 [n, 68, 2]."""
    rows = schema.where(schema.accepted(rows), domain="human", split="train")
    rows = rows.filter(rows["landmarks"].is_valid())
    sides = np.array([codec.read_size(image)[0] for image in rows["image"].to_pylist()], np.float64)
    points = schema.dense(rows["landmarks"], 68, 2).astype(np.float64)
    return rescale(points, sides[:, None, None], SIDE) if len(points) else np.zeros((0, 68, 2))


def mean_landmarks(found: Statistics) -> tuple[float, ...]:
    """Return 68 x 2 numbers, px of `landmarks.texture.SIDE`; none where the train split has no human with landmarks."""
    *sums, count = found.sums[LANDMARKS].tolist() if LANDMARKS in found.sums else [0]
    return tuple(value / count * UNIT_PX for value in sums) if count else ()


def _counts(rows: pa.Table) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    columns = ("domain", "species", "attributes", "quality", "split", "reject")
    for row in rows.select(columns).to_pylist():
        outcome = row["reject"]["reason"] if row["reject"] else ACCEPTED
        counts["species", row["species"] or "unknown", outcome] += 1
        for pair in row["attributes"] or ():
            counts["attribute", pair["name"], pair["value"], outcome] += 1
        if outcome == ACCEPTED:
            counts["split", row["domain"] or "", row["split"] or ""] += 1
            unjudged = (name for name, value in (row["quality"] or {}).items() if value is None)
            counts.update(("unjudged", name) for name in unjudged)
    values = Counter(name for kind, name, *_ in {key[:3] for key in counts if key[0] == "attribute"} for _ in kind[:1])
    many = {name for name, number in values.items() if number > MOST_VALUES}
    kept = {key: n for key, n in counts.items() if key[0] != "attribute" or key[1] not in many}
    return Counter(kept) + Counter(("many", name) for name in many)


@dataclass(frozen=True)
class Fallen:
    """Where the rows of a table fell: counts by outcome (accepted, or the reason of the reject) of species and of attributes' values."""

    by_species: dict[str, Counter[str]]
    by_attribute: dict[str, dict[str, Counter[str]]]
    splits: Counter[tuple[str, str]]
    unjudged: Counter[str]

    @property
    def reasons(self) -> list[str]:
        """Return the reasons, the commonest first."""
        total = sum(self.by_species.values(), Counter[str]())
        return [reason for reason, _ in total.most_common() if reason != ACCEPTED]


def fallen(found: Statistics) -> Fallen:
    """Read the counts off a table's statistics; attributes with one value, or with very many, are left out."""
    made = Fallen({}, {}, Counter(), Counter())
    many = set()
    for (kind, name, *rest), number in _keys(found):
        if kind == "species":
            made.by_species.setdefault(name, Counter())[rest[0]] += number
        elif kind == "attribute":
            made.by_attribute.setdefault(name, {}).setdefault(rest[0], Counter())[rest[1]] += number
        elif kind == "split":
            made.splits[name, rest[0]] += number
        elif kind == "unjudged":
            made.unjudged[name] += number
        elif kind == "many":
            many.add(name)
    for name in [n for n, by in made.by_attribute.items() if n in many or not 1 < len(by) <= MOST_VALUES]:
        del made.by_attribute[name]
    return made


def _keys(found: Statistics) -> Iterator[tuple[list[str], int]]:
    for name, value in found.sums.items():
        if name.startswith("["):
            yield json.loads(name), int(value)
