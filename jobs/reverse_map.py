"""Reverse mapping: how near is each region of each face to each species, and how sure is that? A table, its statistics and a report.

    ray job submit --working-dir . -- python -m jobs.reverse_map --features s3://bucket/features --bank s3://bucket/bank \
        --affinity s3://bucket/affinity --faces s3://bucket/faces --by sex age
    python -m jobs.reverse_map report --affinity s3://bucket/affinity --faces s3://bucket/faces    draws the report again

`--of animal --to people --by sex` maps animals to groups of people instead; species against species is in every report.
"""

import logging
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from jobs.reverse_map_inputs import bank_codes, first_ids, fitted_spaces, groups_of, sample
from jobs.reverse_map_report import ReportConfig, draw
from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.alignment import HUMAN
from rupantara.bank.reference import PEOPLE, make_reference
from rupantara.bank.spaces import DEFAULT, RANKING, meaning
from rupantara.errors import UserError
from rupantara.features import extractors
from rupantara.features.extractor import Source
from rupantara.metrics.affinity_file import AffinityFile, SpaceResult
from rupantara.metrics.affinity_summary import Members
from rupantara.stages.affinity import Groups, MapAffinity, MapOptions
from rupantara.stages.affinity_parts import FOLDER, MapParts, Mapped, merge_sums
from rupantara.stages.bank import CODES, model_of
from rupantara.stages.extract import COLUMNS as FACE_COLUMNS
from rupantara.stages.extract import ExtractFeatures
from rupantara.storage import manifest, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

RECIPE = RecipeSpec("reverse_map", version=2)
log = logging.getLogger("jobs")

OWN_FACES = 60
"""Animals of each species whose nearness to their own species is measured, as calibration."""

PLACED = 5000
"""Faces, about, over which the animals' share of the intervals is measured."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Map faces to species."""

    OUTPUT: ClassVar[str] = "affinity"

    features: str = ""
    """Features table whose faces are mapped; or give --faces alone."""
    faces: str = ""
    """Faces table: of its attributes --by makes groups, of its pictures the report makes cards; without --features its faces are
    extracted and mapped in one go."""
    weights: str = ""
    """Folder of the network that --faces are extracted with; empty = the shipped one."""
    bank: str
    """Bank of the same vectors (jobs.build_bank --vectors region_features)."""
    affinity: str
    """Output: the affinity table, its statistics, and report.html with figures and tables beside."""
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


def source_of(config: Config, bank: versions.BankVersion) -> tuple[str, Manifest, Callable[[], Any] | None, str]:
    """Return the table that is mapped, its manifest, what extracts its faces (None where they are features), and the vectors' hash."""
    if config.features:
        found = manifest.require(config.features, "features")
        return config.features, found, None, model_of(config.features, found, bank.vectors)
    found = manifest.require(config.faces, "faces")
    if bank.vectors == CODES:
        raise UserError("--faces alone needs a bank of region_features; map --features of the same model instead")
    spec, source = extractors.parse(f"{bank.vectors}:store=float16"), Source("", config.weights)
    return config.faces, found, partial(ExtractFeatures, [spec], source), extractors.model_sha256(spec, source)


def settings_of(config: Config) -> dict[str, Any]:
    """Return what decides rows and statistics."""
    return cli.row_config(config, "features", "faces", "weights", "bank", "affinity", "cards")


def references(
    config: Config, bank: versions.BankVersion, table: str, extract: Callable[[], Any] | None, groups: Groups
) -> list[Mapped]:
    """Read what faces are compared with, and bring it into every space."""
    read = extract() if extract else None
    column, features = bank.vectors, "" if extract else table
    if config.to == "people":
        groups_found = sample(table, column, {"domain": HUMAN}, groups, config.by[0], config.most or 10**6, read)
        compared = {name: one for name, one in groups_found.items() if name}
        domains, people = dict.fromkeys(compared, HUMAN), None
    else:
        compared, domains = bank_codes(bank, config.most), {}
        people = None
        if config.people:
            people = sample(table, column, {"domain": HUMAN}, groups, "", config.people, read).get(PEOPLE)
    fitted = fitted_spaces(bank, features, next(iter(compared.values()))[1].shape[2])
    made = []
    for name in config.spaces:
        space = fitted.space(name)
        made.append(Mapped(space, make_reference(compared, space, people, 0, domains, groups.owner)))
    return made


def own_species(one: Mapped) -> Any:
    """Measure the reference's animals against their own and other species, each without itself; None where no species are compared."""
    ref = one.reference
    groups = {ref.ids[i]: (f"species={ref.groups[g]}",) for i, g in enumerate(ref.group) if ref.groups[g] != PEOPLE}
    chosen = [i for low, high in ref.ranges[: len(ref.species)] for i in range(low, min(high, low + OWN_FACES))]
    ids = [ref.ids[i] for i in chosen]
    mapping = MapAffinity(ref, one.space, "", Groups({}, groups), MapOptions(top=1, placed_share=0))
    return mapping.map_units(ids, ref.vectors[:, chosen].transpose(1, 0, 2))[1]


def collect(config: Config, prefix: str, mapped: list[Mapped], about: dict[str, Any]) -> str:
    """Merge what the parts left and write the file that reports are drawn from."""
    results = {}
    for one in mapped:
        ref = one.reference
        members = Members(ref.space, ref.groups, ref.people, ref.ids, ref.group)
        own = own_species(one) if config.to == "species" else None
        results[ref.space] = SpaceResult(members, merge_sums(config.affinity, prefix, ref.space), own)
    path = f"{FOLDER}/{prefix}.npz"
    uris.write_bytes(uris.join(config.affinity, path), AffinityFile(results, about).to_bytes())
    return path


def build(config: Config) -> tuple[Recipe, str, list[parts.Part], list[str], Callable[[], tuple[Any, list[Mapped]]]]:
    """Check that vectors and bank are of one network; plan one part for each file."""
    check(config)
    bank = versions.latest(config.bank)
    table, found, extract, model = source_of(config, bank)
    if model != bank.model_sha256:
        raise UserError(
            f"faces and --bank must be of one network, got {model[:12]} and {bank.model_sha256[:12]} ({bank.vectors})"
        )
    inputs = {"faces" if extract else "features": found.content, "bank": bank.content}
    if config.by:
        inputs["faces"] = manifest.require(config.faces, "faces").content
    recipe = RECIPE.of(settings_of(config), inputs, {bank.vectors: model})
    columns = list(FACE_COLUMNS) if extract else ["face_id", "domain", "species", "split", bank.vectors]

    def ready() -> tuple[Any, list[Mapped]]:
        groups = groups_of(config.faces, config.by)
        mapped = references(config, bank, table, extract, groups() if config.faces else Groups.none())
        rows = max(config.limit or found.counts.get("accepted", 0), 1)
        wanted: dict[str, str] = {"domain": config.of} | ({"split": config.split} if config.split else {})
        chosen = first_ids(table, wanted, config.limit) if config.limit else None
        options = MapOptions(config.top, placed_share=min(1.0, PLACED / rows), seed=config.seed)
        prefix = recipe.fingerprint[:12]
        make = partial(
            MapParts, config.affinity, prefix, mapped, bank.vectors, groups, options, wanted, chosen, extract
        )
        return make, mapped

    return recipe, bank.vectors, parts.parts_of(table, found), columns, ready


def main(config: Config) -> None:
    """Run the job."""
    recipe, vectors, plan, columns, ready = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(plan)} parts")
        return
    complete = manifest.read(config.affinity)
    if complete is None or complete.fingerprint != recipe.fingerprint:
        make_stage, mapped = ready()
        about: dict[str, Any] = {
            "vectors": vectors,
            "of": config.of,
            "to": config.to,
            "by": list(config.by),
            "split": config.split,
        }
        about |= {"top": config.top, "meanings": {name: meaning(name) for name in config.spaces}}
        prefix = recipe.fingerprint[:12]

        def finish() -> dict[str, Any]:
            return {"statistics": collect(config, prefix, mapped, about)}

        run = partial(parts.run_parts, config, config.affinity, "affinity", recipe, plan, make_stage)
        run(version=schema.version_of("affinity"), columns=columns, beside=FOLDER, finish=finish)
    draw(ReportConfig(affinity=config.affinity, faces=config.faces, bank_faces="", cards=config.cards))


if __name__ == "__main__":
    if sys.argv[1:2] == ["report"]:
        sys.argv.pop(1)
        cli.run(draw, {"default": ReportConfig(affinity=cli.REQUIRED)}, "Draw the report of a finished table again.")
    else:
        cli.run(main, {"default": Config(bank=cli.REQUIRED, affinity=cli.REQUIRED)}, __doc__ or "")
