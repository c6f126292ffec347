"""The features tables that decoders are trained on: what they hold, that they belong together, and which faces are taken."""

from dataclasses import dataclass

from jobs.decoder_config import Config, lengths, objective_of
from jobs.decoder_data import Sets, choose
from rupantara.errors import UserError
from rupantara.features.extractors import EXTRACTORS
from rupantara.features.textures import MEAN, PARENTS
from rupantara.storage import manifest
from rupantara.training.decoder_rows import IDENTITY, DecoderRows, VectorField, vector_field

PICTURE = {"landmarks": "", "texture": "texture", "single": "crop", "joint": "crop"}
"""Column of the features table that each part's pictures are compared with."""


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
    try:
        vector, mean = vector_field(config.features, found.data[0].path, config.vector), found.extra.get(MEAN)
    except UserError as error:
        if config.vector not in EXTRACTORS:
            raise
        raise UserError(
            f"{error} (--preset {config.preset}): run jobs.extract with --extractors … {config.vector}"
        ) from error
    objectives = [objective_of(config, name) for name in names]
    judged = max(o.perceptual_weight + o.identity_weight for o in objectives) > 0
    if judged and not config.weights:
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


def choose_for(config: Config, part: str, job: Job) -> Sets:
    """Choose a part's faces; UserError where they are fewer than a batch of each worker."""
    chosen = choose(
        job.tables, rows_of(config, part), {"train": config.max_faces, "val": config.max_validation_faces}, config.seed
    )
    least = lengths(config, part)[0] * max(1, config.workers)
    if len(chosen.train) < least:
        raise UserError(f"{part} must have a batch of faces for each worker, {least}, got {len(chosen.train)}")
    return chosen
