"""`jobs.generate --kind inversion`: faces out of vectors of a features table, of a .npy file, or of photographs."""

import hashlib
import io
import logging
import os
import zipfile
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from jobs.runtime import parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces import photographs
from rupantara.faces.arrays import at_most
from rupantara.features import extractors
from rupantara.features.extractor import Source as Embedding
from rupantara.features.extractor import Spec
from rupantara.generation import decoder_loading
from rupantara.generation.decoder_loading import LoadedFace
from rupantara.reports.contact_sheet import write_inversion_sheet, write_pngs
from rupantara.stages.curate import CuratePhotos, CurateRules
from rupantara.stages.extract import ExtractFeatures
from rupantara.stages.invert import InvertPhotos, InvertVectors
from rupantara.storage import manifest, tables, uris, weights
from rupantara.storage.listing import as_rows
from rupantara.storage.recipe import Recipe, RecipeSpec
from rupantara.training.decoder_rows import vector_field

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("generate inversion", version=1)
PART_ROWS = 256
MakeStage = Callable[[], Callable[[pa.Table], pa.Table]]


class Source(NamedTuple):
    """Where vectors come from: inputs and models of the recipe, the parts, their stage, and the columns that it reads."""

    inputs: dict[str, str]
    models: dict[str, str]
    plan: list[parts.Part]
    stage: MakeStage
    columns: list[str] | None


def build(config: Any) -> tuple[Recipe, Source]:
    """Plan by where the vectors come from."""
    given = [name for name in SOURCES if getattr(config, name)]
    if len(given) != 1:
        raise UserError(
            f"give one of --{', --'.join(SOURCES)}, the source of the vectors; got {' and '.join(given) or 'none'}"
        )
    loaded = decoder_loading.load_face(config.checkpoint)
    source = SOURCES[given[0]](config, loaded)
    models = source.models | dict(zip(("landmark_decoder", "texture_decoder"), loaded.sha256, strict=True))
    settings = {
        "kind": "inversion",
        "source": given[0],
        "limit": config.limit,
        "seed": config.seed,
        "part_rows": PART_ROWS,
    }
    settings |= {"split": config.split} if given[0] == "features" else {}
    return RECIPE.of(settings, source.inputs, models), source


def of_features(config: Any, loaded: LoadedFace) -> Source:
    """Plan the humans of a features table."""
    found, column = manifest.require(config.features, "features"), loaded.config.vector
    theirs = vector_field(config.features, found.data[0].path, column, "the decoder's vector")
    if (theirs.model_sha256, theirs.dim) != (loaded.config.vector_sha256, loaded.config.texture.input_dim):
        raise UserError(
            f"{config.features} must hold {column} of the network that the decoder was trained on"
            f" ({loaded.config.vector_sha256[:12]}, {loaded.config.texture.input_dim} numbers), got"
            f" {theirs.model_sha256[:12]}, {theirs.dim}"
        )
    rows = tables.read(config.features, ("face_id", "domain", "split"), schema="features")
    people = schema.where(rows, domain="human").num_rows
    rows = schema.where(rows, domain="human", **({"split": config.split} if config.split else {}))
    chosen = frozenset(at_most(dict.fromkeys(rows["face_id"].to_pylist(), ""), config.limit, config.seed))
    log.info("%d of %d humans (--split %s, --limit %d)", len(chosen), people, config.split or "''", config.limit)
    if not chosen:
        raise UserError(f"{config.features} must have humans of split {config.split!r}, got none")
    stage = partial(InvertVectors, config.checkpoint, chosen, seed=config.seed, threads=threads())
    plan = parts.parts_of(config.features, found)
    return Source({"features": found.content}, {}, plan, stage, ["face_id", column])


def of_vectors(config: Any, loaded: LoadedFace) -> Source:
    """Plan the rows of a .npy file: row i is the face `row-i`."""
    try:
        data = uris.read_bytes(config.vectors)
        vectors = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise UserError(f"--vectors must be a .npy file of numbers [n, dim], got {config.vectors!r}: {error}") from None
    wanted = loaded.config.texture.input_dim
    if (
        not isinstance(vectors, np.ndarray)
        or vectors.ndim != 2
        or vectors.shape[1] != wanted
        or vectors.dtype.kind not in "fiu"
    ):
        shape = list(getattr(vectors, "shape", ()))
        raise UserError(
            f"--vectors must be numbers [n, {wanted}] ({loaded.config.vector}), got {shape} in {config.vectors!r}"
        )
    count = most(len(vectors), config.limit, "vectors")
    planned = []
    for start in range(0, count, PART_ROWS):
        stop = min(start + PART_ROWS, count)
        ids = pa.array([f"row-{i:08d}" for i in range(start, stop)])
        rows = pa.table({"face_id": ids, loaded.config.vector: schema.vector_array(vectors[start:stop])})
        planned.append(parts.Part(len(planned), rows=rows))
    if not planned:
        raise UserError(f"--vectors must hold at least one row, got none in {config.vectors!r}")
    stage = partial(InvertVectors, config.checkpoint, seed=config.seed, threads=threads())
    return Source({"vectors": hashlib.sha256(data).hexdigest()}, {}, planned, stage, None)


def of_photos(config: Any, loaded: LoadedFace) -> Source:
    """Plan the photographs of a folder: curated, embedded by the decoder's own network, inverted."""
    column = loaded.config.vector
    if not config.networks:
        raise UserError(f"--photos needs --networks, a folder with yunet, pfld and the network of {column}")
    uris.require_folder(config.photos, "--photos")
    entries = photographs.by_name(uris.list_files(config.photos))
    if not entries:
        raise UserError(f"--photos holds no file named *.{'/'.join(photographs.EXTENSIONS)}, got {config.photos!r}")
    entries = entries[: most(len(entries), config.limit, "photographs")]
    embedder, networks = Embedding("", config.networks), ("yunet", "pfld")
    digest = extractors.model_sha256(Spec(column), embedder) if column in extractors.EXTRACTORS else ""
    if digest != loaded.config.vector_sha256:
        raise UserError(
            f"--photos needs the network that made {column} for the decoder ({loaded.config.vector_sha256[:12]}), got"
            f" {digest[:12] or 'none'}: extract a features table or give --vectors"
        )
    stage = partial(
        InvertPhotos,
        partial(CuratePhotos, config.photos, CurateRules(), config.networks, {}),
        partial(ExtractFeatures, [Spec(column)], embedder, threads()),
        partial(InvertVectors, config.checkpoint, seed=config.seed, threads=threads()),
    )
    models = {name: weights.sha256(config.networks, name) for name in networks} | {column: digest}
    planned = [
        parts.Part(i, as_rows(entries[start : start + PART_ROWS]))
        for i, start in enumerate(range(0, len(entries), PART_ROWS))
    ]
    return Source({"photos": uris.fingerprint_files(entries)}, models, planned, stage, None)


def most(count: int, limit: int, what: str) -> int:
    """Return how many of a source's rows are taken, saying so where it is not all."""
    taken = min(count, limit or count)
    if taken < count:
        log.info("the first %d of %d %s; --limit 0 takes all", taken, count, what)
    return taken


def threads() -> int:
    """Return the torch threads of one of two workers a machine."""
    return max(1, (os.cpu_count() or 1) // 2)


SOURCES: dict[str, Callable[[Any, LoadedFace], Source]] = {
    "features": of_features,
    "vectors": of_vectors,
    "photos": of_photos,
}


def run(config: Any) -> None:
    """Generate."""
    recipe, source = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(source.plan)} parts")
        return
    done = parts.run_parts(
        config,
        config.generated,
        "generated",
        recipe,
        source.plan,
        source.stage,
        version=schema.VERSION,
        columns=source.columns,
    )
    if not done.counts["accepted"]:
        log.warning("no vector could be decoded; the reject rows say why")
    log.info("contact sheet: %s", write_inversion_sheet(config.generated, config.faces, config.sheet_rows))
    if config.export:
        log.info("%d PNG files in %s/png", write_pngs(config.generated), config.generated)
