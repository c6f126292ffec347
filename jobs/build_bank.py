"""Features to the bank: animals' region codes as unit vectors, sharded by face; and changes of a bank, each a new version of it.

ray job submit --working-dir . -- python -m jobs.build_bank --features s3://bucket/features --bank s3://bucket/bank
… --action add --features s3://bucket/more            the animals of another features table of the same model
… --action remove --face-ids ID ID --species wolf        faces by id (or @FILE, an id a line), or whole species
… --action compact --keep 1                           one segment a shard, indexes trained anew, old versions deleted
… --action verify                                     read everything and say what is wrong
"""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from jobs import cli, parts
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.alignment import Alignment
from rupantara.bank.check import check
from rupantara.bank.factory import plan_index
from rupantara.bank.rows import shard_of
from rupantara.bank.versions import BankVersion, ShardFiles
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.bank import (
    BankSpec,
    BuildShard,
    ChangeShard,
    fit_alignment,
    index_path,
    index_summary,
    settings_path,
    spec_of,
    typical,
)
from rupantara.stages.faces import at_most
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.recipe import Recipe, code_version

log = logging.getLogger("jobs")
CODE = ("bank", "stages/bank.py", "metrics/cosine.py")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Build the bank, or change it."""

    action: Literal["build", "add", "remove", "compact", "verify"] = "build"
    """What to do. All but `build` work on a bank that there is, touch only the shards concerned, and commit a new version."""
    features: str = ""
    """Features table (build, add)."""
    bank: str
    """The bank: rows by shard, FAISS files in index/, manifests of its versions."""
    num_shards: int = 2
    """Shards, by the hash of face_id; one actor each serves them (build)."""
    splits: tuple[str, ...] = schema.SPLITS
    """Splits of the animals that go in (build, add)."""
    most: int = 0
    """Most faces of each species (0 = all; build, add)."""
    choose: Literal["hash", "typical"] = "hash"
    """How `most` are chosen: by hash, or those whose aligned codes point most nearly where their species' mean does, which in a
    small bank leaves out faces that are turned away or badly cut (build)."""
    store: Literal["float32", "float16"] = "float32"
    """Type of the stored vectors (build)."""
    index: str = "auto"
    """`flat` (scan), a FAISS factory string that ends in RFlat or Refine(SQfp16), or `auto`: flat up to 100,000 faces a shard, then
    an inverted file of fast-scan product codes, ranked again by the stored vectors (build)."""
    target_recall: float = 0.99
    """Recall of the ten nearest that every approximate index must reach on queries that are not in the bank (build)."""
    alignment: Literal["moments", "none"] = "moments"
    """`moments` takes each domain's mean and spread out of the codes before they are compared; `none` compares raw codes (build)."""
    face_ids: tuple[str, ...] = ()
    """Face ids to remove, or @PATH of a file with one a line (remove). The bank remembers them, also those that it does not hold:
    neither `add` nor `build --overwrite` takes them up again."""
    species: tuple[str, ...] = ()
    """Species to remove (remove)."""
    keep: int = 0
    """Delete all versions but this many, and the files that only they stood on (0 = keep all; add, remove, compact)."""


def align(config: Config, dim: int) -> Alignment:
    """Fit the alignment of the domains on the features' train split."""
    fitted = fit_alignment(config.features, dim) if config.alignment == "moments" else None
    if fitted is None and config.alignment == "moments":
        log.info("alignment is off: %s lacks train humans or animals", config.features)
    return fitted or Alignment.identity(dim)


def build(config: Config) -> tuple[Recipe, list[parts.Part], partial[BuildShard], BankSpec, dict[str, int]]:
    """Plan one part for each shard."""
    check_flags(config)
    features = manifest.require(config.features, "features")
    model = features.extra["model_sha256"]
    settings = cli.row_config(config, "features", "bank", "action", "face_ids", "species", "keep")
    recipe = Recipe("build_bank", code_version(CODE), settings, {"features": features.content}, {"region_vae": model})
    dim = parts.vector_dim(config.features, features, "regions_mu") // len(REGIONS)
    alignment = align(config, dim)
    old = manifest.read(config.bank)
    removed = old.extra.get("removed", []) if old is not None and old.schema == "bank" else []
    if removed:
        settings["removed"] = removed
        recipe = Recipe("build_bank", recipe.code, settings, recipe.inputs, recipe.models)
    candidates = choose_animals(replace(config, most=0) if config.choose == "typical" else config, frozenset(removed))
    chosen = typical(config.features, candidates, alignment, config.most) if config.choose == "typical" else candidates
    half = config.store == "float16"
    plan_index(len(chosen) // config.num_shards, dim, config.index, half=half)
    spec = BankSpec(dim, model, alignment, half, config.index, config.target_recall)
    prefix = recipe.fingerprint[:12]
    make = partial(BuildShard, config.features, config.bank, prefix, config.num_shards, spec, frozenset(chosen))
    plan = [parts.Part(i, rows=pa.table({"shard": [i]})) for i in range(config.num_shards)]
    return recipe, plan, make, spec, dict(sorted(Counter(chosen.values()).items()))


def check_flags(config: Config) -> None:
    """Raise UserError for flags out of range, or that the action has no use for."""
    if config.num_shards < 1:
        raise UserError(f"--num-shards must be at least 1, got {config.num_shards}")
    if not 0 < config.target_recall <= 1:
        raise UserError(f"--target-recall must be above 0 and at most 1, got {config.target_recall:g}")
    if config.keep < 0:
        raise UserError(f"--keep must not be negative, got {config.keep}")
    if config.action in ("build", "add") and not config.features:
        raise UserError(f"--action {config.action} needs --features")
    if (config.face_ids or config.species) != () and config.action != "remove":
        raise UserError(f"--face-ids and --species are of --action remove, got --action {config.action}")
    if config.action == "remove" and not (config.face_ids or config.species):
        raise UserError("--action remove needs --face-ids or --species")


def choose_animals(config: Config, barred: frozenset[str] = frozenset()) -> dict[str, str]:
    """Choose the animals that go into the bank, without those barred: id -> species; UserError when there are none."""
    rows = tables.read(config.features, ("face_id", "domain", "species", "split"), schema="features")
    by_species: dict[str, dict[str, str]] = {}
    for row in rows.to_pylist():
        if row["domain"] == "animal" and row["split"] in config.splits and row["face_id"] not in barred:
            by_species.setdefault(row["species"], {})[row["face_id"]] = row["species"]
    if not by_species:
        raise UserError(f"{config.features} must have animals of the splits {', '.join(config.splits)}, got none")
    return {i: s for ids in by_species.values() for i, s in at_most(ids, config.most, config.seed).items()}


def written(bank: str, fingerprint: str, shards: Sequence[int]) -> dict[int, ShardFiles]:
    """Find what a recipe wrote for these shards, a part each: the segment, and the FAISS files if there are any."""
    prefix = fingerprint[:12]
    listed = {f"index/{f.path}" for f in uris.list_files(uris.join(bank, "index"), recursive=False)}
    out = {}
    for part, shard in enumerate(shards):
        segment, settings = tables.part_path(fingerprint, part), settings_path(prefix, shard)
        names = {region: index_path(prefix, shard, region) for region in REGIONS}
        out[shard] = ShardFiles((segment,), names, settings) if settings in listed else ShardFiles((segment,), {})
    return out


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
        return {"version": number, "layout": [one.as_json() for one in files], "index": index}

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
        model_sha256=recipe.models["region_vae"],
        species=species,
        alignment=spec.alignment.as_json(),
        region_dim=spec.region_dim,
        removed=recipe.config.get("removed", []),
    )
    versions.keep_first(config.bank, complete)
    log.info("features by species: %s", {s: n * len(REGIONS) for s, n in species.items()})


@dataclass(frozen=True)
class Change:
    """A new version in the making: the shards that it touches, the stage that makes their segments, and the faces afterwards."""

    recipe: Recipe
    shards: tuple[int, ...]
    stage: Any
    species: dict[str, int]
    replaces: bool
    """Whether the new segments take the place of the shards' old ones."""
    removed: tuple[str, ...]
    """Faces that were removed by id, now or before."""


def recipe_of(config: Config, base: BankVersion, inputs: dict[str, str], **settings: Any) -> Recipe:
    """Return the recipe of a change: the bank's own settings stay with it, so that the next change finds them."""
    kept = {
        name: base.manifest.recipe.config[name]
        for name in ("store", "index", "target_recall", "alignment", "num_shards")
    }
    settings = kept | {"action": config.action} | settings
    return Recipe(
        "build_bank", code_version(CODE), settings, {"bank": base.content} | inputs, {"region_vae": base.model_sha256}
    )


def ids_of(base: BankVersion) -> dict[str, str]:
    """Read the faces of a bank: id -> species."""
    out: dict[str, str] = {}
    for shard in range(len(base.shards)):
        rows = schema.where(base.rows(shard, ("face_id", "species", "region")), region=REGIONS[0])
        out |= dict(zip(rows["face_id"].to_pylist(), rows["species"].to_pylist(), strict=True))
    return out


def plan_add(config: Config, base: BankVersion) -> Change | None:
    """Plan to add the animals of a features table that the bank does not hold yet."""
    features = manifest.require(config.features, "features")
    model = features.extra["model_sha256"]
    if model != base.model_sha256:
        raise UserError(f"--features and --bank must be of one model, got {model[:12]} and {base.model_sha256[:12]}")
    known, chosen = ids_of(base), choose_animals(config)
    barred = frozenset(base.removed)
    fresh = {i: s for i, s in chosen.items() if i not in known and i not in barred}
    log.info("%d of %d faces are in the bank already", len(chosen.keys() & known.keys()), len(chosen))
    if chosen.keys() & barred:
        log.info("%d faces stay out: they were removed by id", len(chosen.keys() & barred))
    if not fresh:
        return None
    shards = tuple(sorted({shard_of(i, len(base.shards)) for i in fresh}))
    settings = {"splits": list(config.splits), "most": config.most, "seed": config.seed}
    recipe = recipe_of(config, base, {"features": features.content}, **settings)
    options = {"features": config.features, "chosen": frozenset(fresh)}
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), **options)
    return Change(recipe, shards, stage, dict(Counter(base.species) + Counter(fresh.values())), False, base.removed)


def plan_remove(config: Config, base: BankVersion) -> Change | None:
    """Plan to write the shards of some faces anew without them."""
    known = ids_of(base)
    wanted = {line for name in config.face_ids for line in named(name)}
    strange = sorted(set(config.species) - set(base.species))
    if strange:
        raise UserError(f"--species must be of the bank's {', '.join(sorted(base.species))}, got {', '.join(strange)}")
    gone = {i: s for i, s in known.items() if i in wanted or s in config.species}
    absent = sorted(wanted - set(known))
    if absent:
        log.info("%d of %d faces are not in the bank, the first is %s", len(absent), len(wanted), absent[0])
    if wanted:
        log.info("%d faces are remembered as removed: no add or build of this bank takes them up", len(wanted))
    barred = tuple(sorted({*base.removed, *wanted}))
    if not gone and barred == base.removed:
        return None
    if len(gone) == len(known):
        raise UserError(f"{config.bank} must keep at least one face, --action remove names all {len(known)}")
    shards = tuple(sorted({shard_of(i, len(base.shards)) for i in gone}))
    recipe = recipe_of(config, base, {}, removed=sorted(gone), barred=list(barred))
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), removed=frozenset(gone))
    species = dict(Counter(base.species) - Counter(gone.values()))
    return Change(recipe, shards, stage, species, True, barred)


def named(face: str) -> list[str]:
    """Return the ids that a flag names: itself, or the lines of @PATH."""
    if not face.startswith("@"):
        return [face]
    return [line.strip() for line in uris.read_bytes(face[1:]).decode().splitlines() if line.strip()]


def plan_compact(config: Config, base: BankVersion) -> Change | None:
    """Plan to write the shards of several segments as one, their indexes trained anew."""
    shards = tuple(i for i, one in enumerate(base.shards) if len(one.segments) > 1)
    if not shards:
        return None
    recipe = recipe_of(config, base, {})
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), retrain=True)
    return Change(recipe, shards, stage, base.species, True, base.removed)


PLANS = {"add": plan_add, "remove": plan_remove, "compact": plan_compact}


def run_change(config: Config) -> None:
    """Make the next version of a bank; shards that nothing concerns keep their files."""
    check_flags(config)
    base = versions.mend(config.bank)
    change = PLANS[config.action](config, base)
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


def make_version(config: Config, base: BankVersion, change: Change) -> BankVersion:
    """Write the new segments, those that a killed run left undone, and commit; RefusedError when another writer was first."""
    fingerprint, started = change.recipe.fingerprint, time.monotonic()
    done = tables.done_parts(config.bank, fingerprint)
    plan = [parts.Part(i, rows=pa.table({"shard": [shard]})) for i, shard in enumerate(change.shards)]
    pending = [part for part in plan if part.index not in done]
    if pending:
        parts.stream(config, pending, change.stage, config.bank, "build_bank", fingerprint, None)
    new = written(config.bank, fingerprint, change.shards)
    shards = [
        replace(one, segments=one.segments if change.replaces else (*base.shards[i].segments, *one.segments))
        if (one := new.get(i))
        else base.shards[i]
        for i in range(len(base.shards))
    ]
    files = data_files(config.bank, base.manifest, shards)
    rows = sum(f.rows for f in files)
    index = index_summary(config.bank, shards, spec_of(base))
    extra = base.manifest.extra | {"species": dict(sorted(change.species.items())), "index": index}
    extra |= {"layout": [one.as_json() for one in shards], "removed": list(change.removed)}
    made = Manifest(
        "bank",
        schema.version_of("bank"),
        change.recipe,
        "complete",
        {"in": rows, "accepted": rows, "rejected": {}},
        round(time.monotonic() - started, 1),
        tuple(files),
        extra,
    )
    return versions.commit(base, made)


def data_files(bank: str, old: Manifest, shards: Sequence[ShardFiles]) -> list[DataFile]:
    """List the files of a version, the rows' first."""
    known = {file.path: file for file in old.files}
    sizes = {f"{d}/{f.path}": f.size for d in ("data", "index") for f in uris.list_files(uris.join(bank, d))}
    segments = [path for one in shards for path in one.segments]
    others = [path for one in shards for path in (*one.index.values(), one.settings) if path]
    rows = {path: 0 if path in known else tables.read_footer(bank, path).num_rows for path in segments}
    return [known.get(path) or DataFile(path, rows.get(path, 0), sizes[path]) for path in (*segments, *others)]


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
