"""Faces out of vectors: of a features table, of a .npy file, or of photographs whose faces are found and embedded first."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from jobs.generate import kind
from jobs.runtime import cli
from jobs.runtime.table_run import TableRun
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.choice import Choice, choose_rows, said
from rupantara.faces.finder import networks_of
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, Spec
from rupantara.generation import decoder_loading
from rupantara.generation.decoder_loading import LoadedFaceDecoder
from rupantara.generation.inversion import InversionGenerator, check_length
from rupantara.reports.generated import Sources
from rupantara.stages.curate import CuratePhotos, CurateRules
from rupantara.stages.extract import ExtractFeatures
from rupantara.stages.invert import InvertPhotos, InvertVectors, numbered
from rupantara.storage import arrays, manifest, plan, uris, weights
from rupantara.storage.listing import as_rows
from rupantara.storage.recipe import RecipeSpec
from rupantara.training.decoder_rows import decoders_field

RECIPE = RecipeSpec("generate_inversion", version=4)
PART_ROWS = 256


@dataclass(frozen=True, kw_only=True)
class Config(kind.Config):
    """Make faces out of vectors; give one of --features, --vectors and --photos."""

    checkpoint: cli.Uri
    """Folder of jobs.train_decoder."""
    features: cli.Uri = ""
    """Features table; the vectors of its humans."""
    faces: cli.Uri = ""
    """Faces table of --features, for the contact sheet."""
    vectors: cli.Uri = ""
    """A .npy file of vectors, [n, dim]."""
    photos: cli.Uri = ""
    """Photographs: their faces are found, embedded, and made again from the vectors alone."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks, for --photos."""
    sniff: bool = False
    """Judge files of --photos whose names have no known ending by their first bytes."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the features ("" = all)."""
    limit: int = 0
    """Most vectors: of features by hash, else the first so many vectors or photographs (0 = all)."""


DEFAULT = Config(checkpoint=cli.REQUIRED, generated=cli.REQUIRED)


def build(config: Config) -> TableRun:
    """Plan by where the vectors come from."""
    given = [name for name in SOURCES if getattr(config, name)]
    if len(given) != 1:
        raise UserError(
            f"give one of --{', --'.join(SOURCES)}, the source of the vectors; got {' and '.join(given) or 'none'}"
        )
    return SOURCES[given[0]](config, decoder_loading.load_face(config.checkpoint))


def of_features(config: Config, loaded: LoadedFaceDecoder) -> TableRun:
    """Plan the humans of a features table."""
    found, column = manifest.require(config.features, "features"), loaded.config.vector
    theirs = decoders_field(config.features, found.data[0].path, loaded.config)
    chosen = choose_rows(config.features, "features", config.split, config.limit, config.seed)
    if not chosen.count:
        raise UserError(f"{config.features} must have humans of split {config.split!r}, got none")
    return kind.run_of(
        config,
        _recipe(config, loaded, "features", found.content, {}),
        plan.of_files(config.features, found),
        partial(make_stage, config, chosen.choice),
        columns=["face_id", "domain", "split", column],
        sources=Sources(config.faces, config.features if "crop" in theirs.columns else ""),
        said=chosen.said(),
        left_out=chosen.left_out,
    )


def of_vectors(config: Config, loaded: LoadedFaceDecoder) -> TableRun:
    """Plan the rows of a .npy file: row i is the face `row-i`."""
    vectors, digest = arrays.read_rows(config.vectors, "--vectors")
    check_length(loaded, vectors.shape[1], f" in {config.vectors!r}")
    count = min(len(vectors), config.limit or len(vectors))
    parts = plan.of_blocks(numbered(vectors[:count], loaded.config.vector), PART_ROWS)
    recipe = _recipe(config, loaded, "vectors", digest, {})
    said = f"{count} of {len(vectors)} vectors, which have no source to show"
    return kind.run_of(config, recipe, parts, partial(make_stage, config, None), said=said)


def of_photos(config: Config, loaded: LoadedFaceDecoder) -> TableRun:
    """Plan the photographs of a folder: curated, embedded by the decoder's own network, inverted."""
    column = loaded.config.vector
    entries, left_out = photographs.listed(config.photos, sniff=config.sniff)
    taken = entries[: config.limit or None]
    left_out |= {f"beyond --limit {config.limit}": len(entries) - len(taken)}
    digest = extractors.require(column, loaded.config.vector_sha256, ExtractorNetworks("", config.weights))
    networks = networks_of(config.weights, people=True, animals=True, judge_people=True)
    models = {name: weights.sha256(config.weights, name) for name in networks} | {column: digest}
    return kind.run_of(
        config,
        _recipe(config, loaded, "photos", uris.fingerprint_files(taken), models),
        plan.of_blocks(as_rows(taken), PART_ROWS),
        partial(make_photo_stage, config, column),
        sources=Sources(photographs=True),
        said=said(len(taken), "photographs", left_out),
        left_out=left_out,
    )


def make_stage(config: Config, choice: Choice | None, *, compute: Compute) -> InvertVectors:
    """Build the stage on a worker."""
    make = partial(InversionGenerator, config.checkpoint, compute.device)
    return InvertVectors(make, choice, seed=config.seed, threads=compute.threads)


def make_photo_stage(config: Config, column: str, *, compute: Compute) -> InvertPhotos:
    """Build the stages from photographs to inversions on a worker."""
    return InvertPhotos(
        partial(CuratePhotos, config.photos, CurateRules(), config.weights, {}),
        partial(
            ExtractFeatures, [Spec(column)], ExtractorNetworks("", config.weights, compute.device), compute.threads
        ),
        partial(make_stage, config, None, compute=compute),
    )


def _recipe(config: Config, loaded: LoadedFaceDecoder, source: str, content: str, models: dict[str, str]) -> Any:
    decoders = zip(("landmark_decoder", "texture_decoder"), loaded.sha256, strict=True)
    settings = {"source": source, "limit": config.limit, "seed": config.seed, "part_rows": PART_ROWS}
    settings |= {"split": config.split} if source == "features" else {}
    return RECIPE.of(settings, {source: content}, models | dict(decoders))


SOURCES = {"features": of_features, "vectors": of_vectors, "photos": of_photos}


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
