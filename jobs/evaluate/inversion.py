"""Decoders of faces from vectors, beside three baselines and the other ways that were trained."""

from functools import partial
from typing import Any

from jobs.evaluate.config import Config, EvaluationPlan, judges_of, judges_sha256, log, settings_of
from rupantara import schema
from rupantara.errors import UserError
from rupantara.evaluation.inversion_baselines import COLUMNS, fit_baselines
from rupantara.evaluation.inversions import InversionTrial, VectorSource
from rupantara.faces.arrays import choose_people
from rupantara.features.textures import MEAN
from rupantara.generation import decoder_loading
from rupantara.generation.decoder_loading import MODEL_TYPE
from rupantara.reports import inversion
from rupantara.storage import checkpoints, manifest, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.decoder_rows import usable, vector_field

RECIPE = RecipeSpec("evaluate_inversion", version=3)


def plan(config: Config) -> EvaluationPlan:
    """Check that tables and decoders belong together, and choose the people."""
    if len(config.checkpoint) != 1:
        raise UserError(f"--features goes with one --checkpoint of jobs.train_decoder, got {len(config.checkpoint)}")
    checkpoint = uris.absolute(config.checkpoint[0])
    faces, features = manifest.require(config.faces, "faces"), manifest.require(config.features, "features")
    if features.recipe.inputs.get("faces") != faces.content:
        raise UserError(f"--features must be of --faces, got {config.features!r}, made of other faces")
    found = decoder_loading.parts_of(checkpoint)
    vector, side = vector_and_side(checkpoint, found, config.features, features)
    check_split(features, faces, found)
    chosen = choose_with_vectors(config, vector)
    judges = judges_of(config)
    models = {part: checkpoints.model_sha256(uri, MODEL_TYPE) for part, uri in found.items()} | judges_sha256(judges)
    recipe = RECIPE.of(settings_of(config), {"features": features.content}, models)
    baselines = uris.join(config.metrics, f"baselines-{recipe.fingerprint[:12]}.safetensors")
    source = VectorSource(vector, side, frozenset(chosen), config.split)
    facts = {"vector": vector, "side": side, MEAN: features.extra[MEAN]}
    return EvaluationPlan(
        recipe,
        config.features,
        "features",
        (*COLUMNS, vector),
        partial(InversionTrial, checkpoint, baselines, source),
        judges,
        inversion.section,
        "Faces from vectors",
        f"{len(chosen)} people",
        shown=frozenset(chosen[: config.shown]),
        baselines=baselines,
        prepare=partial(prepare, config.features, source, baselines, facts, found),
        header=inversion.HEADER,
        rows_of=inversion.table_rows,
    )


def vector_and_side(checkpoint: str, found: dict[str, str], uri: str, features: Manifest) -> tuple[str, int]:
    """Return the column of the decoders' vectors and the side of their pictures; UserError where they are not of one kind."""
    configs = {part: decoder_loading.read_config(at) for part, at in found.items()}
    vectors = {(one.vector, one.vector_sha256) for one in configs.values()}
    sides = {one.texture.side for part, one in configs.items() if part != "landmarks"}
    if len(vectors) > 1 or len(sides) != 1:
        raise UserError(f"the decoders in {checkpoint!r} must be of one vector and one size, got {vectors}, {sides}")
    ((vector, digest),) = vectors
    theirs = vector_field(uri, features.data[0].path, vector, "the decoders' vector")
    if theirs.model_sha256 != digest or not {"texture", "crop"} <= set(theirs.columns):
        raise UserError(f"{uri} must hold {vector} of the decoders' network, texture and crop")
    return vector, sides.pop()


def check_split(features: Manifest, faces: Manifest, found: dict[str, str]) -> None:
    """Refuse decoders that were trained on other faces: who is held out here may be among them."""
    for part, uri in found.items():
        trained = manifest.read(uri)
        if trained is None:
            log.info("%s is a download without manifest: whether it was trained on these people cannot be told", uri)
        elif trained.recipe.inputs.get("features") != features.content and trained.extra.get("faces") != faces.content:
            raise UserError(
                f"{part} in {uri!r} must be trained on features of --faces, or people who are held out here may have been trained on"
            )


def choose_with_vectors(config: Config, vector: str) -> list[str]:
    """Choose held-out people who have vectors and landmarks."""
    people: dict[str, None] = {}
    columns = ("face_id", "domain", "split", vector, schema.LANDMARKS)
    for part in tables.read_parts(config.features, columns, schema="features"):
        people |= dict.fromkeys(usable(part, (vector, schema.LANDMARKS), config.split)["face_id"].to_pylist())
    chosen = list(choose_people(config.faces, "human", (config.split,), config.limit, config.seed, people))
    if len(chosen) < 2:
        raise UserError(
            f"{config.faces} must have at least 2 accepted humans of split {config.split}, got {len(chosen)}"
        )
    return chosen


def prepare(
    features: str, source: VectorSource, baselines: str, facts: dict[str, Any], found: dict[str, str]
) -> dict[str, Any]:
    """Fit the baselines, and say what the report should know of the decoders."""
    fitted = fit_baselines(features, source.vector, source.side, source.chosen, facts[MEAN], baselines)
    recipes, histories = {}, {}
    for part, uri in found.items():
        trained = manifest.read(uri)
        recipes[part] = trained.recipe.config if trained else {}
        histories[part] = inversion.history(uri)
    return {**facts, "baselines": fitted, "histories": histories, "recipes": recipes}
