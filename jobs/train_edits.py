"""Fit edits of faces (age, sex, smile) in a codec's codes by regression on labelled faces; seconds, on the driver.

    ray job submit --working-dir . -- python -m jobs.train_edits --features s3://bucket/features --faces s3://bucket/faces \
        --codec s3://bucket/region_vae --checkpoint s3://bucket/edits
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from jobs.runtime import cli
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import codecs, edits
from rupantara.models.codecs import Moments
from rupantara.reports.edits_card import edits_card
from rupantara.storage import checkpoints, manifest, tables
from rupantara.storage.recipe import RecipeSpec
from rupantara.training import edits as fitting
from rupantara.training.blender_rows import blender_streams, demand_codec
from rupantara.training.edits import Labelled
from rupantara.training.pairs import UNKNOWN
from rupantara.training.streams import Stream

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("train_edits", version=1)
KNOTS = {"age": fitting.AGE_KNOTS, "sex": (0.0, 1.0), "smile": (0.0, 1.0)}
"""Edits, and the values at which their mean codes are taken; sex is 0 male, 1 female, as UTKFace's paths have it; smile is the probability
of `happy` that the expression network gave."""

SOURCES = dict.fromkeys(("age", "sex"), "see the rules of jobs.curate for paths")
SOURCES |= {"smile": "jobs.curate writes the column expressions"}
LEAST_FACES = 8
LIGHT = 3
"""First numbers of a code, which are held equal: of the region VAE how light a picture is, and from where. Children's are lighter."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Fit edits."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with the codec's codes (jobs.extract --extractors region_vae arcface)."""
    faces: cli.Uri
    """Faces table that the features are of: its paths name ages and sexes, its column expressions smiles."""
    codec: cli.Uri
    """Checkpoint of jobs.train_vae that made the codes, or a folder with e4e_ffhq_encode.pt."""
    checkpoint: cli.Uri
    """Output folder."""
    edits: tuple[str, ...] = ("age", "sex")
    """What to fit: age, sex, smile."""
    emphasis: float = 2.5
    """How many times the mean change of codes an edit of the age moves a face: at 1 an adult keeps too much of an adult."""
    orthogonal: float = 0.0
    """Share of a change along the directions of identity that is taken out, 0 to 1: less change of who it is, and less of the attribute."""


def presets() -> dict[str, Config]:
    """Return the one preset."""
    return {"default": Config(features=cli.REQUIRED, faces=cli.REQUIRED, codec=cli.REQUIRED, checkpoint=cli.REQUIRED)}


def check(config: Config) -> None:
    """Refuse what cannot be."""
    unknown = [name for name in config.edits if name not in KNOTS]
    if unknown or not config.edits:
        raise UserError(f"--edits must be of {', '.join(KNOTS)}, got {unknown[0] if unknown else 'none'!r}")
    if config.emphasis <= 0 or not 0 <= config.orthogonal <= 1:
        raise UserError(
            f"--emphasis must be above 0 and --orthogonal from 0 to 1, got {config.emphasis:g}, {config.orthogonal:g}"
        )


def rows_of(stream: Stream) -> dict[str, np.ndarray]:
    """Read a stream whole: some 5 kB a face."""
    files = [(uri, f.path) for uri in stream.tables for f in manifest.require(uri, stream.schema).data]
    parts = [stream.read(tables.read_file(uri, path, stream.columns)) for uri, path in files]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def labelled(rows: Mapping[str, np.ndarray], moments: Moments, name: str) -> Labelled:
    """Return the faces whose paths name an attribute; the others (sex, group) are held equal where they are named."""
    known = rows[name] != UNKNOWN
    others = [rows["sex"] == 1] if name != "sex" else []
    others += [rows["group"] == group for group in range(4)]
    others += [np.clip(rows["age"], 0, 100) / 100] if name != "age" else []
    others += [rows[held] == UNKNOWN for held in ("sex", "age")] if name == "smile" else []
    tokens = moments.standardize(torch.from_numpy(rows["tokens"][known])).numpy()
    light = tokens[:, 0, :LIGHT]
    return Labelled(
        tokens,
        rows["boxes"][known],
        rows[name][known].astype(np.float64),
        np.concatenate([np.stack(others, 1)[known], light], axis=1).astype(np.float64),
    )


def main(config: Config) -> None:
    """Run the job."""
    check(config)
    started = time.monotonic()
    name, sha256 = demand_codec(config.features, config.codec)
    inputs = {kind: manifest.require(getattr(config, kind), kind).content for kind in ("features", "faces")}
    settings = cli.row_config(config, "features", "faces", "codec", "checkpoint")
    recipe = RECIPE.of(settings, inputs, {name: sha256})
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}")
        return
    running = manifest.begin(
        config.checkpoint, edits.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
    )
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.checkpoint, recipe.fingerprint[:12])
        return
    streams = blender_streams(
        config.features,
        config.faces,
        codecs.COLUMNS[name],
        LEAST_FACES,
        vectors=config.orthogonal > 0,
        most=0,
        most_validation=0,
        seed=config.seed,
    )
    paths, measured, count = fit_all(config, [rows_of(stream) for stream in streams])
    content = edits.config_dict(name, sha256, measured)
    card = edits_card(name, recipe, measured)
    files, digest = checkpoints.write(config.checkpoint, content, edits.tensors_of(paths), card)
    done = replace(
        running,
        state="complete",
        files=tuple(files),
        counts={"in": count, "accepted": count, "rejected": {}},
        seconds=round(time.monotonic() - started, 1),
        extra={"model_sha256": digest, "measured": measured},
    )
    manifest.commit(config.checkpoint, done, running)
    for edit, found in measured.items():
        log.info("%s: readout %.3g off (the median %.3g), r %.2f", edit, *(found[k] for k in MEASURES))


MEASURES = ("error", "error_of_median", "correlation")


def fit_all(
    config: Config, rows: list[dict[str, np.ndarray]]
) -> tuple[dict[str, edits.EditPath], dict[str, dict[str, float]], int]:
    """Fit each edit on the first rows and measure it on the second; UserError where too few faces are labelled."""
    moments = Moments.of(torch.from_numpy(rows[0]["tokens"]))
    axes = None
    if config.orthogonal > 0:
        tokens = moments.standardize(torch.from_numpy(rows[0]["tokens"])).numpy()
        axes = fitting.identity_axes(tokens, rows[0]["vector"])
    paths, measured = {}, {}
    for name in config.edits:
        train, held = (labelled(part, moments, name) for part in rows)
        if min(len(train.values), len(held.values)) < LEAST_FACES:
            raise UserError(
                f"{config.faces} must tell the {name} of at least {LEAST_FACES} people to train and to validate on, got"
                f" {len(train.values)} and {len(held.values)}: {SOURCES[name]}"
            )
        emphasis = config.emphasis if name == "age" else 1.5
        path = fitting.fit(name, train, held, KNOTS[name], emphasis=emphasis, axes=axes, amount=config.orthogonal)
        paths[name] = path
        counts = {"faces": float(len(train.values)), "held_out": float(len(held.values))}
        measured[name] = counts | fitting.measure(path, held) | dict(zip(("low", "high"), path.ends, strict=True))
    return paths, measured, len(rows[0]["tokens"])


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
