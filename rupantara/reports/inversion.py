"""Faces from vectors: the table of methods, learning curves, pictures side by side, and where landmarks go wrong."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.metrics import metrics_table
from rupantara.metrics.interval import wilson_interval
from rupantara.metrics.metrics_table import IDENTITY, Group
from rupantara.reports import figures, judging
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, uris
from rupantara.storage.recipe import Recipe

TITLES = {
    "full": "full: landmarks, texture, warp",
    "without_warp": "without warp",
    "joint": "joint loss",
    "single": "single decoder",
    "ridge": "ridge regression and warp",
    "nearest": "nearest train face",
    "mean_face": "mean face",
}
MEASURES = {
    "mse": 4,
    "psnr": 2,
    "face_psnr": 2,
    "ssim": 3,
    "lpips_caffe_squeezenet": 3,
    "identity": 3,
    "nme": 4,
}
LANDMARKS = "landmark_mse"
GROUP = 200
"""People among whom a reconstruction has to be recognised."""

POINT_GROUPS = {"jaw": (0, 17), "brows": (17, 27), "nose": (27, 36), "eyes": (36, 48), "mouth": (48, 68)}
SHEET_ACROSS, SIDE = 10, 96
HEADER = (
    *(
        "method",
        "landmark MSE (px² at 224)",
        "NME",
        "MSE",
        "PSNR (dB)",
        "PSNR of the face (dB)",
        "SSIM",
        "LPIPS*",
        "Fréchet*",
    ),
    *("identity cosine", "rank 1"),
)


def history(checkpoint: str) -> list[dict[str, float]]:
    """Return a training's log, an epoch an entry; nothing where it lies no longer beside the checkpoint."""
    uri = uris.join(checkpoint, "log.jsonl")
    return [json.loads(line) for line in uris.read_bytes(uri).splitlines()] if uris.exists(uri) else []


def by_method(uri: str) -> dict[str, Group]:
    """Gather the rows of each method, `source` among them; of landmarks the mean errors over all, over each part, and of each point."""

    def split(part: pa.Table) -> Iterator[tuple[str, pa.Table, dict[str, np.ndarray]]]:
        for (method,), rows in metrics_table.by(part, "method"):
            values, errors = metrics_table.numbers(rows, MEASURES), schema.filled(rows["landmark_mse"], 68)
            values |= {LANDMARKS: errors.mean(1)} | dict(_by_point(errors))
            values |= {name: errors[:, start:end].mean(1) for name, (start, end) in POINT_GROUPS.items()}
            yield method, rows, values

    columns = ("face_id", "method", LANDMARKS, *MEASURES, *metrics_table.DIMS)
    found = metrics_table.gather(uri, columns, split)
    return {name: found[name] for name in ("source", *TITLES) if name in found}


def _by_point(errors: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the errors of each of the 68 points [n] under its name."""
    yield from ((f"point {i}", column) for i, column in enumerate(errors.T))


def ranks(made: np.ndarray, sources: np.ndarray, group: int = GROUP) -> np.ndarray:
    """Return whether each row of unit vectors is nearest its own source among its group's, in groups of `group` rows.

    Rows beyond the last whole group are left out, unless there is none: then all are one group.
    """
    size = min(group, len(made))
    found = []
    for start in range(0, len(made) - size + 1, size):
        scores = made[start : start + size] @ sources[start : start + size].T
        found.append(scores.argmax(1) == np.arange(size))
    return np.concatenate(found) if found else np.zeros(0, bool)


def recognised(made: Group, source: Group) -> np.ndarray:
    """Return whether each sampled face is nearest its own among its group's; nothing where identity was not measured of all."""
    if min(made.samples[IDENTITY].seen - made.rows, source.samples[IDENTITY].seen - source.rows) < 0:
        return np.zeros(0, bool)
    return ranks(made.samples[IDENTITY].rows, source.samples[IDENTITY].rows)


def rank_cell(made: Group, source: Group) -> str:
    """Write the share recognised with its 95 % interval; "" where identity was not measured."""
    right = recognised(made, source)
    if not len(right):
        return ""
    found = wilson_interval(int(right.sum()), len(right))
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def frechet_cell(made: Group, source: Group) -> str:
    """Write the Fréchet distance of pooled SqueezeNet features; "" where there are none."""
    whole = all(group.spread is not None and group.spread.count == group.rows for group in (made, source))
    found = made.frechet(source) if whole else None
    return "" if found is None else f"{found:.0f}"


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the main table under HEADER."""
    return main_rows(by_method(uri))


def main_rows(groups: Mapping[str, Group]) -> list[list[str]]:
    """Write the rows of the main table."""
    source, out = groups["source"], []
    for name, made in groups.items():
        if name != "source":
            cell = {measure: made.mean(measure).cell(digits) for measure, digits in MEASURES.items()}
            cells = [cell[m] for m in ("nme", "mse", "psnr", "face_psnr", "ssim", "lpips_caffe_squeezenet")]
            cells += [frechet_cell(made, source), cell["identity"], rank_cell(made, source)]
            out.append([TITLES[name], made.mean(LANDMARKS).cell(1), *cells])
    return out


def group_rows(groups: Mapping[str, Group]) -> list[list[str]]:
    """Return each method's landmark error by part of the face."""
    return [
        [TITLES[name], *(made.mean(part).cell(1) for part in POINT_GROUPS)]
        for name, made in groups.items()
        if name != "source" and made.mean(LANDMARKS).count
    ]


def sheets(uri: str, names: Iterable[str]) -> list[Figure]:
    """Show sources above what methods make of their vectors."""
    rows = metrics_table.pictured(uri, "method")
    kept = {name: schema.where(rows, method=name)["image"].to_pylist() for name in names}
    pictures = {name: [codec.decode_jpeg(image) for image in images] for name, images in kept.items()}
    best = next((name for name in TITLES if pictures.get(name)), "")
    out = []
    if pictures["source"] and best:
        few = [[pictures[name][i] for name in pictures] for i in range(min(SHEET_ACROSS, len(pictures["source"])))]
        out.append(
            Figure(
                "The face, and what each method makes of its vector",
                codec.encode_png(grid(few, [name.replace("_", " ") for name in pictures], SIDE)),
            )
        )
        lines = []
        for start in range(0, len(pictures["source"]), SHEET_ACROSS):
            lines += [pictures[name][start : start + SHEET_ACROSS] for name in ("source", best)]
        caption = f"{len(pictures['source'])} held-out faces (upper rows) and {TITLES[best]} (lower rows), as figure 17 of the paper"
        out.append(Figure(caption, codec.encode_jpeg(grid(lines, side=112), 92)))
    return out


def curve_figures(histories: dict[str, list[dict[str, float]]]) -> list[Figure]:
    """Draw the losses over epochs, train and validation (figures 15 and 16)."""
    out = []
    for part, loss, label in (
        ("landmarks", "landmark_mse", "px² at 224"),
        ("texture", "mae", "absolute error, [-1, 1]"),
    ):
        log = histories.get(part) or []
        if len(log) > 1:
            lines = {"train": [row[loss] for row in log], "validation": [row[f"val_face_{loss}"] for row in log]}
            drawn = figures.curves(lines, [row["epoch"] + 1 for row in log], f"{part} decoder", "epoch", label)
            out.append(Figure(f"Training of the {part} decoder", drawn))
    return out


def point_figure(groups: Mapping[str, Group], mean_points: Sequence[float]) -> list[Figure]:
    """Draw the error of each of the 68 points where the mean face has them (figure 19)."""
    made = groups.get("full")
    if made is None or not made.mean(LANDMARKS).count:
        return []
    errors = np.array([made.mean(f"point {i}").value for i in range(68)])
    drawn = figures.point_errors(np.reshape(mean_points, (68, 2)), errors, "mean squared error, px² at 224")
    return [Figure("Landmark error by point, full model, on the mean face", drawn)]


def frechet_figure(groups: Mapping[str, Group]) -> list[Figure]:
    """Draw the Fréchet distances (figure 18)."""
    cells = {name: frechet_cell(made, groups["source"]) for name, made in groups.items() if name != "source"}
    found = {TITLES[name]: float(cell) for name, cell in cells.items() if cell}
    if not found:
        return []
    drawn = figures.ranking(
        list(found),
        list(found.values()),
        [0.0] * len(found),
        "lower is better",
        "Fréchet distance, SqueezeNet's features",
    )
    return [Figure("Fréchet distance of each method's faces from the held-out faces", drawn)]


def trained_text(recipes: dict[str, Any]) -> str:
    """Say how long each part was trained."""
    said = [
        f"{part} {r['epochs']} passes of {'at most ' + str(r['max_faces']) if r.get('max_faces') else 'all'} faces"
        for part, r in recipes.items()
        if r.get("epochs")
    ]
    return f"Trained were: {', '.join(said)}." if said else ""


def judged_text(recipe: Recipe, about: dict[str, Any], group: int) -> list[str]:
    """Say what the judging networks measured, and whom it favours."""
    identity = (
        "Identity is the cosine of MobileFaceNet's vectors of picture and face, each aligned by its own landmarks"
        " (single decoder: by the true ones); rank 1 is the share whose own face is nearest among"
        f" {group} (chance: {100 / group:.1f} %)."
    )
    text = [
        f"{judging.lpips_text(recipe)} Fréchet* is of the same network's pooled features, not the published FID."
        f" {judging.identity_text(recipe, identity)}"
    ]
    if not judging.knows_identity(recipe):
        return text
    if about["vector"] == "arcface":
        text.append("The vectors are MobileFaceNet's own: what is measured is what was given.")
    if about["vector"] == "arcface_features":
        text.append(
            "The vectors are the input of MobileFaceNet's last layer, which is linear: what is measured follows from what was given."
        )
    if about["recipes"].get("texture", {}).get("objective", {}).get("identity_weight", 0) > 0:
        text.append("The texture decoder was trained to keep that cosine, which favours it.")
    return text


def section(uri: str) -> Section:
    """Build the report's section."""
    found, groups = manifest.require(uri, "metrics"), by_method(uri)
    about: dict[str, Any] = found.extra
    count, baselines = groups["source"].rows, about["baselines"]
    text = [
        f"{count} held-out people (split {found.recipe.config['split']}, one face each, none of them in the train split as far as"
        f" paths name people), from their {about['vector']} vectors alone, at {about['side']} x {about['side']}; landmarks in pixels of"
        f" 224 x 224. ± is half of a 95 % interval over people. Baselines are fitted on {baselines['train_faces']:.0f} train faces without"
        f" morphs, the ridge regressions' penalties chosen on the validation split. {trained_text(about['recipes'])}"
        + metrics_table.sampled(count),
        "NME is the mean distance of the 68 points over that of the outer corners of the eyes. The decoders' texture covers the whole crop,"
        " and so do the errors: background, hair and clothes, which a face's vector does not tell, are in them. PSNR of the face is inside"
        " the hull of its true landmarks.",
    ]
    text += judged_text(found.recipe, about, min(GROUP, count))
    by_part = group_rows(groups)
    made = [Table("All methods on the same faces", HEADER, main_rows(groups))]
    made += [Table("Landmark MSE by part, px² at 224", ["method", *POINT_GROUPS], by_part)] if by_part else []
    pictures = [
        *sheets(uri, groups),
        *curve_figures(about["histories"]),
        *point_figure(groups, about["mean_landmarks"]),
        *frechet_figure(groups),
    ]
    return Section("Faces from vectors", text, made, pictures)
