"""What a user may ask of reverse mapping."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from jobs.runtime import cli
from rupantara.bank.spaces import DEFAULT, RANKING, meaning
from rupantara.errors import UserError


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Map faces to species."""

    OUTPUT: ClassVar[str] = "affinity"

    features: cli.Uri = ""
    """Features table whose faces are mapped; or give --faces alone."""
    faces: cli.Uri = ""
    """Faces table: of its attributes --by makes groups, of its pictures the report makes cards; without --features its faces are
    extracted and mapped in one go."""
    photos: cli.Uri = ""
    """Photographs that are curated, extracted and mapped in one go, in place of --features and --faces; what curate does by default is
    done, but copies stay, and no picture is kept, so that there are no cards."""
    weights: cli.Uri = ""
    """Folder of the networks that --photos are curated and faces are extracted with, in place of those that ship."""
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
    """Of all faces of the input so many, about, by hash, are compared in the spaces but the first (0 = all)."""
    cards: int = 8
    """Faces shown in the report, each with its regions and nearest animals (needs --faces)."""


def check(config: Config) -> None:
    """Raise UserError for flags that do not go together."""
    for name in config.spaces:
        meaning(name)
    if not config.spaces or len(set(config.spaces)) < len(config.spaces):
        raise UserError(f"--spaces must name at least one space, each once, got {' '.join(config.spaces) or 'none'}")
    if config.photos and (config.features or config.faces):
        raise UserError("--photos takes the place of --features and --faces: give it alone")
    if config.photos and config.limit:
        raise UserError("--limit needs --features or --faces: the ids of --photos are not known before they are read")
    if not config.features and not config.faces and not config.photos:
        raise UserError("reverse_map needs --features, --faces or --photos")
    if config.by and not config.faces and not config.photos:
        raise UserError("--by needs --faces or --photos, whose attributes make the groups")
    if config.to == "people" and not config.by:
        raise UserError("--to people needs --by, the attribute whose groups of people are compared")
