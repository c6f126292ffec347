"""Faces to morphs: pairs of like faces of the train split, averaged in shape and texture and blended seamlessly.

ray job submit --working-dir . -- python -m jobs.augment --faces s3://bucket/faces --count 20000 --morphs s3://bucket/morphs
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar

import pyarrow as pa

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara.errors import UserError
from rupantara.faces.morph_pools import cut, pools_of, shares
from rupantara.metrics import faces_table
from rupantara.reports.contact_sheet import morph_sheet
from rupantara.stages.augment import AugmentRules, MorphFaces
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("augment", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Make morphs of like faces."""

    OUTPUT: ClassVar[str] = "morphs"

    faces: cli.Uri
    """Faces table."""
    morphs: cli.Uri
    """Output table, with the columns of faces; the parents are in `parents`."""
    count: int = 2000
    """Morphs to make; no pair of parents is used twice in the same order (the first gives the surroundings)."""
    neighbours: int = AugmentRules.neighbours
    """The second parent is drawn among this many faces most like the first."""
    like: str = AugmentRules.like
    """What likeness is: landmarks, or a column of --features (arcface, arcface_features, vggface, global_mu)."""
    features: cli.Uri = ""
    """Features of --faces, for --like."""
    alpha: tuple[float, float] = AugmentRules.alpha
    """Range that the second parent's weight is drawn from; 0.5 0.5 = the mean of both."""
    same_identity: bool = AugmentRules.same_identity
    """Let two photographs of one person be parents."""
    max_yaw: float = AugmentRules.max_yaw
    """Parents are turned by at most this many degrees."""
    size: int = AugmentRules.size
    """Side of the morphs in pixels."""
    pool_faces: int = 20_000
    """Faces among which neighbours are sought; larger tables are cut into pools, so that a worker's memory is bounded."""
    part_morphs: int = 256
    """Most morphs in one part, the unit of work and of resuming."""
    sheet: int = 100
    """Morphs on the contact sheet."""


def features_of(config: Config, faces: Manifest) -> Manifest | None:
    """Find the features table that --like names, and check that it is of these faces."""
    if config.like == "landmarks":
        return None
    if not config.features:
        raise UserError(f"--like {config.like} is a column of a features table: give --features")
    found = manifest.require(config.features, "features")
    if found.recipe.inputs.get("faces") != faces.content:
        raise UserError(f"--features must be of --faces, got {config.features!r}, made of other faces")
    columns = tables.read_schema(config.features, found.data[0].path)
    if config.like not in columns.names or not pa.types.is_fixed_size_list(columns.field(config.like).type):
        vectors = [f.name for f in columns if pa.types.is_fixed_size_list(f.type)]
        raise UserError(f"--like must be landmarks or one of {', '.join(vectors)}, got {config.like!r}")
    return found


def build(config: Config) -> TableRun:
    """Plan and describe the run."""
    low, high = config.alpha
    if not 0 <= low <= high <= 1 or config.size < 32 or min(config.count, config.neighbours, config.part_morphs) < 1:
        raise UserError(
            "--alpha must be LOW HIGH with 0 <= LOW <= HIGH <= 1, --size at least 32, --count, --neighbours and --part-morphs at"
            f" least 1, got {config.alpha}, {config.size}, {config.count}, {config.neighbours}, {config.part_morphs}"
        )
    faces = manifest.require(config.faces, "faces")
    features = features_of(config, faces)
    pools = pools_of(config.faces, faces, features, config.pool_faces, config.max_yaw)
    total = sum(n for _, n in pools)
    if total < 2:
        raise UserError(f"--faces must hold two accepted humans of the train split with 68 landmarks, got {total}")
    possible = sum(n * min(config.neighbours, n - 1) for _, n in pools)
    if config.count > possible:
        raise UserError(
            f"--count must be at most {possible}, the pairs of {total} possible parents, got {config.count}"
        )
    inputs = {"faces": faces.content} | ({"features": features.content} if features else {})
    settings = cli.row_config(config, "faces", "morphs", "features", "sheet")
    recipe = RECIPE.of(settings, inputs)
    rules = AugmentRules(**{f.name: getattr(config, f.name) for f in fields(AugmentRules) if hasattr(config, f.name)})
    return TableRun(
        output=config.morphs,
        schema="faces",
        recipe=recipe,
        plan=cut(shares(config.count, pools), config.part_morphs),
        make_stage=partial(MorphFaces, config.faces, config.features, [files for files, _ in pools], rules),
        measure=faces_table.measure,
        report=partial(sheet, config),
    )


def sheet(config: Config, done: Manifest) -> list[str]:
    """Draw the contact sheet."""
    if not config.sheet:
        return []
    uri = uris.join(config.morphs, "contact_sheet.jpg")
    uris.write_bytes(uri, morph_sheet(config.faces, config.morphs, config.sheet))
    return [f"contact sheet: {uri}"]


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


def presets() -> dict[str, Any]:
    """Return the named configs."""
    return {"default": Config(faces=cli.REQUIRED, morphs=cli.REQUIRED)}


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
