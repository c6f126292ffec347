"""Train the region VAE on a faces table with Ray Train; killed and started again it goes on from its last epoch.

    ray job submit --working-dir . -- python -m jobs.train_vae --preset 128 --faces s3://bucket/faces \
        --checkpoint s3://bucket/region_vae
"""

import json
import logging
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch.utils.flop_counter import FlopCounterMode

from jobs.runtime import cli, train_logs
from jobs.runtime.train_data import Chosen, choose, datasets, warm_start
from jobs.runtime.train_fit import check, fit
from jobs.runtime.train_flags import Training
from jobs.runtime.train_progress import following
from jobs.runtime.train_publish import publish
from jobs.runtime.train_worker import Plan
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.models import growing
from rupantara.models.region_vae import RegionVAEConfig, check_sizes
from rupantara.reports.cards import model_card
from rupantara.storage import manifest, weights
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training import networks
from rupantara.training.region_vae import Objective
from rupantara.training.region_vae_task import DOMAINS, RegionVAETask, blank_rows
from rupantara.training.warm_start import Pca

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("train_vae", version=1)
AUTO = -1.0


@dataclass(frozen=True, kw_only=True)
class Config(Training):
    """Train the region VAE."""

    OUTPUT: ClassVar[str] = "checkpoint"

    faces: str
    """Faces table (a complete output of jobs.curate)."""
    morphs: str = ""
    """Morphs table (an output of jobs.augment on the same faces) whose faces are trained on too."""
    init: str = ""
    """Checkpoint whose weights to start from: of the same sizes (fine-tuning), or of half the size and stem (growing); empty = PCAs
    of the faces."""
    weights: str = ""
    """Folder or bucket of pretrained networks, for the perceptual and identity losses."""
    checkpoint: str
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
    learning_rate: float = Objective.learning_rate
    """Peak of the cosine schedule (AdamW)."""
    kl_weight: float = Objective.kl_weight
    """Weight of the KL divergence: twice the variance of the pixels' noise model."""
    kl_warm_up_images: int = Objective.kl_warm_up_images
    """Images over which the KL weight rises from zero."""
    free_bits: float = Objective.free_bits
    """Nats that each dimension of the codes may hold free of the KL divergence."""
    structural_weight: float = Objective.structural_weight
    """Weight of the structural loss, 1 - SSIM."""
    perceptual_weight: float = AUTO
    """Weight of the perceptual loss (-1 = 0.02 where --weights has its network, else off)."""
    perceptual_network: Literal["squeezenet", "vgg16"] = "squeezenet"
    """Network of the perceptual loss."""
    identity_weight: float = AUTO
    """Weight of the ArcFace identity loss (-1 = 0.02 with --weights, else off)."""
    symmetry_weight: float = 0.1
    """Weight of the symmetry loss, for faces whose yaw is known to be frontal."""
    adversarial_weight: float = 0.0
    """Weight of the patch-adversarial loss (VAE-GAN)."""
    adversarial_start: float = Objective.adversarial_start
    """Share of the training after which the adversary enters."""
    swap_share: float = Objective.swap_share
    """Share of the human faces that are trained as hybrids, with transplanted regions."""
    gradient_clip: float = Objective.gradient_clip
    """Largest norm of the gradient."""
    ema_decay: float = Objective.ema_decay
    """Memory of the running average of the weights, which is what is validated and kept."""
    bfloat16: bool = True
    """Run the network in bfloat16 autocast."""
    channels_last: bool | None = None
    """Lay convolutions out channels last; unset: one worker does in bfloat16 on a CPU with AMX, where the step is a tenth faster."""
    compiled: bool = False
    """Compile the blocks with torch.compile: for GPUs."""


DEFAULT_WEIGHT = {"perceptual_weight": 0.02, "identity_weight": 0.02}


def presets() -> dict[str, Config]:
    """Return presets of 64, 128 and 256 pixels; smoke is for tests."""
    base = Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    small: dict[str, Any] = {"size": 64, "human_batch": 20, "animal_batch": 12}
    smoke: dict[str, Any] = {
        "epochs": 2,
        "channels": (16, 32, 32, 32, 32),
        "decoder_channels": (16, 32, 32, 32, 32),
        "human_batch": 8,
        "animal_batch": 8,
        "learning_rate": 1e-3,
    }
    return {
        "default": base,
        "256": replace(base, preset="256", size=256, stem=4),
        "128": replace(base, preset="128"),
        "64": replace(base, preset="64", **small),
        "smoke": replace(base, preset="smoke", size=64, **smoke),
    }


def batch_sizes(config: Config) -> dict[str, int]:
    """Return the faces of each domain in a step."""
    sizes = {"human": config.human_batch, "animal": config.animal_batch}
    if min(sizes.values()) < 1 or config.epochs < 1:
        raise UserError(f"--human-batch, --animal-batch and --epochs must be at least 1, got {sizes}, {config.epochs}")
    return sizes


def objective_of(config: Config) -> Objective:
    """Resolve the losses' weights, saying which are off for want of their networks."""
    files = {"perceptual_weight": config.perceptual_network, "identity_weight": "mobilefacenet"}
    names = ("learning_rate", "kl_weight", "kl_warm_up_images", "free_bits", "structural_weight", "symmetry_weight")
    names += ("adversarial_weight", "adversarial_start", "swap_share", "gradient_clip", "ema_decay", "bfloat16")
    values = {name: getattr(config, name) for name in names}
    for name, default in DEFAULT_WEIGHT.items():
        weight = getattr(config, name)
        if weight != AUTO and weight < 0:
            raise UserError(f"--{name.replace('_', '-')} must not be negative, got {weight:g}")
        there = weights.has(config.weights, files[name])
        if weight == AUTO and not there:
            log.info("%s loss is off: it needs %s in --weights", name.removesuffix("_weight"), files[name])
        values[name] = (default if there else 0.0) if weight == AUTO else weight
    objective = Objective(**values)
    if networks.wanted(objective, config.perceptual_network) and not config.weights:
        raise UserError(
            "--perceptual-weight and --identity-weight above 0 need --weights, the folder of their networks"
        )
    return objective


def model_of(config: Config, species: tuple[str, ...]) -> RegionVAEConfig:
    """Resolve the network's sizes."""
    model = RegionVAEConfig(
        size=config.size,
        channels=config.channels,
        decoder_channels=config.decoder_channels,
        stem=config.stem,
        region_side=min(48, config.size * 3 // 8),
        species=species,
        separate_domains=config.separate_domains,
    )
    try:
        check_sizes(model)
    except ValueError as error:
        raise UserError(str(error)) from None
    return model


def tables_of(config: Config) -> list[str]:
    """Return the faces table and the morphs table, which has to be made from it."""
    found = manifest.require(config.faces, "faces")
    if not config.morphs:
        return [config.faces]
    made_from = manifest.require(config.morphs, "faces").recipe.inputs.get("faces", "")
    if made_from != found.content:
        raise UserError(
            f"--morphs must be made from --faces ({found.content[:12]}…), or held-out faces would be trained on;"
            f" {config.morphs} was made from {made_from[:12] or 'another table'}…"
        )
    return [config.faces, config.morphs]


def build(config: Config) -> tuple[Recipe, RegionVAEConfig, Objective, Chosen]:
    """Resolve the model, the objective and the data."""
    check(config)
    tables = tables_of(config)
    train_logs.check(config.mlflow)
    most = {"train": config.max_faces, "val": config.max_validation_faces}
    every = {domain: size * max(1, config.workers) for domain, size in batch_sizes(config).items()}
    chosen = choose(tables, every, most, config.seed)
    model, objective = model_of(config, chosen.species), objective_of(config)
    names = networks.wanted(objective, config.perceptual_network)
    runtime = (
        "faces",
        "morphs",
        "init",
        "weights",
        "checkpoint",
        "threads",
        "num_to_keep",
        "max_failures",
        "min_workers",
    )
    settings = cli.row_config(config, *runtime, "mlflow", "compiled", "channels_last", *DEFAULT_WEIGHT)
    settings |= {"num_workers": max(1, config.workers)} | {name: getattr(objective, name) for name in DEFAULT_WEIGHT}
    inputs = {
        table: manifest.require(uri, "faces").content for table, uri in zip(("faces", "morphs"), tables, strict=False)
    }
    models = {name: weights.sha256(config.weights, name) for name in names}
    if config.init:
        models["init"] = loading.model_sha256(config.init)
        if not growing.fits(loading.read_config(config.init), model):
            raise UserError(
                f"--init must be a checkpoint of the same sizes and species, or of half the size and stem, {config.init} is not"
            )
    return RECIPE.of(settings, inputs, models), model, objective, chosen


@dataclass(frozen=True)
class Make:
    """Builds the task on a worker."""

    model: RegionVAEConfig
    objective: Objective
    weights: str
    networks: tuple[str, ...]
    pca: tuple[Pca, list[Pca]] | None
    channels_last: bool | None
    compiled: bool
    init: str = ""

    def __call__(self, device: torch.device) -> RegionVAETask:
        """Load the networks of the losses and build the model."""
        found = networks.load(self.weights, self.networks, device)
        options = {"channels_last": self.channels_last, "compiled": self.compiled}
        task = RegionVAETask(self.model, self.objective, found, self.pca, device, **options)
        if self.init:
            weights = growing.grow(loading.load(self.init).model, self.model)
            for net in (task.state.model, task.state.average):
                net.load_state_dict(weights)
        return task


def estimate(config: Config, make: Make, steps: int) -> str:
    """Count the parameters and the operations of a step, and time a few steps on this machine's first device."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task, sizes = make(device), batch_sizes(config)
    rows = {name: blank_rows(size, config.size, name) for name, size in sizes.items()}
    modules = task.modules()
    with FlopCounterMode(display=False) as counter:
        task.step(modules, rows, 1)
    started = time.perf_counter()
    for _ in range(TIMED_STEPS):
        float(task.step(modules, rows, 1)["loss"])
    seconds = (time.perf_counter() - started) / TIMED_STEPS
    parameters = sum(p.numel() for p in task.state.model.parameters())
    return (
        f"{parameters} parameters\n{counter.get_total_flops() / 1e9:.1f} GFLOP a step of {sum(sizes.values())} images,"
        f" forward and backward\n{steps} steps an epoch, {config.epochs} epochs\n"
        f"{seconds:.2f} s a step on this machine ({device.type}): about {seconds * steps * config.epochs / 60:.0f} min"
        " with one worker here"
    )


TIMED_STEPS = 3


def main(config: Config) -> None:
    """Run the job."""
    recipe, model, objective, chosen = build(config)
    workers, batch = max(1, config.workers), batch_sizes(config)
    names = networks.wanted(objective, config.perceptual_network)
    # Left to several workers, those of unlike machines would choose differently, and gradients would not match.
    last = config.channels_last if workers == 1 else bool(config.channels_last)
    make = Make(model, objective, config.weights, names, None, last, config.compiled, config.init)
    if config.dry_run:
        print(json.dumps({"config": asdict(config), "model": asdict(model), "objective": asdict(objective)}, indent=1))
        print(f"fingerprint {recipe.fingerprint}")
        print(estimate(config, make, len(chosen.train["human"]) // workers // config.human_batch))
        return
    running = manifest.begin(
        config.checkpoint, loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
    )
    if running is None:
        log.info("nothing to do: %s is complete with the same recipe (%s)", config.checkpoint, recipe.fingerprint[:12])
        return
    cli.connect()
    streams = datasets(tables_of(config), model.size, chosen, config.seed)
    rows = {name: streams[name].count() // workers for name in DOMAINS}
    log.info("%d human and %d animal rows an epoch", *(streams[name].count() for name in DOMAINS))
    plan = Plan(
        make=replace(make, pca=warm_start(streams, model, DOMAINS)),
        batch=batch,
        rows=rows,
        validation=DOMAINS,
        epochs=config.epochs,
        steps_per_epoch=rows["human"] // config.human_batch,
        seed=config.seed,
        threads=config.threads,
        output=config.checkpoint,
        workers=max(1, config.workers),
        mlflow=config.mlflow,
    )
    with following(config.checkpoint):
        result = fit(config, plan, streams, recipe.fingerprint)
    card = partial(model_card, model, running.recipe)
    publish(config.checkpoint, loading.config_dict(model), card, result, running)
    log.info("%s: trained on %d images", config.checkpoint, plan.total_images * workers)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
