"""Train the decoders of `001_…` on a features table, each part into its own checkpoint; killed and started again it goes on.

    ray job submit --working-dir . -- python -m jobs.train_decoder --features s3://bucket/features --morphs s3://bucket/morph_features \
        --checkpoint s3://bucket/decoder
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import torch

from jobs import cli, train_logs
from jobs.decoder_data import Sets, choose, datasets, warm_start
from jobs.mean_face import MEAN, PARENTS
from jobs.train_fit import Room, check, fit
from jobs.train_progress import following
from jobs.train_publish import publish
from jobs.train_worker import CHUNK_ROWS, Plan
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import decoder_loading
from rupantara.models import face_decoder
from rupantara.models.face_decoder import PARTS, FaceDecoderConfig
from rupantara.models.texture_decoder import PRESETS, TextureDecoderConfig
from rupantara.reports.decoder_card import decoder_card
from rupantara.stages import networks
from rupantara.stages.decoder_rows import IDENTITY, DecoderRows, VectorField, vector_field
from rupantara.stages.train_decoder import STREAM, DecoderTask, WarmStart
from rupantara.storage import manifest, uris, weights
from rupantara.storage.recipe import Recipe, code_version
from rupantara.training.decoders import DecoderObjective, Judging

log = logging.getLogger("jobs")
CODE = (
    *("models/face_decoder.py", "models/landmark_decoder.py", "models/texture_decoder.py", "models/spline_warp.py"),
    *(
        "models/radial_field.py",
        "models/squeezenet.py",
        "models/vgg16.py",
        "models/mobilefacenet.py",
        "losses/perceptual.py",
    ),
    *("landmarks/crop.py", "landmarks/texture.py", "training/decoders.py", "training/ridge.py", "training/state.py"),
    *(
        "training/ema.py",
        "training/schedule.py",
        "stages/train_decoder.py",
        "stages/decoder_rows.py",
        "stages/faces.py",
    ),
    *("stages/networks.py", "training/balance.py", "landmarks/morph.py", "landmarks/spline.py", "imaging/codec.py"),
    *("jobs/decoder_data.py", "jobs/train_worker.py"),
)
LOSSES = ("perceptual_weight", "identity_weight", "landmark_weight")
FACES = "faces"
"""Entry of a decoder's manifest: the faces table whose splits it kept to."""

PICTURE = {"landmarks": "", "texture": "texture", "single": "crop", "joint": "crop"}
"""Column of the features table that each part's pictures are compared with."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Train decoders of faces from vectors."""

    features: str
    """Features table with vectors and textures (jobs.extract --extractors arcface texture)."""
    morphs: str = ""
    """Features table of morphs (extracted with --mean-of FEATURES), trained on too."""
    checkpoint: str
    """Output folder: a checkpoint PART/ for each part, with log.jsonl, tensorboard/ and grids/."""
    vector: str = "arcface"
    """Column of the vectors that faces are decoded from: arcface, vggface, or any other vectors of the table."""
    parts: str = "landmarks,texture"
    """Parts by comma, in this order: landmarks and texture (the paper's), single and joint (its ablations, which need the column
    crop)."""
    weights: str = ""
    """Folder or bucket of pretrained networks, for the perceptual and identity losses."""
    size: int = 224
    """Side of the textures: 224 (the paper's decoder), 112 or 56."""
    linear: bool = False
    """Start pictures from a ridge regression by a linear path that the paper does not have (112 and 56 have it in their presets)."""
    epochs: int = 40
    """Passes over the faces of pictures' parts."""
    landmark_epochs: int = 200
    """Passes over the faces of the landmark decoder."""
    batch: int = 32
    """Faces in a step, each worker."""
    landmark_batch: int = 128
    """Faces in a step of the landmark decoder, each worker."""
    max_faces: int = 0
    """Train on at most this many faces, chosen by hash (0 = all)."""
    max_validation_faces: int = 512
    """Validate on at most this many faces."""
    dropout: float = 0.0
    """Share of the landmark decoder's hidden units that a step leaves out: of few faces it learns the faces, not the shape."""
    learning_rate: float = DecoderObjective.learning_rate
    """Adam's first rate."""
    beta1: float = DecoderObjective.beta1
    """Adam's memory of the gradient."""
    decay: float = DecoderObjective.decay
    """The rate is divided by 1 + decay times the step."""
    annealed: bool = DecoderObjective.annealed
    """Let the rate also fall by half a cosine over the training."""
    perceptual_weight: float = 0.0
    """Weight of the perceptual loss of pictures (the paper has none); needs squeezenet in --weights."""
    identity_weight: float = 0.0
    """Weight of the identity loss of pictures (the paper has none); needs mobilefacenet in --weights and the column arcface."""
    landmark_weight: float = DecoderObjective.landmark_weight
    """Weight of the landmarks' squared error (px²) in the joint loss."""
    gradient_clip: float = DecoderObjective.gradient_clip
    """Largest norm of the gradient."""
    ema_decay: float = DecoderObjective.ema_decay
    """Memory of the running average of the weights, which is what is validated and kept."""
    bfloat16: bool = True
    """Run the pictures' networks in bfloat16 autocast; landmarks are decoded in float32."""
    threads: int = 0
    """Torch threads of each worker (0 = all of the machine)."""
    min_workers: int = 0
    """Let the training go on with as few as this many workers when machines leave (0 = never fewer)."""
    max_failures: int = 2
    """Failures of workers that are restarted from the last checkpoint."""
    num_to_keep: int = 2
    """Training states kept."""
    mlflow: str = ""
    """Address of an MLflow tracking server (needs the extra `mlflow`)."""


def presets() -> dict[str, Config]:
    """Return the paper's decoder; 112 for two cores, with a linear path and the losses on top; smoke for tests."""
    base = Config(features=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    small: dict[str, Any] = {"linear": True, "annealed": True}
    two_cores = {
        "size": 112,
        "epochs": 3,
        "landmark_epochs": 20,
        "dropout": 0.7,
        "learning_rate": 5e-4,
        "identity_weight": 0.2,
    }
    two_cores |= {"perceptual_weight": 0.2, **small}
    smoke = {"size": 56, "epochs": 2, "landmark_epochs": 4, "batch": 8, "landmark_batch": 8, **small}
    return {
        "default": base,
        "112": replace(base, preset="112", **two_cores),
        "smoke": replace(base, preset="smoke", **smoke),
    }


def names_of(config: Config) -> tuple[str, ...]:
    """Resolve the parts to train, and check the numbers; UserError for what cannot be."""
    names = tuple(dict.fromkeys(name.strip() for name in config.parts.split(",")))
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        raise UserError(f"--parts must be of {', '.join(PARTS)}, got {', '.join(map(repr, unknown))}")
    if str(config.size) not in PRESETS:
        raise UserError(f"--size must be one of {', '.join(PRESETS)}, got {config.size}")
    counts = {name: getattr(config, name) for name in ("batch", "landmark_batch", "epochs", "landmark_epochs")}
    if min(config.batch, config.landmark_batch) < 2 or min(counts.values()) < 1:
        raise UserError(f"--batch and --landmark-batch must be at least 2 and epochs 1, got {counts}")
    if max(config.batch, config.landmark_batch) > CHUNK_ROWS:
        raise UserError(
            f"--batch and --landmark-batch must be at most {CHUNK_ROWS}, the rows shuffled at a time, got {counts}"
        )
    negative = {n: getattr(config, n) for n in LOSSES if getattr(config, n) < 0}
    if negative:
        raise UserError(f"weights of losses must not be negative, got {negative}")
    if not 0 <= config.dropout < 1:
        raise UserError(f"--dropout must be at least 0 and below 1, got {config.dropout}")
    if not 0 <= config.beta1 < 1 or config.decay < 0:
        raise UserError(
            f"--beta1 must be at least 0 and below 1, --decay not negative, got {config.beta1}, {config.decay}"
        )
    return names


def objective_of(config: Config, part: str) -> DecoderObjective:
    """Resolve a part's losses and the optimiser's settings."""
    fields = ("learning_rate", "beta1", "decay", "annealed", "gradient_clip", "ema_decay", "landmark_weight")
    fields += ("perceptual_weight", "identity_weight", "bfloat16")
    found = DecoderObjective(**{name: getattr(config, name) for name in fields})
    if part == "landmarks":
        return replace(found, perceptual_weight=0.0, identity_weight=0.0, landmark_weight=0.0, bfloat16=False)
    return found if part == "joint" else replace(found, landmark_weight=0.0)


def texture_of(config: Config, dim: int) -> TextureDecoderConfig:
    """Resolve the sizes of the pictures' network."""
    chosen = replace(PRESETS[str(config.size)], input_dim=dim)
    if not config.linear:
        return replace(chosen, linear_rank=0, linear_side=0)
    rank = min(chosen.linear_rank or 128, dim)
    return replace(chosen, linear_rank=rank, linear_side=chosen.linear_side or min(112, chosen.side))


@dataclass(frozen=True)
class Job:
    """What is trained on: tables, the faces that they are of, the vectors' column, the mean face."""

    tables: tuple[str, ...]
    faces: str
    vector: VectorField
    mean: tuple[float, ...]


def open_tables(config: Config, names: tuple[str, ...]) -> Job:
    """Check that the tables hold what the parts need, and share a mean face and a split; UserError naming what is missing."""
    found = manifest.require(config.features, "features")
    vector, mean = vector_field(config.features, found.data[0].path, config.vector), found.extra.get(MEAN)
    objectives = [objective_of(config, name) for name in names]
    if max(o.perceptual_weight + o.identity_weight for o in objectives) > 0 and not config.weights:
        raise UserError(
            "--perceptual-weight and --identity-weight above 0 need --weights, the folder of their networks"
        )
    wanted = {PICTURE[name] for name in names if PICTURE[name]} | ({"texture"} if "joint" in names else set())
    wanted |= {IDENTITY} if any(o.identity_weight > 0 for o in objectives) else set()
    lacking = sorted((wanted - set(vector.columns)) | (set() if mean else {"texture"}))
    if lacking or not mean:
        raise UserError(
            f"{config.features} has no column {' '.join(lacking)}: run jobs.extract with --extractors … {' '.join(lacking)}"
        )
    faces = found.recipe.inputs["faces"]
    opened = {config.features: found} | (
        {config.morphs: manifest.require(config.morphs, "features")} if config.morphs else {}
    )
    for uri, table in opened.items():
        small = {
            s["name"]: s["size"]
            for s in table.recipe.config["extractors"]
            if s["name"] in wanted and s["size"] < config.size
        }
        if small:
            raise UserError(f"--size must be at most that of the pictures in {uri}, got {config.size} and {small}")
    if config.morphs:
        _check_morphs(config, opened[config.morphs], vector, wanted, mean, faces)
    return Job(tuple(opened), faces, vector, tuple(mean))


def _check_morphs(
    config: Config, morphs: manifest.Manifest, vector: VectorField, wanted: set[str], mean: list[float], faces: str
) -> None:
    theirs = vector_field(config.morphs, morphs.data[0].path, config.vector)
    if morphs.extra.get(PARENTS) != faces:
        raise UserError(
            f"--morphs must be of morphs of the faces of --features, or held-out faces would be trained on; {config.morphs} is not"
        )
    if morphs.extra.get(MEAN) != mean:
        raise UserError(
            f"--morphs must be extracted with --mean-of {config.features}, {config.morphs} has another mean face"
        )
    if theirs.model_sha256 != vector.model_sha256 or not wanted <= set(theirs.columns):
        raise UserError(
            f"{config.morphs} must hold {config.vector} by the same network, {' and '.join(sorted(wanted))}"
        )


def rows_of(config: Config, part: str) -> DecoderRows:
    """Say which columns a part reads."""
    identity = part != "landmarks" and config.identity_weight > 0
    return DecoderRows(config.vector, "train", PICTURE[part], config.size, identity)


def recipe_of(config: Config, part: str, job: Job) -> Recipe:
    """Return what decides one checkpoint: of the settings, those that its part uses."""
    objective, (batch, epochs) = objective_of(config, part), lengths(config, part)
    settings: dict[str, Any] = {
        "part": part,
        "vector": config.vector,
        "seed": config.seed,
        "batch": batch,
        "epochs": epochs,
    }
    settings |= {"max_faces": config.max_faces, "max_validation_faces": config.max_validation_faces}
    settings |= {"num_workers": max(1, config.workers), "objective": asdict(objective)}
    settings |= {"dropout": config.dropout} if part in ("landmarks", "joint") else {}
    settings |= {} if part == "landmarks" else {"texture": asdict(texture_of(config, job.vector.dim))}
    named = {"squeezenet": objective.perceptual_weight, "mobilefacenet": objective.identity_weight}
    hashes = {name: weights.sha256(config.weights, name) for name, weight in named.items() if weight > 0}
    hashes[config.vector] = job.vector.model_sha256
    inputs = {
        name: manifest.require(uri, "features").content
        for name, uri in zip(("features", "morphs"), job.tables, strict=False)
    }
    return Recipe("train_decoder", code_version(CODE), json.loads(json.dumps(settings)), inputs, hashes)


def lengths(config: Config, part: str) -> tuple[int, int]:
    """Return the faces in a step and the passes of a part."""
    if part == "landmarks":
        return config.landmark_batch, config.landmark_epochs
    return config.batch, config.epochs


@dataclass(frozen=True)
class Make:
    """Builds the task on a worker."""

    model: FaceDecoderConfig
    objective: DecoderObjective
    weights: str
    warm: WarmStart

    def __call__(self, device: torch.device) -> DecoderTask:
        """Load the networks of the losses and build the model."""
        objective = self.objective
        features = (
            networks.load_features(self.weights, "squeezenet").to(device) if objective.perceptual_weight > 0 else None
        )
        embed = networks.load_embed(self.weights).to(device) if objective.identity_weight > 0 else None
        judging = Judging(features.features if features else None, embed)
        return DecoderTask(self.model, objective, judging, self.warm, device)


def train_one(config: Config, part: str, job: Job, chosen: Sets, running: manifest.Manifest) -> None:
    """Train one part into its checkpoint."""
    cli.connect()
    output, workers, (batch, epochs) = uris.join(config.checkpoint, part), max(1, config.workers), lengths(config, part)
    streams = datasets(job.tables, rows_of(config, part), chosen, config.seed)
    texture = None if part == "landmarks" else texture_of(config, job.vector.dim)
    # The joint model's pictures are faces, and what its linear path makes are textures.
    fitted_on = datasets(job.tables, rows_of(config, "texture"), chosen, config.seed) if part == "joint" else streams
    warm, texture = warm_start(fitted_on, job.mean, job.vector.dim, texture)
    del fitted_on
    model = FaceDecoderConfig(
        part,
        config.vector,
        job.vector.model_sha256,
        dropout=config.dropout if part in ("landmarks", "joint") else 0.0,
        texture=texture or TextureDecoderConfig(input_dim=job.vector.dim),
    )
    rows = streams[STREAM].count() // workers
    plan = Plan(
        make=Make(model, objective_of(config, part), config.weights, warm),
        batch={STREAM: batch},
        rows={STREAM: rows},
        validation=(STREAM,),
        epochs=epochs,
        steps_per_epoch=rows // batch,
        seed=config.seed,
        threads=config.threads,
        output=output,
        workers=workers,
        mlflow=config.mlflow,
    )
    log.info("%s: %d faces, %d epochs", part, rows * workers, epochs)
    with following(output):
        room = Room(config.min_workers, config.max_failures, config.num_to_keep)
        result = fit(config, plan, streams, running.fingerprint, room)
    card = partial(decoder_card, model, running.recipe)
    publish(output, decoder_loading.config_dict(model), card, result, running, **{FACES: job.faces})
    log.info("%s: trained on %d images", output, plan.total_images * workers)


def choose_for(config: Config, part: str, job: Job) -> Sets:
    """Choose a part's faces; UserError where they are fewer than a batch of each worker."""
    chosen = choose(
        job.tables, rows_of(config, part), {"train": config.max_faces, "val": config.max_validation_faces}, config.seed
    )
    least = lengths(config, part)[0] * max(1, config.workers)
    if len(chosen.train) < least:
        raise UserError(f"{part} must have a batch of faces for each worker, {least}, got {len(chosen.train)}")
    return chosen


def describe(config: Config, job: Job, recipes: dict[str, Recipe]) -> None:
    """Print what would be trained."""
    print(json.dumps(asdict(config), indent=1))
    for name, recipe in recipes.items():
        model = FaceDecoderConfig(name, config.vector, texture=texture_of(config, job.vector.dim))
        count = sum(p.numel() for p in face_decoder.build(model, torch.zeros(68, 2)).parameters())
        print(f"{name}: {count} parameters, fingerprint {recipe.fingerprint}")


def main(config: Config) -> None:
    """Run the job: everything is checked for every part before the first begins."""
    check(config)
    names = names_of(config)
    train_logs.check(config.mlflow)
    job = open_tables(config, names)
    recipes = {name: recipe_of(config, name, job) for name in names}
    if config.dry_run:
        describe(config, job, recipes)
        return
    chosen = {name: choose_for(config, name, job) for name in names}
    pending = {}
    for name, recipe in recipes.items():
        output = uris.join(config.checkpoint, name)
        running = manifest.begin(
            output, decoder_loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=config.overwrite
        )
        if running is None:
            log.info("nothing to do: %s is complete with the same recipe (%s)", output, recipe.fingerprint[:12])
        else:
            pending[name] = running
    for name, running in pending.items():
        train_one(config, name, job, chosen[name], running)


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
