"""Features to the bank: animals' region codes as unit vectors, sharded by face; and changes of a bank, each a new version of it.

ray job submit --working-dir . -- python -m jobs.build_bank --features s3://bucket/features --bank s3://bucket/bank
… --action add --features s3://bucket/more            the animals of another features table of the same model
… --action remove --face-ids ID ID --species wolf        faces by id (or @FILE, an id a line), or whole species
… --action compact --keep 1                           one segment a shard, indexes trained anew, old versions deleted
… --action verify                                     read everything and say what is wrong
"""

import logging
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa

from jobs.runtime import bank_version, cli, table_run
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.bank import changes, check, choice, donors, versions
from rupantara.bank.factory import plan_index
from rupantara.bank.queries import write_spaces
from rupantara.bank.settings import BankSettings
from rupantara.bank.spec import CODES, BankSpec, made_by
from rupantara.errors import UserError
from rupantara.stages.bank import BuildShard
from rupantara.storage import id_lists, manifest, plan
from rupantara.storage.recipe import RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("build_bank", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common, BankSettings):
    """Build the bank, or change it."""

    OUTPUT: ClassVar[str] = "bank"

    action: Literal["build", "add", "remove", "compact", "verify"] = "build"
    """What to do. All but `build` work on a bank that there is, touch only the shards concerned, and commit a new version."""
    features: cli.Uri = ""
    """Features table (build, add)."""
    bank: cli.Uri
    """The bank: rows by shard, FAISS files in index/, manifests of its versions."""
    pictures: cli.Uri = ""
    """Faces table whose crops the bank carries beside its codes, so that hybrids can show their fur (build; "" = region codes alone)."""
    looks: Literal["pictures", "codes"] = "pictures"
    """With --pictures: the crops themselves, or each animal's whole code in their place, which the decoder shows (build)."""
    num_shards: Annotated[int, cli.Range(1)] = 2
    """Shards, by the hash of face_id; one actor each serves them (build)."""
    target_recall: Annotated[float, cli.Range(0.01, 1)] = 0.99
    """Recall of the ten nearest that every approximate index must reach on queries that are not in the bank (build)."""
    face_ids: tuple[str, ...] = ()
    """Face ids to remove, or @PATH of a list: a text file, one a line, or a spreadsheet's CSV, whose first column counts (remove). The
    bank remembers those that it held: neither `add` nor `build --overwrite` takes them up again."""
    remember_unknown: bool = False
    """Remember also ids that the bank does not hold (remove)."""
    species: tuple[str, ...] = ()
    """Species to remove (remove)."""
    keep: int = 0
    """Delete all versions but this many, and the files that only they stood on (0 = keep all; add, remove, compact)."""


def check_flags(config: Config) -> None:
    """Raise UserError for flags that the action has no use for."""
    if config.action in ("build", "add") and not config.features:
        raise UserError(f"--action {config.action} needs --features")
    named = bool(config.face_ids or config.species)
    if named and config.action != "remove":
        raise UserError(f"--face-ids and --species are of --action remove, got --action {config.action}")
    if config.action == "remove" and not named:
        raise UserError("--action remove needs --face-ids or --species")


def settings_of(config: Config) -> dict[str, Any]:
    """Return what decides the rows; a flag at the value that banks had before there was the flag is left out."""
    skipped = ["action", "face_ids", "species", "keep", "remember_unknown", "looks", *cli.places(Config)]
    skipped += ["vectors"] if config.vectors == CODES else []
    settings = cli.row_config(config, *skipped) | {"alignment": config.aligned}
    settings |= {"looks": config.looks} if config.pictures else {}
    removed = versions.removed(config.bank)
    return settings | ({"removed": removed} if removed else {})


def build(config: Config) -> TableRun:
    """Plan one part for each shard."""
    tables = {"features": "features"} | ({"pictures": "faces"} if config.pictures else {})
    inputs = {flag: manifest.require(getattr(config, flag), kind).content for flag, kind in tables.items()}
    spec, settings = config.spec(config.features, config.target_recall), settings_of(config)
    removed = settings.get("removed", [])
    recipe = RECIPE.of(settings, inputs, {made_by(spec.vectors): spec.model_sha256})
    chosen = config.animals(config.features, config.seed).chosen(spec.alignment, removed)
    ids, species, prefix = frozenset(chosen), dict(sorted(Counter(chosen.values()).items())), recipe.fingerprint[:12]
    plan_index(len(chosen) // config.num_shards, spec.region_dim, config.index, half=spec.half)
    extra: dict[str, Any] = {"model_sha256": spec.model_sha256, "species": species, "vectors": spec.vectors}
    extra |= {"alignment": spec.alignment.as_json(), "region_dim": spec.region_dim, "removed": removed}
    return TableRun(
        output=config.bank,
        schema="bank",
        recipe=recipe,
        plan=plan.of_blocks(pa.table({"shard": range(config.num_shards)}), 1),
        make_stage=partial(BuildShard, config.features, config.bank, prefix, config.num_shards, spec, ids),
        beside=("index",),
        extra={**extra, "version": versions.next_number(config.bank)},
        prepare=lambda: {"spaces": write_spaces(config.features, config.bank, prefix, spec)},
        reduce=partial(finish, config, recipe.fingerprint, spec, ids),
        keep_old=True,
        told=f"shards, faces by species {species}",
    )


def finish(config: Config, fingerprint: str, spec: BankSpec, chosen: frozenset[str]) -> Reduced:
    """Write the animals' looks beside the bank where they are asked for, and describe its files."""
    if config.pictures:
        count = donors.write(config.bank, config.pictures, chosen, config.features if config.looks == "codes" else "")
        log.info("%d animals with %s", count, config.looks)
    return Reduced(changes.layout(config.bank, fingerprint, range(config.num_shards), spec))


def plan_change(config: Config, base: versions.BankVersion) -> changes.Change | None:
    """Plan the next version; None when nothing changes."""
    if config.action == "add":
        chosen = choice.choose_animals(config.features, config.splits, config.most, config.seed)
        settings = {"splits": list(config.splits), "most": config.most, "seed": config.seed}
        return changes.plan_add(RECIPE.of, base, config.features, chosen, settings)
    if config.action == "compact":
        return changes.plan_compact(RECIPE.of, base)
    ids = [i for name in config.face_ids for i in id_lists.named(name)]
    return changes.plan_remove(RECIPE.of, base, ids, config.species, remember_unknown=config.remember_unknown)


def main(config: Config) -> None:
    """Build, change or check."""
    check_flags(config)
    if config.action == "build":
        if complete := table_run.make(config, build(config)):
            versions.keep_first(config.bank, complete)
        return
    base = versions.mend(config.bank)
    if config.action == "verify":
        print(versions.describe(base))
        check.require_whole(base)
        log.info("%s: version %d is whole", config.bank, base.number)
        return
    bank_version.make(config, base, plan_change(config, base), keep=config.keep)


if __name__ == "__main__":
    cli.run(main, {"default": Config(bank=cli.REQUIRED)}, __doc__ or "")
