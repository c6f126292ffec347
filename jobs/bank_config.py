"""What jobs.build_bank is asked for: its flags, which of them go together, and the faces that they name."""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar, Literal

from jobs.runtime import cli
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import at_most
from rupantara.storage import tables, uris


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Build the bank, or change it."""

    OUTPUT: ClassVar[str] = "bank"

    action: Literal["build", "add", "remove", "compact", "verify"] = "build"
    """What to do. All but `build` work on a bank that there is, touch only the shards concerned, and commit a new version."""
    features: str = ""
    """Features table (build, add)."""
    bank: str
    """The bank: rows by shard, FAISS files in index/, manifests of its versions."""
    vectors: str = "regions_mu"
    """Column of the features table that the bank holds, a vector a region: regions_mu (codes, for mixing) or region_features (for
    likeness) (build)."""
    num_shards: int = 2
    """Shards, by the hash of face_id; one actor each serves them (build)."""
    splits: tuple[str, ...] = schema.SPLITS
    """Splits of the animals that go in (build, add)."""
    most: int = 0
    """Most faces of each species (0 = all; build, add)."""
    choose: Literal["hash", "typical", "vivid"] = "hash"
    """How `most` are chosen: by hash; `typical`, whose aligned codes point most nearly where their species' mean does, which leaves
    out faces that are turned away or badly cut; or `vivid`, of the most typical those that reach farthest that way, which also
    leaves out weak codes, whose hybrids show hardly anything (build)."""
    store: Literal["float32", "float16"] = "float32"
    """Type of the stored vectors (build)."""
    index: str = "auto"
    """`flat` (scan), a FAISS factory string that ends in RFlat or Refine(SQfp16), or `auto`: flat up to 100,000 faces a shard, then
    an inverted file of fast-scan product codes, ranked again by the stored vectors (build)."""
    target_recall: float = 0.99
    """Recall of the ten nearest that every approximate index must reach on queries that are not in the bank (build)."""
    alignment: Literal["auto", "moments", "pooled", "none"] = "auto"
    """`moments` takes each domain's mean and spread out of the vectors before they are compared, `pooled` one mean of both domains, `none`
    nothing; `auto` is moments for regions_mu and pooled for all others (build)."""
    face_ids: tuple[str, ...] = ()
    """Face ids to remove, or @PATH of a file with one a line (remove). The bank remembers them, also those that it does not hold:
    neither `add` nor `build --overwrite` takes them up again."""
    species: tuple[str, ...] = ()
    """Species to remove (remove)."""
    keep: int = 0
    """Delete all versions but this many, and the files that only they stood on (0 = keep all; add, remove, compact)."""


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
    rows = tables.read(config.features, ("face_id", "domain", "species", "split", "reject"), schema="features")
    rows = schema.accepted(rows) if "reject" in rows.column_names else rows
    by_species: dict[str, dict[str, str]] = {}
    twice = [name for name, count in Counter(rows["face_id"].to_pylist()).items() if count > 1]
    if twice:
        raise UserError(
            f"{config.features} must hold each face once, got {twice[0]} twice: curate the photographs again, with --overwrite;"
            " it rejects duplicates"
        )
    for row in rows.to_pylist():
        if row["domain"] == "animal" and row["split"] in config.splits and row["face_id"] not in barred:
            by_species.setdefault(row["species"], {})[row["face_id"]] = row["species"]
    if not by_species:
        raise UserError(f"{config.features} must have animals of the splits {', '.join(config.splits)}, got none")
    return {i: s for ids in by_species.values() for i, s in at_most(ids, config.most, config.seed).items()}


def named(face: str) -> list[str]:
    """Return the ids that a flag names: itself, or the lines of @PATH."""
    if not face.startswith("@"):
        return [face]
    return [line.strip() for line in uris.read_bytes(face[1:]).decode().splitlines() if line.strip()]
