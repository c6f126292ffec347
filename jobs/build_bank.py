"""Features to the bank: animals' region codes as unit vectors, sharded by face; and changes of a bank, each a new version of it.

ray job submit --working-dir . -- python -m jobs.build_bank --features s3://bucket/features --bank s3://bucket/bank
… --action add --features s3://bucket/more            the animals of another features table of the same model
… --action remove --face-ids ID ID --species wolf        faces by id (or @FILE, an id a line), or whole species
… --action compact --keep 1                           one segment a shard, indexes trained anew, old versions deleted
… --action verify                                     read everything and say what is wrong
"""

import logging
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.bank_changes import PLANS, make_version, written
from jobs.bank_config import Config, check_flags, choose_animals
from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.alignment import Alignment
from rupantara.bank.check import check
from rupantara.bank.choice import characteristic
from rupantara.bank.factory import plan_index
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.bank import CODES, BankSpec, BuildShard, fit_alignment, index_summary, model_of, write_spaces
from rupantara.storage import manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("build_bank", version=1)


def align(config: Config, dim: int, kind: str) -> Alignment:
    """Fit the alignment of the domains on the features' train split."""
    fitted = fit_alignment(config.features, dim, config.vectors, pooled=kind == "pooled") if kind != "none" else None
    if fitted is None and kind != "none":
        log.info("alignment is off: %s lacks train humans or animals", config.features)
    return fitted or Alignment.identity(dim)


def settings_of(config: Config) -> dict[str, Any]:
    """Return what decides the rows; flags at values that banks were made with before they were there are left out."""
    settings = cli.row_config(config, "features", "bank", "action", "face_ids", "species", "keep")
    codes = settings["vectors"] == CODES
    if settings["alignment"] == "auto":
        settings["alignment"] = "moments" if codes else "pooled"
    if codes:
        settings.pop("vectors")
    old = manifest.read(config.bank)
    removed = old.extra.get("removed", []) if old is not None and old.schema == "bank" else []
    return settings | ({"removed": removed} if removed else {})


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[BuildShard], BankSpec, dict[str, int]]:
    """Plan one part for each shard."""
    check_flags(config)
    features, settings = manifest.require(config.features, "features"), settings_of(config)
    dim = parts.vector_dim(config.features, features, config.vectors) // len(REGIONS)
    model = model_of(config.features, features, config.vectors)
    made_by = "region_vae" if config.vectors == CODES else config.vectors
    recipe = RECIPE.of(settings, {"features": features.content}, {made_by: model})
    alignment = align(config, dim, settings["alignment"])
    by_hash, removed = config.choose == "hash", settings.get("removed", ())
    chosen = choose_animals(config if by_hash else replace(config, most=0), frozenset(removed))
    if not by_hash:
        chosen = characteristic(
            config.features, chosen, alignment, config.most, vivid=config.choose == "vivid", column=config.vectors
        )
    half = config.store == "float16"
    plan_index(len(chosen) // config.num_shards, dim, config.index, half=half)
    spec = BankSpec(dim, model, alignment, half, config.index, config.target_recall, config.vectors)
    prefix = recipe.fingerprint[:12]
    make = partial(BuildShard, config.features, config.bank, prefix, config.num_shards, spec, frozenset(chosen))
    plan = [parts.Part(i, rows=pa.table({"shard": [i]})) for i in range(config.num_shards)]
    return recipe, plan, make, spec, dict(sorted(Counter(chosen.values()).items()))


def run_build(config: Config) -> None:
    """Build the bank whole."""
    recipe, plan, make_stage, spec, species = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(plan)} shards, faces by species {species}")
        return
    number = versions.next_number(config.bank)

    def finish() -> dict[str, Any]:
        files = list(written(config.bank, recipe.fingerprint, range(len(plan))).values())
        index = index_summary(config.bank, files, spec)
        spaces = write_spaces(config.features, config.bank, recipe.fingerprint[:12], spec)
        return {"version": number, "layout": [one.as_json() for one in files], "index": index, "spaces": spaces}

    complete = parts.run_parts(
        config,
        config.bank,
        "bank",
        recipe,
        plan,
        make_stage,
        version=schema.version_of("bank"),
        beside="index",
        finish=finish,
        keep_old=True,
        model_sha256=spec.model_sha256,
        vectors=spec.vectors,
        species=species,
        alignment=spec.alignment.as_json(),
        region_dim=spec.region_dim,
        removed=recipe.config.get("removed", []),
    )
    versions.keep_first(config.bank, complete)
    log.info("features by species: %s", {s: n * len(REGIONS) for s, n in species.items()})


def run_change(config: Config) -> None:
    """Make the next version of a bank; shards that nothing concerns keep their files."""
    check_flags(config)
    base = versions.mend(config.bank)
    change = PLANS[config.action](RECIPE, config, base)
    if change is None:
        log.info("nothing to do: version %d of %s", base.number, config.bank)
    elif config.dry_run:
        print(
            config, f"\nfingerprint {change.recipe.fingerprint}\nshards {list(change.shards)}, faces {change.species}"
        )
        return
    else:
        base = make_version(config, base, change)
        log.info("%s: version %d, features by species: %s", config.bank, base.number, base.species)
    if config.keep:
        log.info("pruned %d files", len(versions.prune(config.bank, config.keep)))


def run_verify(config: Config) -> None:
    """Check the newest version and print what it is; UserError with all that is wrong."""
    found = versions.mend(config.bank)
    wrong = check(found)
    print(versions.describe(found))
    if wrong:
        raise UserError(f"{config.bank} is damaged: {'; '.join(wrong)}")
    log.info("%s: version %d is whole", config.bank, found.number)


def main(config: Config) -> None:
    """Run the job."""
    if config.action == "build":
        run_build(config)
    elif config.action == "verify":
        check_flags(config)
        run_verify(config)
    else:
        run_change(config)


if __name__ == "__main__":
    cli.run(main, {"default": Config(bank=cli.REQUIRED)}, __doc__ or "")
