"""Tables to what other tools read: WebDataset tars, an image folder, or clip-retrieval's img_emb and metadata.

ray job submit --working-dir . -- python -m jobs.export --table s3://bucket/faces --format webdataset --export s3://bucket/tars
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import pyarrow as pa

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara import schema
from rupantara.stages import export
from rupantara.storage import manifest, plan, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("export", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Export a table."""

    OUTPUT: ClassVar[str] = "export"

    table: cli.Uri
    """Table of faces, morphs, generated or enhanced pictures, or (clip_retrieval) features."""
    export: cli.Uri
    """Output folder or s3:// prefix."""
    format: Literal["webdataset", "folder", "clip_retrieval"] = "webdataset"
    """webdataset: N.tar of ID.jpg and ID.json. folder: SPLIT/SPECIES/NNNNN/ID.jpg and metadata.parquet. clip_retrieval: img_emb/*.npy and
    metadata/*.parquet of one vector column."""
    column: str = ""
    """The vector column that clip_retrieval exports."""


def build(config: Config) -> TableRun:
    """Plan one part for each file of the table."""
    found = manifest.require(config.table, "faces", "generated", "enhanced", "features")
    files = [file.path for file in found.data]
    export.check(tables.read_schema(config.table, files[0]), config.format, config.column)
    settings = {"format": config.format, "column": config.column}
    rows = ({"index": [i], "source": [path]} for i, path in enumerate(files))
    recipe = RECIPE.of(settings, {"table": found.content})
    return TableRun(
        output=config.export,
        schema="exported",
        recipe=recipe,
        plan=plan.of_rows([pa.table(row, schema=schema.EXPORT_PLANNED) for row in rows]),
        make_stage=partial(export.ExportFiles, config.table, config.export, config.format, config.column),
        report=partial(cleared, config.export, replaced(config.export, recipe.fingerprint)),
    )


def replaced(output: str, fingerprint: str) -> frozenset[str]:
    """Return the files of a complete export that another recipe replaces."""
    old = manifest.read(output)
    return frozenset() if old is None or old.fingerprint == fingerprint else frozenset(exported(output))


def cleared(output: str, before: frozenset[str], done: Manifest) -> list[str]:
    """Delete the files of the export that this one replaced."""
    stale = before.difference(exported(output)) if before else ()
    for file in stale:
        uris.delete(uris.join(output, file))
    return [f"{output}: {done.counts['accepted']} files"]


def exported(output: str) -> Iterator[str]:
    """Yield the files of a complete export."""
    for part in tables.read_parts(output, ("file",)):
        yield from part["file"].to_pylist()


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


if __name__ == "__main__":
    cli.run(main, {"default": Config(table=cli.REQUIRED, export=cli.REQUIRED)}, __doc__ or "")
