"""Evaluate decoders of faces from vectors on held-out people, beside three baselines and the other parts that were trained.

    ray job submit --working-dir . -- python -m jobs.evaluate_inversion --faces s3://bucket/faces --features s3://bucket/features \
        --checkpoint s3://bucket/decoder --weights s3://bucket/weights --metrics s3://bucket/inversion_metrics
"""

import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

import ray

from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.evaluation.inversion_baselines import COLUMNS, fit_baselines
from rupantara.faces.arrays import choose_people
from rupantara.features.textures import MEAN
from rupantara.generation import decoder_loading
from rupantara.generation.decoder_loading import MODEL_TYPE
from rupantara.reports import html, inversion
from rupantara.stages.measure_inversions import MeasureInversions, Trial
from rupantara.storage import checkpoints, manifest, tables, uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training.decoder_rows import usable, vector_field

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("evaluate_inversion", version=1)
JUDGES = ("squeezenet", "mobilefacenet")
FIT_TIMEOUT_S = 3600


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Evaluate inversions of vectors."""

    OUTPUT: ClassVar[str] = "metrics"

    faces: str
    """Faces table of the features; it says who is who."""
    features: str
    """Features table with the vectors, textures and crops of --faces."""
    checkpoint: str
    """Folder of jobs.train_decoder; every part in it is a method."""
    metrics: str
    """Output: the table (a row a face and method) and report.html."""
    weights: str = ""
    """Folder or bucket with squeezenet and mobilefacenet: with it, identity, perceptual and Fréchet distances are measured too."""
    split: Literal["val", "test"] = "test"
    """Held-out split."""
    limit: int = 500
    """Most people, one face each, chosen by hash (0 = all)."""
    shown: int = 50
    """Faces of these whose pictures are kept for the report."""


def build(config: Config) -> tuple[Recipe, Trial]:
    """Check that tables and decoders belong together, and choose the people."""
    faces, features = manifest.require(config.faces, "faces"), manifest.require(config.features, "features")
    if features.recipe.inputs.get("faces") != faces.content:
        raise UserError(f"--features must be of --faces, got {config.features!r}, made of other faces")
    found = decoder_loading.parts_of(config.checkpoint)
    configs = {part: decoder_loading.read_config(uri) for part, uri in found.items()}
    vectors = {(c.vector, c.vector_sha256) for c in configs.values()}
    sides = {c.texture.side for part, c in configs.items() if part != "landmarks"}
    if len(vectors) > 1 or len(sides) != 1:
        raise UserError(
            f"the decoders in {config.checkpoint!r} must be of one vector and one size, got {vectors}, {sides}"
        )
    vector, digest = vectors.pop()
    theirs = vector_field(config.features, features.data[0].path, vector, "the decoders' vector")
    if theirs.model_sha256 != digest or not {"texture", "crop"} <= set(theirs.columns):
        raise UserError(f"{config.features} must hold {vector} of the decoders' network, texture and crop")
    _check_split(features, faces, found)
    people = {}
    for part in tables.read_parts(
        config.features, ("face_id", "domain", "split", vector, schema.LANDMARKS), schema="features"
    ):
        people |= dict.fromkeys(usable(part, (vector, schema.LANDMARKS), config.split)["face_id"].to_pylist())
    chosen = list(choose_people(config.faces, "human", (config.split,), config.limit, config.seed, people))
    if len(chosen) < 2:
        raise UserError(
            f"{config.faces} must have at least 2 accepted humans of split {config.split}, got {len(chosen)}"
        )
    heads = bool(config.weights) and weights.has(config.weights, "lpips_squeeze")
    judged = bool(config.weights)
    if not judged:
        log.info(
            "identity, perceptual and Fréchet distances are off: they need squeezenet and mobilefacenet in --weights"
        )
    names = (*JUDGES, *(("lpips_squeeze",) if heads else ())) if judged else ()
    models = {name: weights.sha256(config.weights, name) for name in names}
    models |= {part: checkpoints.model_sha256(uri, MODEL_TYPE) for part, uri in found.items()}
    settings = cli.row_config(config, "faces", "features", "checkpoint", "metrics", "weights")
    recipe = RECIPE.of(settings, {"features": features.content}, models)
    trial = Trial(
        checkpoint=config.checkpoint,
        baselines=uris.join(config.metrics, f"baselines-{recipe.fingerprint[:12]}.safetensors"),
        vector=vector,
        split=config.split,
        side=sides.pop(),
        chosen=frozenset(chosen),
        shown=frozenset(chosen[: config.shown]),
        weights=config.weights if judged else "",
        heads=heads,
    )
    return recipe, trial


def _check_split(features: manifest.Manifest, faces: manifest.Manifest, found: dict[str, str]) -> None:
    """Refuse decoders that were trained on other faces: who is held out here may be among them."""
    for part, uri in found.items():
        trained = manifest.read(uri)
        if trained is None:
            log.info("%s is a download without manifest: whether it was trained on these people cannot be told", uri)
        elif trained.recipe.inputs.get("features") != features.content and trained.extra.get("faces") != faces.content:
            raise UserError(
                f"{part} in {uri!r} must be trained on features of --faces, or people who are held out here may have been trained on"
            )


def facts_of(config: Config, trial: Trial) -> dict[str, Any]:
    """Fit the baselines in one Ray task, and say what the report should know of the decoders."""
    task = ray.remote(fit_baselines).options(num_cpus=min(2.0, os.cpu_count() or 1))
    mean = manifest.require(config.features, "features").extra[MEAN]
    arguments = (config.features, trial.vector, trial.side, trial.chosen, mean, trial.baselines)
    fitted = ray.get(task.remote(*arguments), timeout=FIT_TIMEOUT_S)
    facts: dict[str, Any] = {
        "vector": trial.vector,
        "side": trial.side,
        "heads": trial.heads,
        "judged": bool(trial.weights),
    }
    facts |= {"baselines": fitted, "histories": {}, "recipes": {}}
    facts[MEAN] = mean
    for part, uri in decoder_loading.parts_of(config.checkpoint).items():
        found = manifest.read(uri)
        facts["recipes"][part] = found.recipe.config if found else {}
        facts["histories"][part] = inversion.history(uri)
    return facts


def main(config: Config) -> None:
    """Run the job."""
    recipe, trial = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(trial.chosen)} people")
        return
    facts: dict[str, Any] = {}
    found = manifest.read(config.metrics)
    if found is None or found.fingerprint != recipe.fingerprint:
        manifest.begin(config.metrics, "inversions", recipe, version=schema.VERSION, overwrite=config.overwrite)
        cli.connect()
        facts = facts_of(config, trial)
    plan = parts.parts_of(config.features, manifest.require(config.features, "features"))
    columns = (*COLUMNS, trial.vector)
    run = partial(
        parts.run_parts, config, config.metrics, "inversions", recipe, plan, partial(MeasureInversions, trial)
    )
    run(version=schema.VERSION, columns=columns, **facts)
    uris.delete(trial.baselines)
    report = uris.join(config.metrics, "report.html")
    uris.write_bytes(report, html.render("Faces from vectors", [inversion.section(config.metrics)]))
    for row in (inversion.HEADER, *inversion.table_rows(config.metrics)):
        print("| " + " | ".join(map(str, row)) + " |")
    log.info("report: %s", report)


if __name__ == "__main__":
    required = Config(faces=cli.REQUIRED, features=cli.REQUIRED, checkpoint=cli.REQUIRED, metrics=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
