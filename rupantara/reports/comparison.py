"""The comparison of VAEs: one table of numbers, tables by group, and sheets of pictures, read from a finished table alone."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.metrics import metrics_table
from rupantara.metrics.metrics_table import Group
from rupantara.reports import judging
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest
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


Groups = Mapping[tuple[str, str, str], Group]
"""Groups by (method, kind, mode)."""
SOURCE = ("source", "source", "")
GROUPED = ("mse", "ssim")
"""Measures that are told by attribute."""


def groups_of(uri: str, trained: Mapping[str, Mapping[str, int]]) -> Groups:
    """Gather the rows by method, kind and mode; of reconstructions the means of GROUPED by attribute are `mse sex=0`, say."""

    def split(part: pa.Table) -> Iterator[tuple[tuple[str, str, str], pa.Table, dict[str, np.ndarray]]]:
        for (method, kind, mode), rows in metrics_table.by(part, "method", "kind", "mode"):
            values = metrics_table.numbers(rows, (*MEASURES, "diversity"))
            if kind == "reconstruction":
                values |= {
                    f"{measure} {name}={value}": np.where(has, values[measure], np.nan)
                    for name, value, has in attributes(rows, trained)
                    for measure in GROUPED
                }
            yield (method, kind, mode), rows, values

    columns = ("face_id", "method", "kind", "mode", "attributes", "diversity", *MEASURES, metrics_table.SQUEEZENET)
    return metrics_table.gather(uri, columns, split)


def few_valued(extra: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Return the attributes of the train faces that get a table, with the faces of each value."""
    return {name: by for name, by in sorted(extra["train_attributes"].items()) if 1 < len(by) <= MOST_VALUES}


def attributes(rows: pa.Table, trained: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield attributes and their values, and which rows have them: bool [n]."""
    pairs = [{pair["name"]: pair["value"] for pair in row or ()} for row in rows["attributes"].to_pylist()]
    for name, values in trained.items():
        yield from ((name, value, np.array([row.get(name) == value for row in pairs])) for value in values)


def distances(made: Group | None, source: Group | None) -> list[str]:
    """Return the Fréchet and the kernel distance of two sets of features, or empty strings where there are none."""
    if made is None or source is None:
        return ["", ""]
    frechet, kernel = made.frechet(source), made.kernel(source)
    return ["" if frechet is None else f"{frechet:.1f}", "" if kernel is None else f"{kernel:.2f}"]


HEADER = (
    *("method", "latent dims", "parameters", "training (s)", "ms a face"),
    *(title for title, _ in MEASURES.values()),
    *("Fréchet, reconstructions", "kernel, reconstructions", "Fréchet, samples", "kernel, samples"),
    *("diversity, posterior", "diversity, input noise"),
)


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the main table, one a method, under HEADER."""
    extra = manifest.require(uri, "metrics").extra
    return main_rows(extra, groups_of(uri, few_valued(extra)))


def main_rows(extra: Mapping[str, Any], groups: Groups) -> list[list[str]]:
    """Write the rows of the main table."""
    out = []
    for name, about in extra["methods"].items():
        made = groups.get((name, "reconstruction", ""), Group())
        cells = [made.mean(measure).cell(digits) for measure, (_, digits) in MEASURES.items()]
        for kind in ("reconstruction", "sample"):
            cells += distances(groups.get((name, kind, "")), groups.get(SOURCE))
        varied = [groups.get((name, "variation", mode), Group()) for mode in ("posterior", "input_noise")]
        seconds = "" if about["seconds"] is None else f"{about['seconds']:.0f}"
        facts = [str(about["latent_dim"]), f"{about['parameters']:,}", seconds, f"{about['ms']:.2f}"]
        out.append([name, *facts, *cells, *(group.mean("diversity").cell(4) for group in varied)])
    return out


def group_tables(extra: Mapping[str, Any], groups: Groups) -> list[Table]:
    """Tell each group's errors by method, with the group's share of the train faces (`003_…`, 5.3)."""
    names, out = list(extra["methods"]), []
    made = [groups.get((name, "reconstruction", ""), Group()) for name in names]
    for name, trained in few_valued(extra).items():
        for measure in GROUPED:
            title, digits = MEASURES[measure]
            lines = []
            for value in sorted(trained):
                means = [group.mean(f"{measure} {name}={value}") for group in made]
                if means[0].count >= FEWEST_FACES:
                    share = f"{100 * trained[value] / sum(trained.values()):.0f} %"
                    lines.append([value, means[0].count, share, *(mean.cell(digits) for mean in means)])
            if lines:
                out.append(Table(f"{title} by {name}", [name, "faces", "share of train", *names], lines))
    return out


def strip(data: bytes) -> list[Picture]:
    """Cut an `image` of the table into its square pictures."""
    picture = codec.decode_jpeg(data)
    return [picture[:, x : x + len(picture)] for x in range(0, picture.shape[1], len(picture))]


def sheets(uri: str) -> list[Figure]:
    """Show reconstructions side by side, variations of one face, and samples."""
    rows, names = (
        metrics_table.pictured(uri, "method", "kind", "mode"),
        list(manifest.require(uri, "metrics").extra["methods"]),
    )

    def pictures(method: str, kind: str, mode: str = "") -> list[list[Picture]]:
        return [strip(image) for image in schema.where(rows, method=method, kind=kind, mode=mode)["image"].to_pylist()]

    source = [face[0] for face in pictures(*SOURCE)]
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
        f" {judging.heads_text(found.recipe)}: not the published LPIPS. Fréchet and kernel"
        " distances are those of the same network's deepest features, against the held-out faces; Fréchet's is biased upwards at so few"
        " faces and compares only within this table, the kernel's is not. Neither is FID or KID. A model that was trained with"
        f" SqueezeNet in its loss, as dfc is by default, is favoured by them.{metrics_table.sampled(extra['faces'])}"
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
    groups = groups_of(uri, few_valued(extra))
    by_attribute = group_tables(extra, groups)
    if by_attribute:
        text.append(
            f"Groups are as the photographs' paths name them, known for some of the faces only. {CODES}"
            " A group that is harder for the mean face and the PCA too is harder for its pictures, not only for the model."
        )
    main = Table("All methods on the same faces", HEADER, main_rows(extra, groups))
    return Section("Comparison of VAEs", text, [main, *by_attribute], sheets(uri))
