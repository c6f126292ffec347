"""The evaluation of generated pictures as a report's section: by kind and species, how near the person, and how near photographs."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.metrics import metrics_table
from rupantara.metrics.metrics_table import DIMS, IDENTITY, Group
from rupantara.reports import judging
from rupantara.reports.evaluation import LEAST_SET
from rupantara.reports.html import Section, Table
from rupantara.storage import manifest, tables

HEADER = ("kind", "species", "pictures", "PSNR (dB)", "identity of the person", "rank 1", "Fréchet distance to people")
COLUMNS = ("face_id", "kind", "species")
SOURCE = ("source", "")
"""Key of the photographs' group."""


def section(uri: str) -> Section:
    """Tell of each kind and species how much of the person is left."""
    found = manifest.require(uri, "metrics")
    identity = (
        "Identity is the cosine of MobileFaceNet's vectors of the picture and of the person's photograph, both cut by the photograph's"
        " keypoints; rank 1 is the share whose own photograph is the nearest of all that were evaluated."
    )
    text = (
        f"{found.extra['pictures']} pictures of {found.extra['generated']}."
        f" {judging.identity_text(found.recipe, identity)}"
        " The Fréchet distance is that of SqueezeNet v1.1's features to the photographs'."
        " Errors are told where a picture should be the person's own."
    )
    return Section("Generated pictures", [text], [Table("Pictures by kind and species", HEADER, table_rows(uri))])


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the table under HEADER, a kind and species each."""
    groups = metrics_table.gather(uri, (*COLUMNS, *DIMS, "psnr", "identity"), _split)
    source = Group()
    made = {key: group for key, group in groups.items() if key != SOURCE}
    found = Recognised(*groups.get(SOURCE, source).samples[IDENTITY].sorted())
    for part in tables.read_parts(uri, (*COLUMNS, IDENTITY), schema="metrics"):
        for key, rows, _ in _split(part):
            found.add(key, schema.whole(rows, IDENTITY))
    out = []
    for (kind, species), group in made.items():
        cells = [group.mean("psnr").cell(2, alone=True), group.mean("identity").cell(3, alone=True)]
        cells += [found.cell((kind, species)), _distance(group, groups.get(SOURCE, source))]
        out.append([kind, species, str(group.rows), *cells])
    return out


def _split(part: pa.Table) -> Iterator[tuple[tuple[str, str], pa.Table, dict[str, np.ndarray]]]:
    """Yield the rows of each kind and species; of all photographs together."""
    for (kind, species), rows in metrics_table.by(part, "kind", "species"):
        measured = [name for name in ("psnr", "identity") if name in rows.column_names]
        key = SOURCE if kind == SOURCE[0] else (kind, species)
        yield key, rows, metrics_table.numbers(rows, measured)


class Recognised:
    """How many pictures of each group are nearest their own person's photograph, of those of a sample of the people."""

    def __init__(self, face_ids: Sequence[str], vectors: np.ndarray) -> None:
        """Take the photographs' identity vectors [n, dim]."""
        self._places = {face: i for i, face in enumerate(face_ids)}
        self._vectors = vectors
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, key: tuple[str, str], rows: pa.Table) -> None:
        """Count pictures that have a vector, whose person is among the photographs."""
        own = np.array([self._places.get(face, -1) for face in rows["face_id"].to_pylist()], int)
        there = own >= 0
        if not len(self._places) or not rows.num_rows:
            return
        scores = schema.dense(rows[IDENTITY], DIMS[IDENTITY])[there] @ self._vectors.T
        hits, count = self._counts.get(key, (0, 0))
        self._counts[key] = hits + int((scores.argmax(1) == own[there]).sum()), count + int(there.sum())

    def cell(self, key: tuple[str, str]) -> str:
        """Write the share; "" where identity was not measured."""
        hits, count = self._counts.get(key, (0, 0))
        return f"{hits / count:.2f} of {len(self._places)}" if count and len(self._places) > 1 else ""


def _distance(group: Group, source: Group) -> str:
    if group.spread is None or source.spread is None or min(group.spread.count, source.spread.count) < LEAST_SET:
        return ""
    return f"{group.frechet(source):.1f}"
