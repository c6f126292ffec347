"""Evaluate a region VAE on held-out faces against two trivial baselines: the mean face, and a PCA with as many components.

    ray job submit --working-dir . -- python -m jobs.evaluate --faces s3://bucket/faces --checkpoint s3://bucket/region_vae \
        --metrics s3://bucket/metrics
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
from rupantara.faces.arrays import choose, choose_people
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.reports import evaluation, html
from rupantara.stages.evaluate import READ, MeasureFaces, fit_baselines
from rupantara.storage import manifest, uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec

RECIPE = RecipeSpec("evaluate", version=1)
FIT_TIMEOUT_S = 3600


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Evaluate reconstructions."""

    OUTPUT: ClassVar[str] = "metrics"

    faces: str
    """Faces table."""
    checkpoint: str
    """Checkpoint of jobs.train_vae."""
    metrics: str
    """Output: the metrics table (a row a face and method) and report.html."""
    weights: str = ""
    """Folder or bucket of pretrained networks: with it, perceptual distance, identity and Fréchet distance are measured too."""
    split: Literal["val", "test"] = "test"
    """Held-out split."""
    limit: int = 500
    """Most faces of each domain, one a person, chosen by hash (0 = all)."""
    max_train_faces: int = 3000
    """Most train faces of each domain that the baselines are fitted on (0 = all)."""
    pca_components: int = 0
    """Components of the PCA (0 = as many numbers as the model's code)."""


def build(config: Config) -> tuple[Recipe, list[parts.Part], dict[str, dict[str, str]], frozenset[str], int]:
    """Choose train and held-out faces; plan one part for each file of the faces."""
    faces = manifest.require(config.faces, "faces")
    model = loading.read_config(config.checkpoint)
    train = {d: choose(config.faces, d, "train", config.max_train_faces, config.seed) for d in ("human", "animal")}
    held = {d: choose_people(config.faces, d, (config.split,), config.limit, config.seed) for d in ("human", "animal")}
    for domain in train:
        if len(train[domain]) < 2 or not held[domain]:
            raise UserError(f"{config.faces} must have accepted {domain} faces in train and {config.split}")
    strange = sorted(set(held["animal"].values()) - set(model.species))
    if strange:
        raise UserError(
            f"{config.checkpoint} knows {', '.join(model.species)}; the faces have {', '.join(strange)} too"
        )
    components = config.pca_components or model.global_dim + len(REGIONS) * model.region_dim
    settings = cli.row_config(config, "faces", "checkpoint", "metrics", "weights")
    models = {"region_vae": loading.model_sha256(config.checkpoint)}
    if judges(config):
        names = ("squeezenet", "mobilefacenet", "lpips_squeeze")
        models |= {name: weights.sha256(config.weights, name) for name in names if weights.has(config.weights, name)}
    else:
        logging.getLogger("jobs").info(
            "perceptual, identity and Fréchet distances are off: they need squeezenet and mobilefacenet in --weights"
        )
    recipe = RECIPE.of(settings, {"faces": faces.content}, models)
    chosen = frozenset(held["human"]) | frozenset(held["animal"])
    return recipe, parts.parts_of(config.faces, faces), train, chosen, components


def judges(config: Config) -> str:
    """Return the folder of the networks that judge, "" where it lacks one."""
    needed = ("squeezenet", "mobilefacenet")
    return config.weights if all(weights.has(config.weights, name) for name in needed) else ""


def fit(config: Config, train: dict[str, dict[str, str]], components: int, uri: str, cpus: float) -> dict[str, int]:
    """Fit the baselines in one Ray task, and wait for it."""
    task = ray.remote(fit_baselines).options(num_cpus=cpus)
    return ray.get(task.remote(config.faces, config.checkpoint, train, components, uri), timeout=FIT_TIMEOUT_S)


def main(config: Config) -> None:
    """Run the job."""
    recipe, plan, train, chosen, components = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(chosen)} faces, PCA with {components} components")
        return
    baselines = uris.join(config.metrics, f"baselines-{recipe.fingerprint[:12]}.safetensors")
    fitted: dict[str, int] = {}
    found = manifest.read(config.metrics)
    if found is None or found.fingerprint != recipe.fingerprint:
        manifest.begin(
            config.metrics, "metrics", recipe, version=schema.version_of("metrics"), overwrite=config.overwrite
        )
        cli.connect()
        fitted = fit(config, train, components, baselines, cpus=min(2.0, os.cpu_count() or 1))
    size = loading.read_config(config.checkpoint).size
    make_stage = partial(MeasureFaces, config.checkpoint, baselines, chosen, judges(config))
    extra: dict[str, Any] = {"pca_components": fitted, "size": size}
    parts.run_parts(
        config,
        config.metrics,
        "metrics",
        recipe,
        plan,
        make_stage,
        version=schema.version_of("metrics"),
        columns=READ,
        **extra,
    )
    uris.delete(baselines)
    report = uris.join(config.metrics, "report.html")
    uris.write_bytes(report, html.render("Evaluation", [evaluation.section(config.metrics)]))
    logging.getLogger("jobs").info("report: %s", report)


if __name__ == "__main__":
    required = Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, metrics=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
