"""Tables to what other tools read: WebDataset tars, an image folder, or clip-retrieval's img_emb and metadata.

ray job submit --working-dir . -- python -m jobs.export --table s3://bucket/faces --format webdataset --export s3://bucket/tars
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import pyarrow as pa

from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.stages import export
from rupantara.storage import manifest, tables, uris
from rupantara.storage.recipe import Recipe, RecipeSpec

RECIPE = RecipeSpec("export", version=1)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Export a table."""

    OUTPUT: ClassVar[str] = "export"

    table: str
    """Table of faces, morphs, generated or enhanced pictures, or (clip_retrieval) features."""
    export: str
    """Output folder or s3:// prefix."""
    format: Literal["webdataset", "folder", "clip_retrieval"] = "webdataset"
    """webdataset: N.tar of ID.jpg and ID.json. folder: SPLIT/SPECIES/NNNNN/ID.jpg and metadata.parquet. clip_retrieval: img_emb/*.npy and
    metadata/*.parquet of one vector column."""
    column: str = ""
    """The vector column that clip_retrieval exports."""


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[export.ExportFiles]]:
    """Plan one part for each file of the table."""
    found = manifest.require(config.table, "faces", "generated", "enhanced", "features")
    files = [file.path for file in found.data]
    export.check(tables.read_schema(config.table, files[0]), config.format, config.column)
    settings = {"format": config.format, "column": config.column}
    recipe = RECIPE.of(settings, {"table": found.content})
    planned = [
        parts.Part(i, rows=pa.table({"index": [i], "source": [path]}, schema=schema.EXPORT_PLANNED))
        for i, path in enumerate(files)
    ]
    return recipe, planned, partial(export.ExportFiles, config.table, config.export, config.format, config.column)


def main(config: Config) -> None:
    """Run the job."""
    recipe, planned, make_stage = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(planned)} parts")
        return
    before = exported(config.export)
    parts.run_parts(config, config.export, "exported", recipe, planned, make_stage, version=schema.VERSION)
    after = exported(config.export)
    for stale in before - after:
        uris.delete(uris.join(config.export, stale))
    logging.getLogger("jobs").info("%s: %d files", config.export, len(after))


def exported(output: str) -> set[str]:
    """Return the files of a complete export."""
    if manifest.read(output) is None:
        return set()
    return {file for part in tables.read_parts(output, ("file",)) for file in part["file"].to_pylist()}


if __name__ == "__main__":
    cli.run(main, {"default": Config(table=cli.REQUIRED, export=cli.REQUIRED)}, __doc__ or "")
