"""Train a network that blends two parents' codes into a child's, from a features table of tokens; a killed one goes on.

    ray job submit --working-dir . -- python -m jobs.train_blender --features s3://bucket/features --faces s3://bucket/faces \
        --codec s3://bucket/region_vae --weights s3://bucket/weights --checkpoint s3://bucket/blender
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import ClassVar, Literal

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.errors import UserError
from rupantara.generation import child_loading, codecs
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.blenders.child_net import Kind
from rupantara.reports.blender_card import blender_card
from rupantara.storage import manifest, tables, weights
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.blender import BlenderObjective
from rupantara.training.blender_rows import blender_streams, sha256_of
from rupantara.training.blender_start import FEATURES, IDENTITY, BlenderStart, measure
from rupantara.training.blender_task import STREAM
from rupantara.training.pairs import Rule
from rupantara.training.streams import Laid
from rupantara.training.vector_rows import shape_of

RECIPE = RecipeSpec("train_blender", version=1)
PATHS = ("codec",)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags):
    """Train a blender."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: cli.Uri
    """Features table with the codec's codes (jobs.extract --extractors region_vae arcface, or e4e)."""
    faces: cli.Uri = ""
    """Faces table that the features are of: says who is who, where regions lie, and what --rule needs."""
    codec: cli.Uri
    """Checkpoint of jobs.train_vae that made the codes, or a folder with e4e_ffhq_encode.pt."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks: mobilefacenet for the identity loss, squeezenet for the curves."""
    checkpoint: cli.Uri
    """Output folder: the checkpoint, with log.jsonl, tensorboard/ and grids/ (the same children at each epoch)."""
    blender: Kind = "linear"
    """How two codes become one: average, product, linear or mlp."""
    refined: bool = True
    """Let a transformer encoder refine the blend."""
    keep_length: bool = False
    """Keep each token at its parents' mean length: sharper than a plain mean."""
    rule: Rule = "any"
    """Whom a pair may join: any, opposite_sex, like_age (10 years) or like_group, as far as the photographs' paths name it."""
    epochs: int = 5
    """Passes over the faces."""
    batch: int = 48
    """Faces in a step, each worker: half as many pairs (the paper's batch is 24)."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 256
    """Validate on at most this many faces."""
    identity_weight: float = BlenderObjective.identity_weight
    """Weight of the identity loss (0 = off)."""
    kl_weight: float = BlenderObjective.kl_weight
    """Weight of the divergence from the standard normal (0 = off)."""
    smooth_weight: float = BlenderObjective.smooth_weight
    """Weight of the departure from the way between the parents (0 = off)."""
    identity_through: Literal["decoder", "codes"] = "decoder"
    """Decode children for the identity loss, or read identity off their codes by a ridge regression (cheap)."""
    alpha: Literal["half", "drawn"] = "half"
    """Where between the parents a child should be: 0.5, or drawn for each pair and told to the network as dominance."""
    parents: Literal["decoded", "photograph"] = "decoded"
    """Whose identity a child is compared with: the parents' as decoded (the paper), or their photographs'."""
    identity_share: float = 1.0
    """Share of each batch that is decoded for the identity loss."""
    learning_rate: float = BlenderObjective.learning_rate
    """Peak of the cosine schedule (AdamW)."""
    weight_decay: float = BlenderObjective.weight_decay
    """Weight decay."""
    gradient_clip: float = BlenderObjective.gradient_clip
    """Largest norm of the gradient."""
    ema_decay: float = BlenderObjective.ema_decay
    """Memory of the running average of the weights, which is what is validated and kept."""
    bfloat16: bool = True
    """Run the networks in bfloat16 autocast."""


def presets() -> dict[str, Config]:
    """Return the paper's training; `best` keeps lengths, draws alpha and compares with photographs; `two_cores` learns without decoding."""
    base = Config(features=cli.REQUIRED, codec=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    best = replace(base, preset="best", keep_length=True, alpha="drawn", parents="photograph", learning_rate=1e-3)
    quick = replace(
        best, preset="two_cores", identity_through="codes", batch=96, max_validation_faces=64, bfloat16=False
    )
    return {
        "default": base,
        "paper": replace(base, preset="paper"),
        "best": best,
        "two_cores": quick,
        "smoke": replace(quick, preset="smoke", epochs=2, batch=8, max_validation_faces=8),
    }


def objective_of(config: Config) -> BlenderObjective:
    """Return the objective; UserError for weights that cannot be."""
    negative = [n for n in ("identity_weight", "kl_weight", "smooth_weight", "weight_decay") if getattr(config, n) < 0]
    if negative:
        raise UserError(f"--{negative[0].replace('_', '-')} must not be negative, got {getattr(config, negative[0]):g}")
    if not 0 < config.identity_share <= 1:
        raise UserError(f"--identity-share must be above 0 and at most 1, got {config.identity_share:g}")
    if config.batch < 4 or config.epochs < 1:
        raise UserError(f"--batch must be at least 4 and --epochs 1, got {config.batch} and {config.epochs}")
    return BlenderObjective(**{f.name: getattr(config, f.name) for f in fields(BlenderObjective)})


def network_config(config: Config, columns: tuple[str, ...]) -> ChildNetConfig:
    """Return the network's sizes, as the features' columns have them."""
    laid = tables.read_schema(config.features, manifest.require(config.features, "features").data[0].path)
    shape = shape_of(laid, columns[-1])
    more = shape_of(laid, columns[0])[-1] // shape[1] if len(columns) > 1 else 0
    return ChildNetConfig(config.blender, shape[0] + more, shape[1], config.refined, config.keep_length)


def run_of(config: Config) -> TrainingRun:
    """Check that codes, codec and networks fit, and resolve the training."""
    objective, name = objective_of(config), codecs.name_of(config.codec)
    decoded = objective.identity_weight > 0 and objective.identity_through == "decoder"
    if decoded and not weights.has(config.weights, IDENTITY):
        raise UserError(f"the identity loss needs --weights with {IDENTITY}, or --identity-weight 0")
    reading = objective.identity_weight > 0 and objective.identity_through == "codes"
    columns, sha256 = codecs.COLUMNS[name], codecs.sha256(config.codec)
    if (made_by := sha256_of(config.features, columns[0])) != sha256:
        raise UserError(f"{config.features} must hold codes of {config.codec}, {sha256[:12]}, got {made_by[:12]}")
    streams = blender_streams(
        config.features,
        config.faces,
        columns,
        config.batch * config.num_workers,
        vectors=reading or objective.parents == "photograph",
        most=config.max_faces,
        most_validation=config.max_validation_faces,
        seed=config.seed,
    )
    model = network_config(config, columns)
    networks = [n for n in (IDENTITY, FEATURES) if weights.has(config.weights, n)]
    inputs = {"features": manifest.require(config.features, "features").content}
    inputs |= {"faces": manifest.require(config.faces, "faces").content} if config.faces else {}
    count = sum(p.numel() for p in ChildNet(model).parameters())

    def network(laid: Mapping[str, Laid]) -> Network:
        known, reader = measure(laid[STREAM], model, reading=reading)
        start = BlenderStart(model, objective, config.codec, config.weights, config.rule, known, reader)
        return Network(start, child_loading.config_dict(model, name, sha256), partial(blender_card, model, name))

    return TrainingRun(
        output=config.checkpoint,
        model_type=child_loading.MODEL_TYPE,
        recipe=RECIPE.of(
            recipe_settings(config, *PATHS) | {"objective": asdict(objective)},
            inputs,
            {name: sha256, **{n: weights.sha256(config.weights, n) for n in networks}},
        ),
        train={STREAM: streams[0]},
        validation={STREAM: streams[1]},
        batch={STREAM: config.batch},
        epochs=config.epochs,
        network=network,
        describe=lambda: f"{config.blender}: {count} parameters, objective {json.dumps(asdict(objective))}",
    )


def main(config: Config) -> None:
    """Run the job."""
    train(config, run_of(config))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
