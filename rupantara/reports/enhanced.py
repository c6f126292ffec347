"""What post-processing does: the error after each step, and the pictures beside their originals."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from rupantara import schema
from rupantara.imaging import codec
from rupantara.imaging.enhance import Step, after_each, name_of, spell
from rupantara.imaging.enhance import enhance as apply
from rupantara.reports.contact_sheet import source_pictures
from rupantara.reports.grids import grid
from rupantara.reports.html import Figure, Section, Table
from rupantara.storage import manifest, tables

SIDE = 144
NORMAL_95 = 1.96


def errors(uri: str) -> tuple[list[str], np.ndarray]:
    """Return the steps' names and the errors [pictures, steps, (mse, psnr, ssim)] of the pictures that were measured."""
    names: list[str] = []
    measured: list[list[list[float]]] = []
    for part in tables.read_parts(uri, ("steps", "reject"), schema="enhanced"):
        for steps in schema.accepted(part)["steps"].to_pylist():
            if steps:
                names = [step["step"] for step in steps]
                measured.append([[step[name] for name in ("mse", "psnr", "ssim")] for step in steps])
    return names, np.array(measured).reshape(len(measured), len(names), 3)


def interval(values: np.ndarray) -> float:
    """Return half the width of the normal 95 % interval of the mean over axis 0, 0 for a single value."""
    return NORMAL_95 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0


def table(names: Sequence[str], measured: np.ndarray) -> Table:
    """Lay out the mean errors by step; a change is that of each picture against the step before."""
    rows = []
    for i, name in enumerate(names):
        mse = measured[:, i, 0]
        change, better = "", ""
        if i:
            each = mse - measured[:, i - 1, 0]
            change = f"{each.mean():+.5f} ± {interval(each):.5f}"
            better = f"{100 * (mse < measured[:, 0, 0]).mean():.0f} %"
        spread = f"{mse.mean():.5f} ± {interval(mse):.5f}"
        psnr, ssim = measured[:, i, 1:].mean(axis=0)
        rows.append([name, len(mse), spread, change, better, f"{psnr:.2f}", f"{ssim:.3f}"])
    header = ["after", "n", "MSE", "change by the step", "better than input", "PSNR (dB)", "SSIM"]
    return Table("Error against the original", header, rows)


def section(uri: str, degrade: Sequence[Step], strips: bytes) -> Section:
    """Show the errors after each step and some pictures."""
    found = manifest.require(uri, "enhanced")
    names, measured = errors(uri)
    text = [
        f"{found.counts['accepted']} pictures enhanced, {len(measured)} of them with a known original. MSE on the scale [0, 1];"
        " ± is a normal 95 % interval over pictures."
    ]
    if degrade:
        text.append(
            f"The input was made poor on purpose ({', '.join(spell(step) for step in degrade)}) to stand in for a poor model."
        )
    if len(measured):
        before, after = measured[:, 0, 0].mean(), measured[:, -1, 0].mean()
        verdict = "lowers" if after < before else "raises"
        text.append(
            f"Over all, the chain {verdict} the mean MSE: {before:.4f} before, {after:.4f} after. A picture may look better and be further"
            " from its original: sharper and more vivid is not the same as nearer."
        )
    shown = Figure("original (where it is known) | input | after each step", strips)
    return Section("Post-processing", text, [table(names, measured)] if len(measured) else [], [shown])


def strips(
    uri: str, generated: str, faces: str, degrade: Sequence[Step], steps: Sequence[Step], most: int, side: int = SIDE
) -> bytes:
    """Return a PNG with a row a picture: original | input | after each step; measured pictures come first."""
    rows = shown(uri, most)
    ids = [row["request_id"] if generated else row["face_id"] for row in rows]
    inputs = source_pictures(faces, ids) if not generated else generated_pictures(generated, ids)
    originals = source_pictures(faces, [row["face_ids"][0] for row in rows]) if generated and faces else inputs
    lines = []
    for name, row in zip(ids, rows, strict=True):
        measured = row["steps"] is not None
        original = originals[row["face_ids"][0] if generated else name] if measured else None
        given = apply(inputs[name][None], degrade)
        first = np.full_like(inputs[name], 255) if original is None else original
        lines.append([first, *(pictures[0] for pictures in after_each(given, steps))])
    return codec.encode_png(grid(lines, ["original", "input", *(name_of(step) for step in steps)], side))


def shown(uri: str, most: int) -> list[dict[str, Any]]:
    """Choose the rows that the report shows: the first that were measured, else the first."""
    measured: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    for row in _rows(uri):
        (others if row["steps"] is None else measured).append(row)
        if len(measured) >= most:
            break
        del others[most:]
    return (measured + others)[:most]


def _rows(uri: str) -> Iterator[dict[str, Any]]:
    """Yield the accepted rows without their pictures."""
    found = manifest.require(uri, "enhanced")
    kept = ("request_id", "face_id", "face_ids", "steps", "reject")
    names = tables.read_schema(uri, found.data[0].path).names
    for part in tables.read_parts(uri, [name for name in kept if name in names]):
        yield from schema.accepted(part).to_pylist()


def generated_pictures(uri: str, ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Read some pictures of a generated table."""
    found = {}
    for part in tables.read_parts(uri, ("request_id", "image"), schema="generated"):
        rows = part.filter(schema.is_one_of("request_id", ids)).to_pylist()
        found |= {row["request_id"]: codec.decode_jpeg(row["image"]) for row in rows}
    return found
