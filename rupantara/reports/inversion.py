"""Faces from vectors: the table of methods, learning curves, pictures side by side, and where landmarks go wrong."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.imaging import codec
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.metrics.interval import normal_interval, wilson_interval
from rupantara.reports import figures
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, tables, uris

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


def shown(values: Sequence[float | None], digits: int) -> str:
    """Write a mean with half its 95 % interval; "" where nothing was measured."""
    numbers = np.array([v for v in values if v is not None], np.float64)
    if len(numbers) < 2:
        return ""
    found = normal_interval(len(numbers), float(numbers.sum()), float((numbers**2).sum()))
    return f"{found.value:.{digits}f} ± {found.high - found.value:.{digits}f}"


def by_method(uri: str) -> dict[str, pa.Table]:
    """Return the rows of each method, in the order of the faces; `source` among them."""
    table = tables.read(uri, schema="metrics").sort_by("face_id")
    there = set(table["method"].to_pylist())
    names = ["source", *(name for name in TITLES if name in there)]
    return {name: schema.where(table, method=name) for name in names}


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


def rank_cell(made: pa.Table, source: pa.Table) -> str:
    """Write the share recognised with its 95 % interval; "" where identity was not measured."""
    if made["mobilefacenet"].null_count:
        return ""
    right = ranks(schema.dense(made["mobilefacenet"], 128), schema.dense(source["mobilefacenet"], 128))
    found = wilson_interval(int(right.sum()), len(right))
    return f"{100 * found.value:.1f} % ({100 * found.low:.1f} to {100 * found.high:.1f})"


def frechet_cell(made: pa.Table, source: pa.Table) -> str:
    """Write the Fréchet distance of pooled SqueezeNet features; "" where there are none."""
    if made["squeezenet"].null_count or source["squeezenet"].null_count or made.num_rows < 2:
        return ""
    stats = [GaussianStats.update(schema.dense(t["squeezenet"], 512).astype(np.float64)) for t in (made, source)]
    return f"{frechet_distance(*stats):.0f}"


def landmark_cell(made: pa.Table) -> str:
    """Write the mean squared error of landmarks; "" where a method tells none."""
    if made["landmark_mse"].null_count:
        return ""
    return shown(schema.dense(made["landmark_mse"], 68).mean(1).tolist(), 1)


def table_rows(uri: str) -> list[list[str]]:
    """Return the rows of the main table under HEADER."""
    rows = by_method(uri)
    source, out = rows.pop("source"), []
    for name, made in rows.items():
        cell = {measure: shown(made[measure].to_pylist(), digits) for measure, digits in MEASURES.items()}
        cells = [cell[m] for m in ("nme", "mse", "psnr", "face_psnr", "ssim", "lpips_caffe_squeezenet")]
        out.append(
            [
                TITLES[name],
                landmark_cell(made),
                *cells,
                frechet_cell(made, source),
                cell["identity"],
                rank_cell(made, source),
            ]
        )
    return out


def group_rows(rows: dict[str, pa.Table]) -> list[list[str]]:
    """Return each method's landmark error by part of the face."""
    out = []
    for name, made in rows.items():
        if name != "source" and not made["landmark_mse"].null_count:
            errors = schema.dense(made["landmark_mse"], 68)
            out.append([TITLES[name], *(shown(errors[:, a:b].mean(1).tolist(), 1) for a, b in POINT_GROUPS.values())])
    return out


def sheets(rows: dict[str, pa.Table]) -> list[Figure]:
    """Show sources above what is made of their vectors."""
    kept = {name: table.filter(pc.field("image").is_valid()) for name, table in rows.items()}
    pictures = {name: [codec.decode_jpeg(image) for image in t["image"].to_pylist()] for name, t in kept.items()}
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


def point_figure(rows: dict[str, pa.Table], mean_points: Sequence[float]) -> list[Figure]:
    """Draw the error of each of the 68 points where the mean face has them (figure 19)."""
    made = rows.get("full")
    if made is None or made["landmark_mse"].null_count:
        return []
    errors = schema.dense(made["landmark_mse"], 68).mean(0)
    drawn = figures.point_errors(np.reshape(mean_points, (68, 2)), errors, "mean squared error, px² at 224")
    return [Figure("Landmark error by point, full model, on the mean face", drawn)]


def frechet_figure(rows: dict[str, pa.Table]) -> list[Figure]:
    """Draw the Fréchet distances (figure 18)."""
    cells = {name: frechet_cell(made, rows["source"]) for name, made in rows.items() if name != "source"}
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


def judged_text(about: dict[str, Any], group: int) -> list[str]:
    """Say what the judging networks measured, and whom it favours."""
    heads = "with the heads of LPIPS v0.1" if about["heads"] else "without learnt heads"
    text = [
        f"LPIPS* is its formula on Caffe's SqueezeNet v1.1 {heads}, Fréchet* of the same network's pooled features: neither is the"
        " published measure. Identity is the cosine of MobileFaceNet's vectors of picture and face, each aligned by its own landmarks"
        " (single decoder: by the true ones); rank 1 is the share whose own face is nearest among"
        f" {group} (chance: {100 / group:.1f} %)."
    ]
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
    found, rows = manifest.require(uri, "metrics"), by_method(uri)
    about: dict[str, Any] = found.extra
    count, baselines = rows["source"].num_rows, about["baselines"]
    text = [
        f"{count} held-out people (split {found.recipe.config['split']}, one face each, none of them in the train split as far as"
        f" paths name people), from their {about['vector']} vectors alone, at {about['side']} x {about['side']}; landmarks in pixels of"
        f" 224 x 224. ± is half of a 95 % interval over people. Baselines are fitted on {baselines['train_faces']:.0f} train faces without"
        f" morphs, the ridge regressions' penalties chosen on the validation split. {trained_text(about['recipes'])}",
        "NME is the mean distance of the 68 points over that of the outer corners of the eyes. The decoders' texture covers the whole crop,"
        " and so do the errors: background, hair and clothes, which a face's vector does not tell, are in them. PSNR of the face is inside"
        " the hull of its true landmarks.",
    ]
    text += judged_text(about, min(GROUP, count)) if about["judged"] else []
    by_part = group_rows(rows)
    made = [Table("All methods on the same faces", HEADER, table_rows(uri))]
    made += [Table("Landmark MSE by part, px² at 224", ["method", *POINT_GROUPS], by_part)] if by_part else []
    pictures = [
        *sheets(rows),
        *curve_figures(about["histories"]),
        *point_figure(rows, about["mean_landmarks"]),
        *frechet_figure(rows),
    ]
    return Section("Faces from vectors", text, made, pictures)
