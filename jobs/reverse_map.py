"""Reverse mapping: how near is each region of each face to each species, and how sure is that? A table, its statistics and a report.

    ray job submit --working-dir . -- python -m jobs.reverse_map --features s3://bucket/features --bank s3://bucket/bank \
        --affinity s3://bucket/affinity --faces s3://bucket/faces --by sex age
    python -m jobs.reverse_map report --affinity s3://bucket/affinity --faces s3://bucket/faces    draws the report again

`--of animal --to people --by sex` maps animals to groups of people instead; species against species is in every report.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import Reduced, TableRun
from rupantara.bank import sampling, versions
from rupantara.bank.alignment import ANIMAL, HUMAN
from rupantara.bank.face_groups import read_groups
from rupantara.bank.reference_file import ReferenceFile
from rupantara.bank.spaces import DEFAULT, RANKING, meaning
from rupantara.bank.spec import COLUMNS, made_by, model_of
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.evaluation import affinity_cards, affinity_report
from rupantara.features import extractors
from rupantara.features.extractor import Source
from rupantara.metrics.affinity_file import encode_about
from rupantara.metrics.affinity_summary import Members
from rupantara.stages.affinity import MapOptions, own_species
from rupantara.stages.affinity_parts import MapParts, MapPlan
from rupantara.stages.extract import COLUMNS as FACE_COLUMNS
from rupantara.stages.extract import ExtractFeatures
from rupantara.storage import manifest, plan, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("reverse_map", version=3)
PLACED = 5000
"""Faces, about, over which the animals' share of the intervals is measured."""
PART_ROWS = 8192
"""Faces, about, in a part: each part leaves 3 MB of statistics, however few they are."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Map faces to species."""

    OUTPUT: ClassVar[str] = "affinity"

    features: cli.Uri = ""
    """Features table whose faces are mapped; or give --faces alone."""
    faces: cli.Uri = ""
    """Faces table: of its attributes --by makes groups, of its pictures the report makes cards; without --features its faces are
    extracted and mapped in one go."""
    weights: cli.Uri = ""
    """Folder of the network that --faces are extracted with."""
    bank: cli.Uri
    """Bank of the same vectors (jobs.build_bank --vectors region_features)."""
    affinity: cli.Uri
    """Output: the affinity table with its statistics, report.html, figures/ and tables/."""
    spaces: tuple[str, ...] = (DEFAULT, *(s for s in RANKING if s != DEFAULT))
    """Spaces: raw, pooled, within, aligned. The rows are of the first; the report compares all."""
    of: Literal["human", "animal"] = "human"
    """Whose faces are mapped."""
    to: Literal["species", "people"] = "species"
    """What they are compared with: the bank's species, or people in groups of the first attribute of --by."""
    by: tuple[str, ...] = ()
    """Attributes of the faces table whose groups are compared: sex, age (in bands), group, species, split, …"""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the mapped faces ("" = all)."""
    limit: int = 0
    """Most faces, the first by id (0 = all)."""
    top: int = 3
    """Nearest animals kept for each face, region and species."""
    people: int = 400
    """People sampled as the measure of "near": a random other person (0 = none)."""
    most: int = 400
    """Most animals of each species that faces are compared with, by hash (0 = all of the bank)."""
    others: int = 100_000
    """Faces, about, by hash, that the spaces but the first are compared over (0 = all)."""
    cards: int = 8
    """Faces shown in the report, each with its regions and nearest animals (needs --faces)."""


def check(config: Config) -> None:
    """Raise UserError for flags that do not go together."""
    for name in config.spaces:
        meaning(name)
    if not config.spaces or len(set(config.spaces)) < len(config.spaces):
        raise UserError(f"--spaces must name at least one space, each once, got {' '.join(config.spaces) or 'none'}")
    if not config.features and not config.faces:
        raise UserError("reverse_map needs --features or --faces")
    if config.by and not config.faces:
        raise UserError("--by needs --faces, whose attributes make the groups")
    if config.to == "people" and not config.by:
        raise UserError("--to people needs --by, the attribute whose groups of people are compared")


def build(config: Config) -> TableRun:
    """Check that faces and bank are of one network; plan one part for each file."""
    check(config)
    bank = versions.latest(config.bank)
    table, extracts = config.features or config.faces, not config.features
    found = manifest.require(table, "faces" if extracts else "features")
    model = extractors.model_sha256(*extracted(config, bank)) if extracts else model_of(table, found, bank.vectors)
    if model != bank.model_sha256:
        raise UserError(
            f"faces and --bank must be of one network, got {model[:12] or 'none'} and {bank.model_sha256[:12]} ({bank.vectors})"
        )
    inputs = {"faces" if extracts else "features": found.content, "bank": bank.content}
    inputs |= {"faces": manifest.require(config.faces, "faces").content} if config.by else {}
    settings = cli.row_config(config, "features", "faces", "weights", "bank", "affinity", "cards")
    # What a part holds must not change between a kill and the resuming.
    settings |= {"part_rows": PART_ROWS}
    recipe = RECIPE.of(settings, inputs, {made_by(bank.vectors): model})
    places = {name: f"reference/{recipe.fingerprint[:12]}-{name}.npz" for name in ("members", "about")}
    wanted = {"domain": str(config.of)} | ({"split": str(config.split)} if config.split else {})
    faces = config.limit or int(found.counts.get("accepted", 0))
    options = MapOptions(config.top, placed_share=share(PLACED, faces), seed=config.seed)
    others = share(config.others, faces)
    mapping = MapPlan(
        uris.join(config.affinity, places["members"]),
        config.spaces,
        bank.vectors,
        config.faces,
        config.by,
        options,
        wanted,
        sampling.first_ids(table, wanted, config.limit) if config.limit else None,
        replace(options, mapped_share=others, placed_share=min(1.0, options.placed_share / others)),
    )
    return TableRun(
        output=config.affinity,
        schema="affinity",
        recipe=recipe,
        plan=plan.of_files(table, found) if extracts else plan.of_rows_in_files(table, found, PART_ROWS),
        make_stage=partial(stage, mapping, config, bank) if extracts else partial(MapParts, mapping),
        computes=extracts,
        columns=FACE_COLUMNS if extracts else (*COLUMNS, bank.vectors),
        beside=("reference",),
        prepare=partial(prepare, config, bank, mapping.reference, places),
        reduce=partial(reduce, config, mapping.reference, uris.join(config.affinity, places["about"])),
        report=partial(report, config),
    )


def share(wanted: int, faces: int) -> float:
    """Return the share of all faces that is about as many as wanted (0 = all)."""
    return min(1.0, wanted / max(faces, 1)) if wanted else 1.0


def extracted(config: Config, bank: versions.BankVersion, device: str = "cpu") -> tuple[Any, Source]:
    """Say which extractor makes the bank's vectors of faces, and from where."""
    if bank.vectors not in extractors.EXTRACTORS:
        raise UserError(
            f"--faces alone needs a bank of region_features, {bank.uri} holds {bank.vectors}: map --features"
        )
    return extractors.parse(f"{bank.vectors}:store=float16"), Source("", config.weights, device)


def stage(mapping: MapPlan, config: Config, bank: versions.BankVersion, compute: Compute) -> MapParts:
    """Build the stage that extracts and maps."""
    return MapParts(mapping, extractor(config, bank, compute))


def extractor(config: Config, bank: versions.BankVersion, compute: Compute) -> Callable[[Any], Any]:
    """Build what makes features of faces."""
    spec, source = extracted(config, bank, compute.device)
    return ExtractFeatures([spec], source, compute.threads)


def prepare(config: Config, bank: versions.BankVersion, reference: str, places: dict[str, str]) -> dict[str, Any]:
    """Gather what faces are compared with into one file; a resumed run finds it there."""
    if not uris.exists(reference):
        read = None if config.features else extractor(config, bank, Compute())
        table, groups = config.features or config.faces, read_groups(config.faces, config.by)
        people: sampling.Coded = {}
        if config.to == "people":
            sampled = sampling.sample(
                table, bank.vectors, {"domain": HUMAN}, groups, config.by[0], config.most or 10**6, read
            )
            compared = {name: one for name, one in sampled.items() if name}
        else:
            compared = sampling.bank_codes(bank, config.most)
            if config.people:
                people = sampling.sample(table, bank.vectors, {"domain": HUMAN}, groups, "", config.people, read)
        if not compared:
            raise UserError(f"no face of {table} is in a group of {', '.join(config.by)}: --to people needs some")
        fitted = sampling.fitted_spaces(bank, config.features, next(iter(compared.values()))[1].shape[2])
        domain = HUMAN if config.to == "people" else ANIMAL
        file = ReferenceFile(compared, people, domain, groups.owner, fitted)
        uris.write_bytes(reference, file.to_bytes())
    return places


def reduce(config: Config, reference: str, about: str) -> Reduced:
    """Write what the report needs beside the sums: whom faces were compared with, and how near these are among themselves."""
    file = ReferenceFile.from_bytes(uris.read_bytes(reference))
    ref = file.reference(config.spaces[0])
    members = Members(ref.space, ref.groups, ref.people, ref.ids, ref.group)
    own = {name: own_species(file.reference(name), file.spaces.space(name)) for name in config.spaces[:1]}
    said: dict[str, Any] = {
        "of": config.of,
        "to": config.to,
        "by": list(config.by),
        "split": config.split,
        "top": config.top,
    }
    said |= {"spaces": list(config.spaces), "meanings": {name: meaning(name) for name in config.spaces}}
    uris.write_bytes(about, encode_about(said, members, own if config.to == "species" else {}))
    return Reduced()


def report(config: Config, done: Manifest) -> list[str]:
    """Draw the report, unless this table's lies there already."""
    page, mark = uris.join(config.affinity, "report.html"), uris.join(config.affinity, "tables/drawn_from")
    if uris.exists(page) and uris.exists(mark) and uris.read_bytes(mark).decode() == done.content:
        return [f"report: {page}"]
    cards = (
        affinity_cards.cards(config.affinity, config.faces, config.cards, ()) if config.faces and config.cards else ()
    )
    drawn = affinity_report.write(config.affinity, tuple(cards))
    uris.write_bytes(mark, done.content.encode())
    return [f"report: {drawn}"]


@dataclass(frozen=True, kw_only=True)
class ReportConfig(cli.Common):
    """Draw the report of a finished affinity table again."""

    affinity: cli.Uri
    """Affinity table; report.html, figures/ and tables/ are written into it."""
    faces: cli.Uri = ""
    """Faces table of the mapped faces, and of the bank's animals unless --bank-faces names theirs: pictures for the cards."""
    bank_faces: cli.Uri = ""
    """Faces table of the bank's animals."""
    cards: int = 8
    """Faces shown with their regions and nearest animals (needs --faces)."""
    face_ids: tuple[str, ...] = ()
    """The faces shown; empty = the first of the table."""


def draw(config: ReportConfig) -> None:
    """Draw the report again."""
    manifest.require(config.affinity, "affinity")
    wanted = (config.affinity, config.faces, config.cards, config.face_ids, config.bank_faces)
    cards = affinity_cards.cards(*wanted) if config.faces and (config.cards or config.face_ids) else ()
    print(f"report: {affinity_report.write(config.affinity, tuple(cards))}")


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        sys.argv.pop(1)
        cli.run(draw, {"default": ReportConfig(affinity=cli.REQUIRED)}, __doc__ or "")
    else:
        cli.run(main, {"default": Config(bank=cli.REQUIRED, affinity=cli.REQUIRED)}, __doc__ or "")
