"""Changes of a bank, each a new version: which shards an addition, a removal or a compaction touches, and what they hold afterwards."""

import logging
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.indexes import index_summary
from rupantara.bank.rows import shard_of
from rupantara.bank.spec import CODES, BankSpec, index_path, made_by, model_of, settings_path, spec_of
from rupantara.bank.versions import BankVersion, ShardFiles
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables, uris
from rupantara.storage.manifest import DataFile, Manifest
from rupantara.storage.parts import sizes_of
from rupantara.storage.recipe import Recipe

log = logging.getLogger(__name__)

MakeRecipe = Callable[[Mapping[str, Any], Mapping[str, str], Mapping[str, str]], Recipe]
"""Makes the recipe of the job out of settings, inputs and models."""


@dataclass(frozen=True)
class Change:
    """A new version in the making: the shards that it touches, how their segments are made, and the faces afterwards."""

    recipe: Recipe
    shards: tuple[int, ...]
    species: dict[str, int]
    removed: tuple[str, ...]
    """Faces that were removed by id, now or before."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of `stages.bank.ChangeShard`; without `features` the new segments take the place of the shards' old ones."""

    @property
    def replaces(self) -> bool:
        """Tell whether the new segments take the place of the shards' old ones."""
        return "features" not in self.options


def recipe_of(
    make: MakeRecipe, base: BankVersion, action: str, inputs: Mapping[str, str] | None = None, **settings: Any
) -> Recipe:
    """Return the recipe of a change: the bank's own settings stay with it, so that the next change finds them."""
    names = ("store", "index", "target_recall", "alignment", "num_shards")
    kept = {name: base.manifest.recipe.config[name] for name in names}
    kept |= {"vectors": base.vectors} if base.vectors != CODES else {}
    inputs = {"bank": base.content, **(inputs or {})}
    return make(kept | {"action": action} | settings, inputs, {made_by(base.vectors): base.model_sha256})


def ids_of(base: BankVersion) -> dict[str, str]:
    """Read the faces of a bank: id -> species."""
    out: dict[str, str] = {}
    for shard in range(len(base.shards)):
        rows = schema.where(base.rows(shard, ("face_id", "species", "region")), region=REGIONS[0])
        out |= dict(zip(rows["face_id"].to_pylist(), rows["species"].to_pylist(), strict=True))
    return out


def plan_add(
    make: MakeRecipe, base: BankVersion, features: str, chosen: Mapping[str, str], settings: Mapping[str, Any]
) -> Change | None:
    """Plan to add the chosen animals (id -> species) of a features table that the bank does not hold yet."""
    found = manifest.require(features, "features")
    model = model_of(features, found, base.vectors)
    if model != base.model_sha256:
        raise UserError(f"--features and --bank must be of one model, got {model[:12]} and {base.model_sha256[:12]}")
    known, barred = ids_of(base), frozenset(base.removed)
    fresh = {i: s for i, s in chosen.items() if i not in known and i not in barred}
    log.info("%d of %d faces are in the bank already", len(chosen.keys() & known.keys()), len(chosen))
    if chosen.keys() & barred:
        log.info("%d faces stay out: they were removed by id", len(chosen.keys() & barred))
    if not fresh:
        return None
    shards = tuple(sorted({shard_of(i, len(base.shards)) for i in fresh}))
    recipe = recipe_of(make, base, "add", {"features": found.content}, **settings)
    options = {"features": features, "chosen": frozenset(fresh)}
    return Change(recipe, shards, dict(Counter(base.species) + Counter(fresh.values())), base.removed, options)


def plan_remove(
    make: MakeRecipe, base: BankVersion, ids: Collection[str], species: Collection[str], *, remember_unknown: bool
) -> Change | None:
    """Plan to write the shards of some faces anew without them; ids that the bank does not hold are named, and remembered if asked."""
    known, wanted = ids_of(base), set(ids)
    strange = sorted(set(species) - set(base.species))
    if strange:
        raise UserError(f"--species must be of the bank's {', '.join(sorted(base.species))}, got {', '.join(strange)}")
    gone = {i: s for i, s in known.items() if i in wanted or s in species}
    unknown = sorted(wanted - known.keys())
    if unknown:
        log.info(
            "%d of %d faces are not in the bank%s: %s%s",
            *(len(unknown), len(wanted), "" if remember_unknown else " (--remember-unknown bars them from it)"),
            *(", ".join(unknown[:5]), ", …" if len(unknown) > 5 else ""),
        )
    remembered = wanted if remember_unknown else wanted & known.keys()
    if remembered:
        log.info("%d faces are remembered as removed: no add or build of this bank takes them up", len(remembered))
    barred = tuple(sorted({*base.removed, *remembered}))
    if not gone and barred == base.removed:
        return None
    if len(gone) == len(known):
        raise UserError(f"{base.uri} must keep at least one face, --action remove names all {len(known)}")
    shards = tuple(sorted({shard_of(i, len(base.shards)) for i in gone}))
    recipe = recipe_of(make, base, "remove", removed=sorted(gone), barred=list(barred))
    left = dict(Counter(base.species) - Counter(gone.values()))
    return Change(recipe, shards, left, barred, {"removed": frozenset(gone)})


def plan_compact(make: MakeRecipe, base: BankVersion) -> Change | None:
    """Plan to write the shards of several segments as one, their indexes trained anew."""
    shards = tuple(i for i, one in enumerate(base.shards) if len(one.segments) > 1)
    if not shards:
        return None
    return Change(recipe_of(make, base, "compact"), shards, base.species, base.removed, {"retrain": True})


def commit(base: BankVersion, change: Change, seconds: float) -> BankVersion:
    """Commit the version whose segments are all written; RefusedError when another writer was first."""
    new = written(base.uri, change.recipe.fingerprint, change.shards)
    shards = [
        replace(one, segments=one.segments if change.replaces else (*base.shards[i].segments, *one.segments))
        if (one := new.get(i))
        else base.shards[i]
        for i in range(len(base.shards))
    ]
    files = data_files(base.uri, base.manifest, shards)
    rows = sum(f.rows for f in files)
    extra = base.manifest.extra | {"species": dict(sorted(change.species.items()))}
    extra |= {"index": index_summary(base.uri, shards, spec_of(base)), "removed": list(change.removed)}
    extra |= {"layout": [one.as_json() for one in shards]}
    counts = {"in": rows, "accepted": rows, "rejected": {}}
    version = schema.version_of("bank")
    made = Manifest("bank", version, change.recipe, "complete", counts, round(seconds, 1), tuple(files), extra)
    return versions.commit(base, made)


def data_files(bank: str, old: Manifest, shards: Sequence[ShardFiles]) -> list[DataFile]:
    """List the files of a version, the rows' first."""
    known = {file.path: file for file in old.files}
    sizes = sizes_of(bank) | {f"index/{f.path}": f.size for f in uris.list_files(uris.join(bank, "index"))}
    segments = [path for one in shards for path in one.segments]
    others = [path for one in shards for path in (*one.index.values(), one.settings) if path]
    rows = {path: 0 if path in known else tables.read_footer(bank, path).num_rows for path in segments}
    return [known.get(path) or DataFile(path, rows.get(path, 0), sizes[path]) for path in (*segments, *others)]


def layout(bank: str, fingerprint: str, shards: Sequence[int], spec: BankSpec) -> dict[str, Any]:
    """Return what the manifest of a whole build says: which files each shard became, and what their indexes reach."""
    files = list(written(bank, fingerprint, shards).values())
    return {"layout": [one.as_json() for one in files], "index": index_summary(bank, files, spec)}


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
