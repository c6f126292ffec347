"""Train the region VAE on a faces table with Ray Train; killed and started again it goes on from its last epoch.

ray job submit --working-dir . -- python -m jobs.train_vae --preset 128 --faces s3://bucket/faces --checkpoint s3://bucket/vae
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from jobs.runtime import cli
from jobs.runtime.training import Network, TrainingFlags, TrainingRun, recipe_settings, train
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.models.region_vae import RegionVAEConfig
from rupantara.reports.cards import model_card
from rupantara.storage import weights
from rupantara.storage.recipe import RecipeSpec
from rupantara.training import networks
from rupantara.training.face_rows import face_streams
from rupantara.training.region_vae import RegionVAEObjective
from rupantara.training.region_vae_start import RegionVAEStart, checked, content_of, decoder_of, init_sha256
from rupantara.training.region_vae_task import DOMAINS
from rupantara.training.streams import Laid
from rupantara.training.warm_start import fit_pcas

RECIPE = RecipeSpec("train_vae", version=5)
SIZES = ("size", "channels", "decoder_channels", "stem", "separate_domains", "region_context")


@dataclass(frozen=True, kw_only=True)
class Config(TrainingFlags, RegionVAEObjective):
    """Train the region VAE."""

    OUTPUT: ClassVar[str] = "checkpoint"

    faces: cli.Uri
    """Faces table (a complete output of jobs.curate)."""
    morphs: cli.Uri = ""
    """Morphs table (an output of jobs.augment on the same faces) whose faces are trained on too."""
    init: cli.Uri = ""
    """Checkpoint to start from: of the same sizes (fine-tuning), or of half the size and stem (growing); empty = PCAs."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks, for the perceptual and identity losses."""
    checkpoint: cli.Uri
    """Output folder: config.json, model.safetensors, README.md, log.jsonl, tensorboard/, grids/."""
    size: int = 128
    """Side of the pictures in pixels."""
    channels: tuple[int, ...] = RegionVAEConfig.channels
    """Channels of the encoder's stages, finest first."""
    decoder_channels: tuple[int, ...] = RegionVAEConfig.decoder_channels
    """Channels of the decoder's stages, finest first."""
    stem: int = 2
    """How much the first stage shrinks the picture (2 or 4)."""
    separate_domains: bool = False
    """Give humans and animals a network each, as the paper does; codes of the two then share no space."""
    region_context: bool = RegionVAEConfig.region_context
    """Show the decoder's coarsest maps the region codes too: a hybrid's fur reaches its cheeks."""
    epochs: int = 10
    """Passes over the human faces; as many animals as the batch sizes say are shown beside them, species balanced."""
    human_batch: int = 10
    """Human faces in a step, each worker."""
    animal_batch: int = 6
    """Animal faces in a step, each worker."""
    max_faces: int = 0
    """Train on at most this many faces of each domain, chosen by hash (0 = all)."""
    max_validation_faces: int = 192
    """Validate on at most this many faces of each domain."""
    perceptual_weight: Annotated[float, cli.Signed] = networks.AUTO
    """Weight of the perceptual loss (-1 = 0.02 where --weights has its network, else off)."""
    perceptual_network: Literal["squeezenet", "vgg16", "vgg16_features", "alexnet", "alexnet_features"] = "squeezenet"
    """Network of the perceptual loss; it cannot judge the model."""
    identity_weight: Annotated[float, cli.Signed] = networks.AUTO
    """Weight of the ArcFace identity loss (-1 = 0.02 with --weights, else off)."""
    symmetry_weight: float = 0.1
    """Weight of the symmetry loss, for faces whose yaw is known to be frontal."""
    channels_last: bool | None = None
    """Lay convolutions out channels last; unset: one worker does in bfloat16 on a CPU with AMX, where the step is a tenth faster."""
    compiled: bool = False
    """Compile the blocks with torch.compile: for GPUs."""


def presets() -> dict[str, Config]:
    """Return presets of 64, 128 and 256 pixels; smoke is for tests."""
    base = Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    tiny: dict[str, Any] = dict.fromkeys(("channels", "decoder_channels"), (16, 32, 32, 32, 32))
    smoke: dict[str, Any] = {"epochs": 2, "human_batch": 8, "animal_batch": 8, "learning_rate": 1e-3, **tiny}
    return {
        "default": base,
        "256": replace(base, preset="256", size=256, stem=4),
        "128": replace(base, preset="128"),
        "64": replace(base, preset="64", size=64, human_batch=20, animal_batch=12),
        "smoke": replace(base, preset="smoke", size=64, **smoke),
    }


def objective_of(config: Config) -> RegionVAEObjective:
    """Resolve the losses' weights."""
    given = RegionVAEObjective(**{field.name: getattr(config, field.name) for field in fields(RegionVAEObjective)})
    return networks.resolve(given, config.weights, config.perceptual_network)


def model_of(config: Config, species: tuple[str, ...]) -> RegionVAEConfig:
    """Resolve the network's sizes."""
    sizes: dict[str, Any] = {name: getattr(config, name) for name in SIZES}
    if config.decoder_only:
        return decoder_of(config.init, species, sizes, Config)
    return checked(RegionVAEConfig(**sizes, region_side=min(48, config.size * 3 // 8), species=species), config.init)


def run_of(config: Config) -> TrainingRun:
    """Resolve the data, the network and the losses."""
    batch = {"human": config.human_batch, "animal": config.animal_batch}
    if min(batch.values()) < 1 or config.epochs < 1:
        raise UserError(f"--human-batch, --animal-batch and --epochs must be at least 1, got {batch}, {config.epochs}")
    least = {domain: size * config.num_workers for domain, size in batch.items()}
    most: dict[str, int] = {"most": config.max_faces, "most_validation": config.max_validation_faces}
    streams = face_streams(config.faces, config.morphs, config.size, least, **most, seed=config.seed)
    model, objective = model_of(config, streams.species), objective_of(config)
    names = networks.wanted(objective, config.perceptual_network)
    last = config.channels_last if config.num_workers == 1 else bool(config.channels_last)  # All workers alike.
    start = RegionVAEStart(model, objective, config.weights, names, None, last, config.compiled, config.init)
    models = init_sha256(config.init) | {name: weights.sha256(config.weights, name) for name in names}
    settings = recipe_settings(config, "compiled", "channels_last")
    steps = streams.train["human"].count // config.num_workers // config.human_batch

    def network(laid: Mapping[str, Laid]) -> Network:
        warm, kept = replace(start, pca=fit_pcas((laid[name] for name in DOMAINS), model)), config.decoder_only
        return Network(warm, content_of(model, config.init if kept else ""), partial(model_card, model))

    return TrainingRun(
        output=config.checkpoint,
        model_type=loading.MODEL_TYPE,
        recipe=RECIPE.of(settings | asdict(objective), streams.inputs, models),
        train=streams.train,
        validation=streams.validation,
        batch=batch,
        epochs=config.epochs,
        network=network,
        describe=lambda: start.describe(batch, steps, config.epochs),
    )


def main(config: Config) -> None:
    """Run the job."""
    train(config, run_of(config))


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
