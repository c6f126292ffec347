"""The evaluation of generated pictures as a report's section: by kind and species, how near the person, and how near photographs."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.metrics.interval import normal_interval
from rupantara.reports.evaluation import LEAST_SET
from rupantara.reports.html import Section, Table
from rupantara.storage import manifest, tables

HEADER = ("kind", "species", "pictures", "PSNR (dB)", "identity of the person", "rank 1", "Fréchet distance to people")


def section(uri: str) -> Section:
    """Tell of each kind and species how much of the person is left."""
    found = manifest.require(uri, "metrics")
    text = (
        f"{found.extra['pictures']} pictures of {found.extra['generated']}. Identity is the cosine of MobileFaceNet's vectors of the"
        " picture and of the person's photograph, both cut by the photograph's keypoints; rank 1 is the share whose own photograph is"
        " the nearest of all that were evaluated. The Fréchet distance is that of SqueezeNet v1.1's features to the photographs'."
        " Errors are told where a picture should be the person's own."
    )
    return Section("Generated pictures", [text], [Table("Pictures by kind and species", HEADER, table_rows(uri))])


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the table under HEADER, a kind and species each."""
    table = tables.read(uri, schema="metrics")
    source, made = (
        table.filter(condition) for condition in (pc.field("kind") == "source", pc.field("kind") != "source")
    )
    groups = made.group_by(["kind", "species"], use_threads=False).aggregate([]).to_pylist()
    out = []
    for group in groups:
        rows = schema.where(made, **group)
        cells = [_mean(rows["psnr"].drop_null().to_pylist(), 2), _mean(rows["identity"].drop_null().to_pylist(), 3)]
        cells += [_rank(rows, source), _distance(rows, source)]
        out.append([group["kind"], group["species"], str(rows.num_rows), *cells])
    return out


def _mean(values: Sequence[float], digits: int) -> str:
    if len(values) < 2:
        return "".join(f"{value:.{digits}f}" for value in values)
    numbers = np.asarray(values, np.float64)
    found = normal_interval(len(numbers), float(numbers.sum()), float((numbers**2).sum()))
    return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"


def _rank(rows: pa.Table, source: pa.Table) -> str:
    """Write the share of pictures whose own photograph is the nearest of all; "" where identity was not measured."""
    source, rows = schema.whole(source, "mobilefacenet"), schema.whole(rows, "mobilefacenet")
    if not rows.num_rows or source.num_rows < 2:
        return ""
    places = {face: i for i, face in enumerate(source["face_id"].to_pylist())}
    own = np.array([places.get(face, -1) for face in rows["face_id"].to_pylist()])
    scores = schema.dense(rows["mobilefacenet"], 128) @ schema.dense(source["mobilefacenet"], 128).T
    return f"{np.mean(scores.argmax(1)[own >= 0] == own[own >= 0]):.2f} of {source.num_rows}"


def _distance(rows: pa.Table, source: pa.Table) -> str:
    sets = [schema.dense(schema.whole(t, "squeezenet")["squeezenet"], 512).astype(np.float64) for t in (rows, source)]
    if min(map(len, sets)) < LEAST_SET:
        return ""
    return f"{frechet_distance(*map(GaussianStats.update, sets)):.1f}"
