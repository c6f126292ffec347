"""Hybrids of people and animals: each region is mixed with those that the bank finds."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import pyarrow as pa

from jobs.generate import kind
from jobs.runtime import cli
from jobs.runtime.table_run import TableRun
from rupantara.bank import donors
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.faces.arrays import COLUMNS
from rupantara.faces.choice import Choice, choose_rows
from rupantara.generation import loading
from rupantara.generation.donors import NEAREST
from rupantara.generation.hybrid import HybridGenerator, HybridRequest, Renderer, check
from rupantara.generation.mixing import Path
from rupantara.generation.retrieval import Bank, DonorRule
from rupantara.landmarks.regions import REGIONS
from rupantara.reports.generated import Sources
from rupantara.stages.generate import SAMPLE, GenerateHybrids
from rupantara.storage import manifest, plan
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("generate_hybrid", version=5)
EACH = "each"
SAMPLES_A_PART = 16


@dataclass(frozen=True, kw_only=True)
class Config(kind.SampledConfig):
    """Make hybrids of people and animals."""

    faces: cli.Uri = ""
    """Faces table; its accepted humans are the sources."""
    bank: cli.Uri
    """Bank of jobs.build_bank, made with the same checkpoint."""
    species: tuple[str, ...] = (EACH, NEAREST)
    """Species to mix with: names, `each` (one hybrid for every species of the bank), `nearest` (by region, by the bank)."""
    regions: tuple[str, ...] = REGIONS
    """Regions to mix."""
    amount: tuple[float, ...] = (1.0,)
    """0 = the human's region, 1 = the animal's: one for all regions, or one for each of --regions."""
    path: Path = "linear"
    """Path between the human's code and the animal's."""
    donor: Literal["animal", "region"] = DonorRule.by
    """Who lends a face its regions: the one `animal` that is nearest over all of them, or for each `region` its own nearest."""
    top_k: int = DonorRule.top_k
    """Features retrieved for each region (with --donor region)."""
    temperature: float = DonorRule.temperature
    """Temperature of the softmax that weighs them by similarity."""
    renderer: Renderer = "auto"
    """`latent` decodes mixed codes; `exemplar` lays the picture of an animal of the bank on the decoded face (needs a bank built with
    --pictures); `auto` is exemplar where the bank carries pictures, else latent."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of the source faces ("" = all)."""
    limit: int = 0
    """Most source faces, chosen by hash (0 = all)."""


DEFAULT = Config(checkpoint=cli.REQUIRED, generated=cli.REQUIRED, bank=cli.REQUIRED)


def asked(config: Config, known: tuple[str, ...]) -> dict[str, Any]:
    """Return what each face's request says; UserError for flags that say nothing or contradict each other."""
    if len(config.amount) not in (1, len(config.regions)):
        raise UserError(
            f"--amount must be one number, or one for each of {len(config.regions)} --regions, got {len(config.amount)}"
        )
    if config.donor == "animal" and (config.top_k, config.temperature) != (DonorRule.top_k, DonorRule.temperature):
        raise UserError("--top-k and --temperature count only with --donor region, got --donor animal")
    amounts = config.amount * len(config.regions) if len(config.amount) == 1 else config.amount
    named = [name for one in config.species for name in (known if one == EACH else (one,))]
    species, rule = tuple(dict.fromkeys(named)), DonorRule(config.donor, config.top_k, config.temperature)
    by_region = dict(zip(config.regions, amounts, strict=True))
    check(species, by_region, config.path, rule, known)
    wanted = {"species": species, "amounts": by_region, "path": config.path, "donor": rule, "renderer": config.renderer}
    return {**wanted, "seed": config.seed, "unmixed": True}


def build(config: Config) -> TableRun:
    """Check that the bank fits the model, choose the sources, plan one part for each file of the faces."""
    config.check_sources(config.faces, "the sources of hybrids")
    bank, codes = manifest.require(config.bank, "bank"), loading.codes_sha256(config.checkpoint)
    if bank.extra["model_sha256"] != codes:
        raise UserError(
            f"--bank must be made with --checkpoint: {config.bank} has model {bank.extra['model_sha256'][:12]},"
            f" {config.checkpoint} is {codes[:12]}"
        )
    wanted = asked(config, tuple(bank.extra["species"]))
    settings = kind.settings_of(config)
    models, chosen = {"region_vae": loading.model_sha256(config.checkpoint)}, None
    inputs = {"bank": bank.content}
    if config.faces:
        faces = manifest.require(config.faces, "faces")
        inputs, parts = inputs | {"faces": faces.content}, plan.of_files(config.faces, faces)
        chosen = choose_rows(config.faces, "faces", config.split, config.limit, config.seed)
        if not chosen.count:
            raise UserError(f"{config.faces} must have accepted humans of split {config.split!r}, got none")
    else:
        models |= config.people().sha256()
        parts = plan.of_blocks(pa.table({SAMPLE: range(config.samples)}), SAMPLES_A_PART)
    said = chosen.said() if chosen else f"{config.samples} people of the prior"
    return kind.run_of(
        config,
        RECIPE.of(settings, inputs, models),
        parts,
        partial(make_stage, config, wanted, chosen.choice if chosen else None),
        said=f"{said}; {len(wanted['species'])} hybrids each",
        columns=COLUMNS,
        sources=Sources(faces=config.faces),
        left_out=chosen.left_out if chosen else {},
        bank=config.bank,
    )


def make_stage(
    config: Config, wanted: dict[str, Any], choice: Choice | None, *, bank: Bank, compute: Compute
) -> GenerateHybrids:
    """Build the stage on a worker."""
    return GenerateHybrids(
        lambda: HybridGenerator(config.people().load(), bank, compute.device, donors.read(config.bank)),
        partial(HybridRequest, **wanted),
        choice,
        seed=config.seed,
        truncation=config.truncation,
        threads=compute.threads,
    )


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
