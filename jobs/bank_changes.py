"""Changes of a bank, each a new version: which shards an addition, a removal or a compaction touches, and what they hold afterwards."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from jobs.bank_config import Config, choose_animals, named
from jobs.runtime import parts
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.rows import shard_of
from rupantara.bank.versions import BankVersion, ShardFiles
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.bank import CODES, ChangeShard, index_path, index_summary, model_of, settings_path, spec_of
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")


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


def recipe_of(spec: RecipeSpec, config: Config, base: BankVersion, inputs: dict[str, str], **settings: Any) -> Recipe:
    """Return the recipe of a change: the bank's own settings stay with it, so that the next change finds them."""
    kept = {
        name: base.manifest.recipe.config[name]
        for name in ("store", "index", "target_recall", "alignment", "num_shards")
    }
    vectors = base.vectors
    kept |= {"vectors": vectors} if vectors != CODES else {}
    settings = kept | {"action": config.action} | settings
    return spec.of(settings, {"bank": base.content} | inputs, {"region_vae": base.model_sha256})


def ids_of(base: BankVersion) -> dict[str, str]:
    """Read the faces of a bank: id -> species."""
    out: dict[str, str] = {}
    for shard in range(len(base.shards)):
        rows = schema.where(base.rows(shard, ("face_id", "species", "region")), region=REGIONS[0])
        out |= dict(zip(rows["face_id"].to_pylist(), rows["species"].to_pylist(), strict=True))
    return out


def plan_add(spec: RecipeSpec, config: Config, base: BankVersion) -> Change | None:
    """Plan to add the animals of a features table that the bank does not hold yet."""
    features = manifest.require(config.features, "features")
    model = model_of(config.features, features, base.vectors)
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
    recipe = recipe_of(spec, config, base, {"features": features.content}, **settings)
    options = {"features": config.features, "chosen": frozenset(fresh)}
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), **options)
    return Change(recipe, shards, stage, dict(Counter(base.species) + Counter(fresh.values())), False, base.removed)


def plan_remove(spec: RecipeSpec, config: Config, base: BankVersion) -> Change | None:
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
    recipe = recipe_of(spec, config, base, {}, removed=sorted(gone), barred=list(barred))
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), removed=frozenset(gone))
    species = dict(Counter(base.species) - Counter(gone.values()))
    return Change(recipe, shards, stage, species, True, barred)


def plan_compact(spec: RecipeSpec, config: Config, base: BankVersion) -> Change | None:
    """Plan to write the shards of several segments as one, their indexes trained anew."""
    shards = tuple(i for i, one in enumerate(base.shards) if len(one.segments) > 1)
    if not shards:
        return None
    recipe = recipe_of(spec, config, base, {})
    stage = partial(ChangeShard, base, recipe.fingerprint[:12], spec_of(base), retrain=True)
    return Change(recipe, shards, stage, base.species, True, base.removed)


PLANS = {"add": plan_add, "remove": plan_remove, "compact": plan_compact}


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
