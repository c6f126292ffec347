"""Reverse mapping: how near is each region of each human face to each species? A table, and a report with figures.

    ray job submit --working-dir . -- python -m jobs.reverse_map --features s3://bucket/features --bank s3://bucket/bank \
        --affinity s3://bucket/affinity
"""

import logging
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from actors.sharded_bank import ShardedBank
from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.reports import html, sections
from rupantara.stages.affinity import MapAffinity
from rupantara.storage import manifest, tables, uris
from rupantara.storage.recipe import Recipe, RecipeSpec

RECIPE = RecipeSpec("reverse_map", version=1)
COLUMNS = ("face_id", "domain", "split", "regions_mu")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Map faces to species."""

    OUTPUT: ClassVar[str] = "affinity"

    features: str
    """Features table; its humans are mapped."""
    bank: str
    """Bank made with the same model."""
    affinity: str
    """Output: the affinity table and report.html."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the mapped humans ("" = all)."""
    limit: int = 0
    """Most humans, the first by id (0 = all)."""
    top: int = 5
    """Nearest features kept for each face, region and species."""


def build(config: Config) -> tuple[Recipe, list[parts.Part], frozenset[str], int]:
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
    dim = parts.vector_dim(config.features, features, "regions_mu")
    return recipe, parts.parts_of(config.features, features), chosen, dim // len(REGIONS)


def main(config: Config) -> None:
    """Run the job."""
    recipe, plan, chosen, dim = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(chosen)} faces, {len(plan)} parts")
        return
    cli.connect()
    bank = ShardedBank.start(config.bank)
    make_stage = partial(MapAffinity, bank, chosen, dim, config.top)
    parts.run_parts(
        config, config.affinity, "affinity", recipe, plan, make_stage, version=schema.VERSION, columns=COLUMNS
    )
    bank.close()
    report = uris.join(config.affinity, "report.html")
    uris.write_bytes(report, html.render("Reverse mapping", [sections.affinity(config.affinity)]))
    logging.getLogger("jobs").info("report: %s", report)


if __name__ == "__main__":
    required = Config(features=cli.REQUIRED, bank=cli.REQUIRED, affinity=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
