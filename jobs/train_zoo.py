"""Train the four VAEs of `003_…` at 64 x 64, each into its own checkpoint; killed and started again it goes on.

    ray job submit --working-dir . -- python -m jobs.train_zoo --faces s3://bucket/faces --weights s3://bucket/weights \
        --checkpoints s3://bucket/zoo
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Annotated, ClassVar, Literal

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.errors import UserError
from rupantara.generation import zoo_loading
from rupantara.models import zoo
from rupantara.reports.zoo_card import zoo_card
from rupantara.storage import uris, weights
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.face_rows import FaceStreams, face_streams
from rupantara.training.streams import Laid
from rupantara.training.zoo import OBJECTIVES, ZooObjective
from rupantara.training.zoo_linear_start import fit
from rupantara.training.zoo_start import OWN, ZooStart, check_init, check_linear, objective_of
from rupantara.training.zoo_task import STREAM

RECIPE = RecipeSpec("train_zoo", version=3)


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags):
    """Train VAEs of the zoo."""

    OUTPUT: ClassVar[str] = "checkpoints"

    faces: cli.Uri
    """Faces table (a complete output of jobs.curate); its humans are trained on."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks, for dfc's loss; SqueezeNet ships."""
    feature_network: Literal["squeezenet", "vgg16", "vgg16_features"] = "squeezenet"
    """Network of dfc's loss; a network of the loss cannot judge the model. vgg16_features is VGG16's convolutions in half precision."""
    init: cli.Uri = ""
    """Start from this checkpoint of the same model; plain's weights fit dfc too, and the other way round."""
    linear: bool = False
    """Start vanilla as a PCA of the train faces, in closed form: a short training then only has to sharpen it."""
    latent_dim: int = 0
    """Numbers of a code (0 = the model's own)."""
    alpha: Annotated[float, cli.Signed] = OWN
    """Weight of the squared error of pixels (-1 = the model's own)."""
    beta: Annotated[float, cli.Signed] = OWN
    """Weight of the KL divergence (-1 = the model's own)."""
    gamma: Annotated[float, cli.Signed] = OWN
    """Weight of the feature loss (-1 = the model's own: dfc alone has one)."""
    checkpoints: cli.Uri
    """Output folder: a checkpoint NAME/ for each model, with log.jsonl, tensorboard/ and grids/."""
    models: str = ",".join(zoo.NAMES)
    """Models to train, by comma, in this order: vanilla, beta, dfc, plain."""
    epochs: int = 40
    """Passes over the faces."""
    batch: int = 64
    """Faces in a step, each worker."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 256
    """Validate on at most this many faces."""
    learning_rate: float = ZooObjective.learning_rate
    """Peak of the cosine schedule (Adam), for all models alike; the paper's 1e-4 for beta takes ten times the epochs."""
    kl_warm_up_images: int = ZooObjective.kl_warm_up_images
    """Images over which the weight of the KL divergence rises from zero."""
    gradient_clip: float = ZooObjective.gradient_clip
    """Largest norm of the gradient."""
    ema_decay: float = ZooObjective.ema_decay
    """Decay of the moving average of the weights, which is what is validated and kept."""
    bfloat16: bool = False
    """Run the networks in bfloat16 autocast: for GPUs."""


def presets() -> dict[str, Config]:
    """Return presets: 40 epochs; two_cores takes some five minutes a model on two cores; smoke is for tests."""
    base = Config(faces=cli.REQUIRED, checkpoints=cli.REQUIRED, workers=1)
    return {
        "default": base,
        "two_cores": replace(base, preset="two_cores", epochs=8, batch=32, learning_rate=1.5e-3),
        "smoke": replace(base, preset="smoke", epochs=2, batch=8, kl_warm_up_images=100),
    }


def names_of(config: Config) -> tuple[str, ...]:
    """Resolve the models to train; UserError for an unknown name, or where a loss lacks its network."""
    names = tuple(dict.fromkeys(name.strip() for name in config.models.split(",")))
    unknown = [name for name in names if name not in zoo.NAMES]
    if unknown:
        raise UserError(f"--models must be of {', '.join(zoo.NAMES)}, got {', '.join(map(repr, unknown))}")
    featured = [name for name in names if config.gamma > 0 or (config.gamma == OWN and OBJECTIVES[name].gamma > 0)]
    if featured and not weights.available(config.weights, config.feature_network):
        raise UserError(
            f"--models {','.join(featured)} needs --weights, a folder with {config.feature_network}; fetch it with `python -m"
            f" rupantara.storage.weights pull {config.feature_network} --to weights`, or leave {featured[0]} out of --models"
        )
    if config.batch < 2 or config.epochs < 1:
        raise UserError(f"--batch must be at least 2 and --epochs 1, got {config.batch} and {config.epochs}")
    return names


def run_of(config: Config, name: str, streams: FaceStreams) -> TrainingRun:
    """Resolve one model."""
    settings = ("learning_rate", "kl_warm_up_images", "gradient_clip", "ema_decay", "bfloat16")
    given = {loss: getattr(config, loss) for loss in ("alpha", "beta", "gamma")}
    objective = objective_of(name, given, **{setting: getattr(config, setting) for setting in settings})
    network, model = config.feature_network, zoo.CONFIGS[name]
    model = replace(model, latent_dim=config.latent_dim or model.latent_dim)
    hashes: dict[str, str] = {network: weights.sha256(config.weights, network)} if objective.gamma > 0 else {}
    if config.linear:
        check_linear(model, config.init, objective.alpha, objective.beta, streams.train[STREAM].count)
    if config.init:
        check_init(model, config.init)
        hashes |= {"init": zoo_loading.model_sha256(config.init)}
    decided = recipe_settings(config, "models", "feature_network") | {"model": name, "objective": asdict(objective)}
    start = ZooStart(model, objective, config.weights, network, config.init)
    parameters = sum(p.numel() for p in zoo.build(model).parameters())

    def begun(laid: Mapping[str, Laid]) -> Network:
        linear = fit(laid[STREAM], model, objective.alpha, objective.beta) if config.linear else None
        return Network(replace(start, linear=linear), zoo_loading.config_dict(model), partial(zoo_card, model))

    return TrainingRun(
        output=uris.join(config.checkpoints, name),
        model_type=zoo_loading.MODEL_TYPE,
        recipe=RECIPE.of(decided, streams.inputs, hashes),
        train=streams.train,
        validation=streams.validation,
        batch={STREAM: config.batch},
        epochs=config.epochs,
        network=begun,
        describe=lambda: f"{name}: {parameters} parameters, objective {json.dumps(asdict(objective))}",
    )


def main(config: Config) -> None:
    """Run the job: everything is checked for every model before the first begins."""
    names, least = names_of(config), {STREAM: config.batch * config.num_workers}
    most: dict[str, int] = {"most": config.max_faces, "most_validation": config.max_validation_faces}
    streams = face_streams(config.faces, "", zoo.SIDE, least, **most, seed=config.seed)
    train(config, *(run_of(config, name, streams) for name in names))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
