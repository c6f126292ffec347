"""The comparison of VAEs: one table of numbers, tables by group, and sheets of pictures, read from a finished table alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.imaging import codec
from rupantara.metrics.frechet import GaussianStats, frechet_distance, kernel_distance
from rupantara.metrics.interval import normal_interval
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, tables
from rupantara.types import Picture

MEASURES = {
    "mse": ("MSE", 5),
    "psnr": ("PSNR (dB)", 2),
    "ssim": ("SSIM", 3),
    "lpips_caffe_squeezenet": ("lpips_caffe_squeezenet", 3),
}
MOST_VALUES = 12
"""Attributes with more values than this (ages, say) get no table."""

FEWEST_FACES = 5
"""Groups with fewer held-out faces than this are not shown: their interval would say nothing."""

CODES = "Of UTKFace's codes sex is 0 male and 1 female; group is 0 White, 1 Black, 2 Asian, 3 Indian, 4 other, as its labels have it."
SIDE = 96


@dataclass(frozen=True)
class Rows:
    """The table's rows of one kind, by method."""

    table: pa.Table

    def of(self, method: str, kind: str, mode: str = "") -> pa.Table:
        """Select rows, in the order of the faces."""
        return schema.where(self.table, method=method, kind=kind, mode=mode).sort_by("face_id")


def shown(values: Sequence[float], digits: int) -> str:
    """Write a mean with half its 95 % interval; an empty string where nothing was measured."""
    numbers = np.asarray([v for v in values if v is not None], np.float64)
    if len(numbers) < 2:
        return ""
    found = normal_interval(len(numbers), float(numbers.sum()), float((numbers**2).sum()))
    return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"


def distances(real: pa.Table, made: pa.Table) -> list[str]:
    """Return the Fréchet and the kernel distance of two sets of feature rows, or empty strings where there are none."""
    sets = [schema.dense(t["squeezenet"].drop_null(), 512).astype(np.float64) for t in (real, made)]
    if min(len(s) for s in sets) < 2:
        return ["", ""]
    stats = [GaussianStats.update(s) for s in sets]
    return [f"{frechet_distance(*stats):.1f}", f"{kernel_distance(*sets):.2f}"]


HEADER = (
    *("method", "latent dims", "parameters", "training (s)", "ms a face"),
    *(title for title, _ in MEASURES.values()),
    *("Fréchet, reconstructions", "kernel, reconstructions", "Fréchet, samples", "kernel, samples"),
    *("diversity, posterior", "diversity, input noise"),
)


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the main table, one a method, under HEADER."""
    found, rows = manifest.require(uri, "metrics"), Rows(tables.read(uri, schema="metrics"))
    source, out = rows.of("source", "source"), []
    for name, about in found.extra["methods"].items():
        made = rows.of(name, "reconstruction")
        numbers = [shown(made[measure].to_pylist(), digits) for measure, (_, digits) in MEASURES.items()]
        numbers += distances(source, made) + distances(source, rows.of(name, "sample"))
        varied = [rows.of(name, "variation", mode)["diversity"].to_pylist() for mode in ("posterior", "input_noise")]
        seconds = "" if about["seconds"] is None else f"{about['seconds']:.0f}"
        facts = [str(about["latent_dim"]), f"{about['parameters']:,}", seconds, f"{about['ms']:.2f}"]
        out.append([name, *facts, *numbers, *(shown(values, 4) for values in varied)])
    return out


def attribute(table: pa.Table, name: str) -> list[str]:
    """Return an attribute of each row, "" where it is unknown."""
    return [
        next((p["value"] for p in pairs or () if p["name"] == name), "") for pairs in table["attributes"].to_pylist()
    ]


def group_tables(uri: str) -> list[Table]:
    """Tell each group's errors by method, with the group's share of the train faces (`003_…`, 5.3)."""
    found, rows = manifest.require(uri, "metrics"), Rows(tables.read(uri, schema="metrics"))
    names, out = list(found.extra["methods"]), []
    for name, trained in sorted(found.extra["train_attributes"].items()):
        if not 1 < len(trained) <= MOST_VALUES:
            continue
        groups = np.array(attribute(rows.of(names[0], "reconstruction"), name))
        values = [v for v in sorted(trained) if (groups == v).sum() >= FEWEST_FACES]
        for measure in ("mse", "ssim"):
            title, digits = MEASURES[measure]
            made = {method: rows.of(method, "reconstruction")[measure].to_numpy() for method in names}
            lines = [
                [
                    value,
                    int((groups == value).sum()),
                    f"{100 * trained[value] / sum(trained.values()):.0f} %",
                    *(shown(made[method][groups == value], digits) for method in names),
                ]
                for value in values
            ]
            if lines:
                out.append(Table(f"{title} by {name}", [name, "faces", "share of train", *names], lines))
    return out


def strip(data: bytes) -> list[Picture]:
    """Cut an `image` of the table into its square pictures."""
    picture = codec.decode_jpeg(data)
    return [picture[:, x : x + len(picture)] for x in range(0, picture.shape[1], len(picture))]


def sheets(uri: str) -> list[Figure]:
    """Show reconstructions side by side, variations of one face, and samples."""
    found, table = manifest.require(uri, "metrics"), tables.read(uri, schema="metrics")
    rows = Rows(table.filter(pc.field("image").is_valid()))
    names = list(found.extra["methods"])
    source = [strip(image)[0] for image in rows.of("source", "source")["image"].to_pylist()]

    def pictures(method: str, kind: str, mode: str = "") -> list[list[Picture]]:
        return [strip(image) for image in rows.of(method, kind, mode)["image"].to_pylist()]

    made = [[face[0] for face in pictures(name, "reconstruction")] for name in names]
    lines = [list(face) for face in zip(source, *made, strict=True)]
    figures = [Figure("Source, and each method's reconstruction", _png(lines, ["source", *names]))]
    modes: dict[str, Callable[[str], str]] = {
        "posterior": lambda n: f"{n}: a face, and draws of its posterior",
        "input_noise": lambda n: f"{n}: a face, and reconstructions of it under noise",
    }
    for name in names:
        for mode, caption in modes.items():
            varied = [[face, *many] for face, many in zip(source, pictures(name, "variation", mode), strict=False)][:3]
            figures += [Figure(caption(name), _png(varied))] if varied else []
    samples = [[face[0] for face in pictures(name, "sample")] for name in names]
    figures.append(Figure(f"Faces of nobody, a row a method: {', '.join(names)}", _png(samples)))
    return figures


def _png(lines: Sequence[Sequence[Picture]], titles: Sequence[str] = ()) -> bytes:
    return codec.encode_png(grid(lines, titles, SIDE))


def section(uri: str) -> Section:
    """Build the report's section."""
    found = manifest.require(uri, "metrics")
    config: dict[str, Any] = found.recipe.config
    extra = found.extra
    judged = (
        "lpips_caffe_squeezenet is a distance in the manner of LPIPS on the features of DeepScale's SqueezeNet,"
        f" {'with the heads of LPIPS v0.1' if extra['heads'] else 'without learnt heads'}: not the published LPIPS. Fréchet and kernel"
        " distances are those of the same network's deepest features, against the held-out faces; Fréchet's is biased upwards at so few"
        " faces and compares only within this table, the kernel's is not. Neither is FID or KID."
        if config["judged"]
        else "Without --weights no perceptual, Fréchet or kernel distance was measured."
    )
    text = [
        f"{extra['faces']} held-out people (split {config['split']}, one face each), 64 x 64, scale [0, 1]; ± is half of a 95 %"
        f" interval over people. PCA and mean face are fitted on {extra['train_faces']} faces of the train split; a PCA has as many"
        " components as a model has latent dimensions, and its samples are draws of a Gaussian.",
        judged,
        f"Diversity is the mean root mean squared difference over the pairs of {config['count']} variations of a face, over"
        f" {extra['varied']} faces: draws of the posterior, or reconstructions under input noise of deviation {config['noise']}."
        " Milliseconds are of one thread in batches, encoding and decoding; seconds of training are as its machine had them.",
    ]
    groups = group_tables(uri)
    if groups:
        text.append(
            f"Groups are as the photographs' paths name them, known for some of the faces only. {CODES}"
            " A group that is harder for the mean face and the PCA too is harder for its pictures, not only for the model."
        )
    main = Table("All methods on the same faces", HEADER, table_rows(uri))
    return Section("Comparison of VAEs", text, [main, *groups], sheets(uri))
