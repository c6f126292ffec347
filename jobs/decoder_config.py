"""Flags of jobs.train_decoder, and what they come to for each part."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from jobs.runtime import cli
from jobs.runtime.train_flags import Training
from jobs.runtime.train_worker import CHUNK_ROWS
from rupantara.errors import UserError
from rupantara.models.face_decoder import PARTS
from rupantara.models.texture_decoder import PRESETS, TextureDecoderConfig
from rupantara.training.decoders import DecoderObjective

LOSSES = ("perceptual_weight", "moment_weight", "identity_weight", "landmark_weight")


@dataclass(frozen=True, kw_only=True)
class Config(Training):
    """Train decoders of faces from vectors."""

    OUTPUT: ClassVar[str] = "checkpoint"

    features: str
    """Features table with vectors and textures (jobs.extract --extractors arcface arcface_features texture)."""
    morphs: str = ""
    """Features table of morphs (extracted with --mean-of FEATURES), trained on too."""
    checkpoint: str
    """Output folder: a checkpoint PART/ for each part, with log.jsonl, tensorboard/ and grids/."""
    vector: str = "arcface"
    """Column of the vectors that faces are decoded from: arcface, arcface_features, vggface, or any other vectors of the table."""
    parts: str = "landmarks,texture"
    """Parts by comma, in this order: landmarks and texture (the paper's), single and joint (its ablations, which need the column
    crop)."""
    weights: str = ""
    """Folder or bucket of pretrained networks, for the perceptual and identity losses."""
    size: int = 224
    """Side of the textures: 224 (the paper's decoder), 112 or 56."""
    linear: bool = False
    """Start pictures from a ridge regression by a linear path that the paper does not have (every preset but the default does)."""
    kernel_centers: int = 0
    """Make the linear path linear in the vector's likeness to at most this many train vectors, for what is not linear in the vector
    (0 = in the vector itself, as is best of arcface_features). Where they are all, each is in training as if left out of the
    regression."""
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
    moment_weight: float = 0.0
    """Weight of the distance of a batch's means and deviations from the photographs' (the paper has none): more contrast and variety,
    less PSNR."""
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


def presets() -> dict[str, Config]:
    """Return the paper's decoder; 112 for two cores, with a linear path and the losses on top; smoke for tests.

    112_features is 112 of `arcface_features`, which are linear in what a texture shows as the vectors of identity are not (decision 9).
    """
    base = Config(features=cli.REQUIRED, checkpoint=cli.REQUIRED, workers=1)
    small: dict[str, Any] = {"linear": True, "annealed": True}
    two_cores = {
        "size": 112,
        "kernel_centers": 8192,
        "epochs": 1,
        "batch": 16,
        "landmark_epochs": 20,
        "dropout": 0.7,
        "learning_rate": 1e-3,
        "identity_weight": 0.3,
    }
    two_cores |= {"perceptual_weight": 0.2, **small}
    features = {"vector": "arcface_features", "kernel_centers": 0, "dropout": 0.3}
    smoke = {
        "size": 56,
        "kernel_centers": 64,
        "epochs": 2,
        "landmark_epochs": 4,
        "batch": 8,
        "landmark_batch": 8,
        **small,
    }
    return {
        "default": base,
        "112": replace(base, preset="112", **two_cores),
        "112_features": replace(base, preset="112_features", **(two_cores | features)),
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
    if config.kernel_centers < 0 or (config.kernel_centers and not config.linear):
        raise UserError(
            f"--kernel-centers must not be negative, and 0 without --linear, got {config.kernel_centers}, linear {config.linear}"
        )
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
    fields += ("perceptual_weight", "moment_weight", "identity_weight", "bfloat16")
    found = DecoderObjective(**{name: getattr(config, name) for name in fields})
    if part == "landmarks":
        return replace(found, **dict.fromkeys(LOSSES, 0.0), bfloat16=False)
    return found if part == "joint" else replace(found, landmark_weight=0.0)


def texture_of(config: Config, dim: int) -> TextureDecoderConfig:
    """Resolve the sizes of the pictures' network."""
    chosen = replace(PRESETS[str(config.size)], input_dim=dim)
    if not config.linear:
        return replace(chosen, linear_rank=0, linear_side=0)
    centers = config.kernel_centers
    rank, side = min(chosen.linear_rank or 128, centers or dim), chosen.linear_side or min(112, chosen.side)
    return replace(chosen, linear_rank=rank, linear_side=side, kernel_centers=centers)


def lengths(config: Config, part: str) -> tuple[int, int]:
    """Return the faces in a step and the passes of a part."""
    if part == "landmarks":
        return config.landmark_batch, config.landmark_epochs
    return config.batch, config.epochs
