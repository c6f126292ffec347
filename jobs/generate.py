"""Generate pictures in bulk; `--kind hybrid` mixes each human's region codes with those the bank finds in animals.

    ray job submit --working-dir . -- python -m jobs.generate --kind hybrid --faces s3://bucket/faces \
        --checkpoint s3://bucket/region_vae --bank s3://bucket/bank --generated s3://bucket/generated
"""

import logging
import os
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

import pyarrow as pa

from actors.sharded_bank import ShardedBank
from jobs import inversion
from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS, choose
from rupantara.generation import loading, prior
from rupantara.generation.hybrid import Mixing
from rupantara.landmarks.regions import REGIONS
from rupantara.reports.contact_sheet import write_contact_sheet, write_pngs
from rupantara.stages.generate import NEAREST, GenerateHybrids
from rupantara.storage import manifest
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("generate", version=1)


SAMPLES_A_PART = 16


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Generate pictures."""

    OUTPUT: ClassVar[str] = "generated"

    faces: str = ""
    """Faces table; its accepted humans are the sources."""
    samples: int = 0
    """Instead of --faces: so many people drawn from the prior of a packed checkpoint."""
    truncation: float = 0.8
    """How far samples go from the mean face: 1 = as people do."""
    checkpoint: str
    """Checkpoint of jobs.train_vae; for inversions the folder of jobs.train_decoder."""
    bank: str = ""
    """Bank of jobs.build_bank, made with the same checkpoint; hybrids need it."""
    generated: str
    """Output: the generated table, contact_sheet.png, and png/ with --export."""
    kind: Literal["hybrid", "inversion"] = "hybrid"
    """What to generate: hybrids of people and animals, or faces out of vectors."""
    features: str = ""
    """Inversions of the vectors of a features table; --faces, if given, are shown beside them on the contact sheet."""
    vectors: str = ""
    """Inversions of the rows of a .npy file, [n, dim]."""
    photos: str = ""
    """Inversions of photographs: their faces are found, embedded and made again from the vectors alone (needs --networks)."""
    networks: str = ""
    """Folder or bucket of pretrained networks, for --photos (other jobs call it --weights)."""
    species: tuple[str, ...] = ("each", NEAREST)
    """Species to mix with: names, `each` (one hybrid for every species of the bank), `nearest` (by region, by the bank)."""
    regions: tuple[str, ...] = REGIONS
    """Regions to mix."""
    weights: tuple[float, ...] = Mixing.weights
    """0 = the human's region, 1 = the animal's: one for all regions, or one for each of --regions."""
    mode: Literal["linear", "spherical"] = "linear"
    """Path between the human's code and the animal's."""
    donor: Literal["animal", "region"] = Mixing.donor
    """Who lends a face its regions: the one `animal` that is nearest over all of them, or for each `region` its own nearest."""
    top_k: int = Mixing.top_k
    """Features retrieved for each region (with --donor region)."""
    temperature: float = Mixing.temperature
    """Temperature of the softmax that weighs them by similarity."""
    split: Literal["train", "val", "test", ""] = "test"
    """Split of the source faces or features ("" = all)."""
    limit: int = 32
    """Most source faces, chosen by hash, or the first so many vectors or photographs (0 = all)."""
    export: bool = True
    """Write each picture as a PNG file too."""
    sheet_rows: int = 12
    """Faces on the contact sheet."""


def check(config: Config, available: tuple[str, ...]) -> tuple[str, ...]:
    """Check the mixing flags and resolve `each`."""
    unknown = [r for r in config.regions if r not in REGIONS]
    if unknown or not config.regions:
        raise UserError(f"--regions must be of {', '.join(REGIONS)}, got {', '.join(unknown) or 'none'}")
    if len(config.weights) not in (1, len(config.regions)) or not all(0 <= w <= 1 for w in config.weights):
        raise UserError(
            f"--weights must be one number in [0, 1], or one for each of {len(config.regions)} --regions, got"
            f" {', '.join(map(str, config.weights)) or 'none'}"
        )
    if config.top_k < 1 or config.temperature <= 0:
        raise UserError(
            f"--top-k must be at least 1 and --temperature above 0, got {config.top_k}, {config.temperature}"
        )
    if config.donor == "animal" and (config.top_k, config.temperature) != (Mixing.top_k, Mixing.temperature):
        raise UserError("--top-k and --temperature count only with --donor region, got --donor animal")
    wanted: list[str] = []
    for name in config.species:
        if name not in (*available, "each", NEAREST):
            raise UserError(f"--species must be of {', '.join(available)}, each, {NEAREST}, got {name!r}")
        wanted += available if name == "each" else (name,)
    return tuple(dict.fromkeys(wanted))


def build(config: Config) -> tuple[Recipe, list[parts.Part], dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """Check that the bank fits the model, choose the sources, plan one part for each file of the faces."""
    if not config.bank:
        raise UserError("hybrids need --bank")
    if bool(config.faces) == bool(config.samples):
        raise UserError("give either --faces or --samples, the sources of hybrids")
    bank = manifest.require(config.bank, "bank")
    model = loading.model_sha256(config.checkpoint)
    if bank.extra["model_sha256"] != model:
        raise UserError(
            f"--bank must be made with --checkpoint: {config.bank} has model {bank.extra['model_sha256'][:12]},"
            f" {config.checkpoint} is {model[:12]}"
        )
    available = tuple(bank.extra["species"])
    wanted = check(config, available)
    other = ("features", "vectors", "photos", "networks")
    settings = cli.row_config(config, "faces", "checkpoint", "bank", "generated", "export", "sheet_rows", *other)
    inputs, chosen = {"bank": bank.content}, {}
    if config.faces:
        faces = manifest.require(config.faces, "faces")
        inputs, plan = inputs | {"faces": faces.content}, parts.parts_of(config.faces, faces)
        chosen = choose(config.faces, "human", config.split, config.limit, config.seed)
        if not chosen:
            raise UserError(f"{config.faces} must have accepted humans of split {config.split!r}, got none")
    else:
        starts = range(0, config.samples, SAMPLES_A_PART)
        numbers = [list(range(start, min(start + SAMPLES_A_PART, config.samples))) for start in starts]
        plan = [parts.Part(i, rows=pa.table({"sample": part})) for i, part in enumerate(numbers)]
    models = {"region_vae": model} | ({"prior": prior.sha256(config.checkpoint)} if config.samples else {})
    recipe = RECIPE.of(settings, inputs, models)
    return recipe, plan, chosen, wanted, available


def main(config: Config) -> None:
    """Run the job."""
    if config.kind == "inversion":
        inversion.run(config)
        return
    if given := [name for name in inversion.SOURCES if getattr(config, name)]:
        raise UserError(f"--{given[0]} is for --kind inversion")
    recipe, plan, chosen, wanted, available = build(config)
    if config.dry_run:
        print(
            config, f"\nfingerprint {recipe.fingerprint}\n{len(chosen) or config.samples} faces x {len(wanted)} hybrids"
        )
        return
    cli.connect()
    bank = ShardedBank.start(config.bank)
    mixing = Mixing(config.regions, config.weights, config.mode, config.donor, config.top_k, config.temperature)
    make_stage = partial(
        GenerateHybrids,
        config.checkpoint,
        bank,
        wanted,
        mixing,
        frozenset(chosen),
        available=available,
        seed=config.seed,
        truncation=config.truncation,
        threads=max(1, (os.cpu_count() or 1) // 2),
    )
    parts.run_parts(
        config, config.generated, "generated", recipe, plan, make_stage, version=schema.VERSION, columns=COLUMNS
    )
    bank.close()
    sheet = write_contact_sheet(config.generated, config.faces, sorted(chosen), config.sheet_rows)
    log.info("contact sheet: %s", sheet)
    if config.export:
        log.info("%d PNG files in %s/png", write_pngs(config.generated), config.generated)


if __name__ == "__main__":
    required = Config(checkpoint=cli.REQUIRED, generated=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
