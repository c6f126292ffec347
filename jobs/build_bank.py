"""Features to the bank: animals' region codes as unit vectors, sharded by face, with a FAISS index a region and shard.

ray job submit --working-dir . -- python -m jobs.build_bank --features s3://bucket/features --bank s3://bucket/bank
"""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Literal

import pyarrow as pa

from jobs import cli, parts
from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.bank import BuildShard, fit_alignment
from rupantara.stages.faces import at_most
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe, code_version

log = logging.getLogger("jobs")
CODE = ("bank", "stages/bank.py", "metrics/cosine.py")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Build the bank."""

    features: str
    """Features table."""
    bank: str
    """Output: rows by shard, and FAISS files in index/."""
    num_shards: int = 2
    """Shards, by the hash of face_id; one actor each serves them."""
    splits: tuple[str, ...] = schema.SPLITS
    """Splits of the animals that go in."""
    most: int = 0
    """Most faces of each species, chosen by hash (0 = all)."""
    store: Literal["float32", "float16"] = "float32"
    """Type of the stored vectors."""
    index: bool = True
    """Write FAISS files beside the rows; without, shards build their index as they load."""
    alignment: Literal["moments", "none"] = "moments"
    """`moments` takes each domain's mean and spread out of the codes before they are compared; `none` compares raw codes."""


def align(config: Config, dim: int) -> Alignment:
    """Fit the alignment of the domains on the features' train split."""
    fitted = fit_alignment(config.features, dim) if config.alignment == "moments" else None
    if fitted is None and config.alignment == "moments":
        log.info("alignment is off: %s lacks train humans or animals", config.features)
    return fitted or Alignment.identity(dim)


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[BuildShard], Alignment, dict[str, int]]:
    """Plan one part for each shard."""
    if config.num_shards < 1:
        raise UserError(f"--num-shards must be at least 1, got {config.num_shards}")
    features = manifest.require(config.features, "features")
    model = features.extra["model_sha256"]
    settings = cli.row_config(config, "features", "bank")
    recipe = Recipe("build_bank", code_version(CODE), settings, {"features": features.content}, {"region_vae": model})
    chosen = choose_animals(config)
    dim = parts.vector_dim(config.features, features, "regions_mu") // len(REGIONS)
    alignment = align(config, dim)
    make_stage = partial(
        BuildShard,
        config.features,
        config.bank,
        recipe.fingerprint[:12],
        config.num_shards,
        dim,
        model,
        frozenset(chosen),
        alignment,
        store=pa.float16() if config.store == "float16" else pa.float32(),
        index=config.index,
    )
    plan = [parts.Part(i, rows=pa.table({"shard": [i]})) for i in range(config.num_shards)]
    return recipe, plan, make_stage, alignment, dict(sorted(Counter(chosen.values()).items()))


def choose_animals(config: Config) -> dict[str, str]:
    """Choose the animals that go into the bank: id -> species; UserError when there are none."""
    rows = tables.read(config.features, ("face_id", "domain", "species", "split"), schema="features")
    by_species: dict[str, dict[str, str]] = {}
    for row in rows.to_pylist():
        if row["domain"] == "animal" and row["split"] in config.splits:
            by_species.setdefault(row["species"], {})[row["face_id"]] = row["species"]
    if not by_species:
        raise UserError(f"{config.features} must have animals of the splits {', '.join(config.splits)}, got none")
    return {i: s for ids in by_species.values() for i, s in at_most(ids, config.most, config.seed).items()}


def main(config: Config) -> None:
    """Run the job."""
    recipe, plan, make_stage, alignment, species = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(plan)} shards, faces by species {species}")
        return
    model = recipe.models["region_vae"]
    parts.run_parts(
        config,
        config.bank,
        "bank",
        recipe,
        plan,
        make_stage,
        version=schema.VERSION,
        beside="index",
        model_sha256=model,
        species=species,
        alignment=alignment.as_json(),
    )
    log.info("features by species: %s", {s: n * len(REGIONS) for s, n in species.items()})


if __name__ == "__main__":
    cli.run(main, {"default": Config(features=cli.REQUIRED, bank=cli.REQUIRED)}, __doc__ or "")
