"""Faces to features: each face is decoded once and shown to every extractor that is asked for; one row an accepted face.

    ray job submit --working-dir . -- python -m jobs.extract --faces s3://bucket/faces --checkpoint s3://bucket/region_vae \
        --weights s3://bucket/weights --extractors region_vae arcface --features s3://bucket/features
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, ClassVar

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, Spec
from rupantara.features.textures import MEAN, PARENTS
from rupantara.metrics import faces_table
from rupantara.metrics.faces_table import mean_landmarks, measure
from rupantara.stages.extract import COLUMNS, ExtractFeatures
from rupantara.storage import manifest, plan, tables
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("extract", version=3)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Extract features."""

    OUTPUT: ClassVar[str] = "features"

    faces: cli.Uri
    """Table of faces (or morphs)."""
    features: cli.Uri
    """Output table."""
    checkpoint: cli.Uri = ""
    """Checkpoint of jobs.train_vae, for region_vae."""
    weights: cli.Uri = ""
    """Folder or s3:// prefix of pretrained networks, for arcface and arcface_features (mobilefacenet.npz), region_features (SqueezeNet,
    VGG16), vggface and e4e."""
    extractors: tuple[str, ...] = ()
    """region_vae, region_features, region_features_vgg16, identity (ships), arcface, arcface_features, vggface, e4e, vggface_random,
    texture, crop; each may be followed by :batch_size=N, :precision=bf16, :store=float16, :seed=N, :size=N (a picture's side). Empty =
    region_vae with --checkpoint, arcface with --weights, identity without either."""
    mean_of: cli.Uri = ""
    """Features table whose mean landmarks textures are warped to (for morphs: that of their faces); empty = the mean of the
    train split of --faces."""
    threads: int = 0
    """Torch threads of each worker (0 = as many as it has Ray CPUs)."""


def specs_of(config: Config) -> list[Spec]:
    """Read --extractors, or choose by what is given."""
    chosen = (
        config.extractors
        or [n for n, given in (("region_vae", config.checkpoint), ("arcface", config.weights)) if given]
        or ["identity"]
    )
    specs = [extractors.parse(text) for text in chosen]
    names = [spec.name.removesuffix("_random").removesuffix("_vgg16") for spec in specs]
    if len(set(names)) < len(names):
        raise UserError(f"each extractor may be named once, got {', '.join(chosen)}")
    for spec in specs:
        if spec.name == "region_vae" and not config.checkpoint:
            raise UserError("the extractor region_vae needs --checkpoint")
        if spec.name in ("arcface", "arcface_features", "vggface", "e4e") and not config.weights:
            raise UserError(f"the extractor {spec.name} needs --weights")
    return specs


def mean_of(config: Config, specs: Sequence[Spec]) -> tuple[float, ...]:
    """Return the mean landmarks that textures are warped to: a features table's, or the train split's own."""
    if "texture" not in [spec.name for spec in specs]:
        if config.mean_of:
            raise UserError("--mean-of is for the extractor texture, which is not among --extractors")
        return ()
    if config.mean_of:
        found = manifest.require(config.mean_of, "features").extra.get(MEAN)
        if not found:
            raise UserError(f"--mean-of must be a features table with textures, {config.mean_of} has none")
        return tuple(found)
    mean = mean_landmarks(tables.statistics_of(config.faces, measure, faces_table.COLUMNS))
    if not mean:
        raise UserError(f"{config.faces} must hold accepted train humans with 68 landmarks, got none")
    return mean


def build(config: Config) -> TableRun:
    """Plan one part for each file of the faces."""
    faces, specs = manifest.require(config.faces, "faces"), specs_of(config)
    mean = mean_of(config, specs)
    models = {spec.name: extractors.model_sha256(spec, source_of(config, mean)) for spec in specs}
    # Batch size and worker decide how fast, not what; precision and stored type decide what.
    chosen = [{k: v for k, v in asdict(spec).items() if k != "batch_size"} for spec in specs]
    extra: dict[str, Any] = {"model_sha256": models.get("region_vae", "")} | ({MEAN: list(mean)} if mean else {})
    # Of morphs: the faces that they were made from, whose splits they keep.
    extra |= {PARENTS: faces.recipe.inputs["faces"]} if "faces" in faces.recipe.inputs else {}
    return TableRun(
        output=config.features,
        schema="features",
        recipe=RECIPE.of({"extractors": chosen}, {"faces": faces.content}, models),
        plan=plan.of_files(config.faces, faces),
        make_stage=partial(stage, config, specs, mean),
        computes=True,
        columns=COLUMNS,
        extra=extra,
    )


def source_of(config: Config, mean: tuple[float, ...], device: str = "cpu") -> ExtractorNetworks:
    """Say where the extractors find their networks, and on what they compute."""
    return ExtractorNetworks(config.checkpoint, config.weights, device, mean)


def stage(config: Config, specs: Sequence[Spec], mean: tuple[float, ...], compute: Compute) -> ExtractFeatures:
    """Build the stage on what Ray gave the worker."""
    return ExtractFeatures(specs, source_of(config, mean, compute.device), config.threads or compute.threads)


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


if __name__ == "__main__":
    presets = {"default": Config(faces=cli.REQUIRED, features=cli.REQUIRED)}
    cli.run(main, presets, __doc__ or "")
