"""Reverse mapping: how near is each region of each human face to each species? A table, and a report with figures.

    ray job submit --working-dir . -- python -m jobs.reverse_map --features s3://bucket/features --bank s3://bucket/bank \
        --affinity s3://bucket/affinity
"""

from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara import schema
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.reports import html, sections
from rupantara.stages.affinity import MapAffinity
from rupantara.storage import manifest, plan, tables, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("reverse_map", version=1)
COLUMNS = ("face_id", "domain", "split", "regions_mu")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Map faces to species."""

    OUTPUT: ClassVar[str] = "affinity"

    features: cli.Uri
    """Features table; its humans are mapped."""
    bank: cli.Uri
    """Bank made with the same model."""
    affinity: cli.Uri
    """Output: the affinity table and report.html."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the mapped humans ("" = all)."""
    limit: int = 0
    """Most humans, the first by id (0 = all)."""
    top: int = 5
    """Nearest features kept for each face, region and species."""


def build(config: Config) -> TableRun:
    """Check that bank and features are of one model; plan one part for each file of the features."""
    features, bank = manifest.require(config.features, "features"), manifest.require(config.bank, "bank")
    models = {m.extra["model_sha256"] for m in (features, bank)}
    if len(models) > 1:
        raise UserError(
            f"--features and --bank must be of one model, got {' and '.join(sorted(m[:12] for m in models))}"
        )
    rows = tables.read(config.features, ("face_id", "domain", "split"), schema="features")
    rows = schema.where(rows, domain="human", **({"split": config.split} if config.split else {}))
    chosen = frozenset(sorted(rows["face_id"].to_pylist())[: config.limit or None])
    if not chosen:
        raise UserError(f"{config.features} must have humans of split {config.split!r}, got none")
    settings = cli.row_config(config, "features", "bank", "affinity")
    inputs = {"features": features.content, "bank": bank.content}
    recipe = RECIPE.of(settings, inputs, {"region_vae": models.pop()})
    dim = plan.vector_dim(config.features, features, "regions_mu") // len(REGIONS)
    return TableRun(
        output=config.affinity,
        schema="affinity",
        recipe=recipe,
        plan=plan.of_files(config.features, features),
        make_stage=partial(MapAffinity, chosen=chosen, region_dim=dim, top=config.top),
        bank=config.bank,
        columns=COLUMNS,
        report=partial(write, config.affinity),
        told=f"{len(chosen)} faces",
    )


def write(affinity: str, done: Manifest) -> list[str]:
    """Draw the report."""
    uri = uris.join(affinity, "report.html")
    uris.write_bytes(uri, html.render("Reverse mapping", [sections.affinity(affinity)]))
    return [f"report: {uri}"]


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


if __name__ == "__main__":
    required = Config(features=cli.REQUIRED, bank=cli.REQUIRED, affinity=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
