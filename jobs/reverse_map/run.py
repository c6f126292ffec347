"""The table run of reverse mapping: what faces are compared with is gathered, parts are mapped, and what reports need is kept beside."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from jobs.reverse_map.config import Config, check
from jobs.reverse_map.inputs import PART_PHOTOS, PART_ROWS, Inputs, inputs_of
from jobs.reverse_map.report import report
from jobs.runtime import cli, table_run
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.bank import sampling, versions
from rupantara.bank.reference_file import ReferenceFile
from rupantara.bank.spaces import meaning
from rupantara.compute import Compute
from rupantara.metrics.affinity_file import encode_about
from rupantara.metrics.affinity_summary import Members
from rupantara.stages.affinity import MapOptions, own_species
from rupantara.stages.affinity_parts import MapParts, MapPlan
from rupantara.stages.affinity_reference import Compared, gather
from rupantara.stages.affinity_rows import MadeRows
from rupantara.storage import uris
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("reverse_map", version=5)
PLACED = 5000
"""Faces, about, over which the animals' share of the intervals is measured."""


def build(config: Config) -> TableRun:
    """Check that faces and bank are of one network; plan the parts."""
    check(config)
    bank = versions.latest(config.bank)
    found = inputs_of(config, bank)
    settings = cli.row_config(config, "features", "faces", "photos", "weights", "bank", "affinity", "cards")
    # What a part holds must not change between a kill and the resuming.
    settings |= {"part_rows": PART_ROWS, "part_photos": PART_PHOTOS}
    recipe = RECIPE.of(settings, {**found.sources, "bank": bank.content}, dict(found.models))
    places = {name: f"reference/{recipe.fingerprint[:12]}-{name}.npz" for name in ("members", "about")}
    mapping = map_plan(config, found, bank, uris.join(config.affinity, places["members"]))
    return TableRun(
        output=config.affinity,
        schema="affinity",
        recipe=recipe,
        plan=found.plan(recipe.fingerprint),
        make_stage=partial(stage, mapping, found.make_rows, **({} if found.computes else {"compute": Compute()})),
        computes=found.computes,
        columns=found.columns,
        beside=("reference", *found.beside),
        prepare=partial(prepare, config, bank, found, mapping, recipe.fingerprint, places),
        reduce=partial(reduce, config, bank.vectors, mapping.reference, uris.join(config.affinity, places["about"])),
        report=partial(report, config),
    )


def map_plan(config: Config, found: Inputs, bank: versions.BankVersion, reference: str) -> MapPlan:
    """Say which faces are mapped, and how: in the first space all, in the others a share by hash."""
    faces = min(config.limit or found.faces, found.faces)
    options = MapOptions(config.top, placed_share=share(PLACED, faces), seed=config.seed)
    others = share(config.others, faces)
    wanted = {"domain": str(config.of)} | ({"split": str(config.split)} if config.split else {})
    return MapPlan(
        reference,
        config.spaces,
        bank.vectors,
        options,
        replace(options, mapped_share=others, placed_share=min(1.0, options.placed_share / others)),
        wanted,
        sampling.first_ids(config.features or config.faces, wanted, config.limit) if config.limit else None,
    )


def share(wanted: int, faces: int) -> float:
    """Return the share of all faces that is about as many as wanted (0 = all)."""
    return min(1.0, wanted / max(faces, 1)) if wanted else 1.0


def stage(mapping: MapPlan, make_rows: Callable[[Compute], MadeRows], compute: Compute) -> MapParts:
    """Build the stage on what Ray gave the worker."""
    return MapParts(mapping, make_rows(compute))


def prepare(
    config: Config,
    bank: versions.BankVersion,
    found: Inputs,
    mapping: MapPlan,
    fingerprint: str,
    places: dict[str, str],
) -> dict[str, Any]:
    """Gather what faces are compared with into one file; a resumed run finds it there."""
    found.keep(fingerprint)
    if not uris.exists(mapping.reference):
        compared = Compared(config.to, config.by, config.most, config.people)
        file = gather(
            bank, found.plan(fingerprint), found.columns, found.make_rows(Compute()), compared, config.features
        )
        uris.write_bytes(mapping.reference, file.to_bytes())
    return places


def reduce(config: Config, vectors: str, reference: str, about: str) -> Reduced:
    """Write what the report needs beside the sums: whom faces were compared with, and how near these are among themselves."""
    file = ReferenceFile.from_bytes(uris.read_bytes(reference))
    ref = file.reference(config.spaces[0])
    members = Members(ref.space, ref.groups, ref.people, ref.ids, ref.group)
    own = {name: own_species(file.reference(name), file.spaces.space(name)) for name in config.spaces[:1]}
    said: dict[str, Any] = {name: getattr(config, name) for name in ("of", "to", "split", "top")}
    said |= {"vectors": vectors, "by": list(config.by), "spaces": list(config.spaces)}
    said |= {"meanings": {name: meaning(name) for name in config.spaces}}
    uris.write_bytes(about, encode_about(said, members, own if config.to == "species" else {}))
    return Reduced()


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))
