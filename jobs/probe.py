"""Probe what region codes know: the gap between the domains, whether altered animals find themselves, species by region.

    ray job submit --working-dir . -- python -m jobs.probe --faces s3://bucket/faces --checkpoint s3://bucket/region_vae \
        --bank s3://bucket/bank --probe s3://bucket/probe
"""

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import pyarrow as pa

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.errors import UserError
from rupantara.faces.arrays import choose, choose_people
from rupantara.generation import loading
from rupantara.reports import html
from rupantara.reports import probe as report
from rupantara.stages.probe import MEASURES, ProbeCodes
from rupantara.storage import manifest, plan, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("probe", version=2)
LEAST = 10


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Probe region codes on held-out faces (splits val and test)."""

    OUTPUT: ClassVar[str] = "probe"

    faces: cli.Uri
    """Faces table."""
    checkpoint: cli.Uri
    """Checkpoint of jobs.train_vae."""
    bank: cli.Uri
    """Bank made with the same checkpoint: its alignment of the domains is what is probed."""
    probe: cli.Uri
    """Output: the table of measures and report.html."""
    limit: int = 500
    """Most faces of each domain, chosen by hash (0 = all)."""
    gallery: Annotated[int, cli.Range(-1)] = 0
    """Most train animals, chosen by hash, that lie beside the held-out ones in the bank that matches ask (0 = all, -1 = none)."""


def build(config: Config) -> TableRun:
    """Choose the held-out faces and the train animals of the gallery, and count it; plan one part for each measure."""
    faces, bank = manifest.require(config.faces, "faces"), manifest.require(config.bank, "bank")
    model = loading.codes_sha256(config.checkpoint)
    if bank.extra["model_sha256"] != model:
        raise UserError(
            f"--bank must be made with --checkpoint, got models {bank.extra['model_sha256'][:12]}, {model[:12]}"
        )
    held = {d: choose_people(config.faces, d, ("val", "test"), config.limit, config.seed) for d in (HUMAN, ANIMAL)}
    for domain, ids in held.items():
        if len(ids) < LEAST:
            raise UserError(f"{config.faces} must have at least {LEAST} held-out {domain} faces, got {len(ids)}")
    train = choose(config.faces, ANIMAL, "train", config.gallery, config.seed) if config.gallery >= 0 else {}
    settings = cli.row_config(config, "faces", "checkpoint", "bank", "probe")
    inputs = {"faces": faces.content, "bank": bank.content}
    alignment = Alignment.from_json(bank.extra["alignment"])
    return TableRun(
        output=config.probe,
        schema="probe",
        recipe=RECIPE.of(settings, inputs, {"region_vae": loading.model_sha256(config.checkpoint)}),
        plan=plan.of_rows([pa.table({"measure": [name]}) for name in MEASURES]),
        make_stage=partial(ProbeCodes, config.faces, config.checkpoint, alignment, held, config.seed, train),
        report=partial(write, config.probe),
        extra={"gallery": {"held_out": len(held[ANIMAL]), "train": len(train)}},
        told=f"measures {', '.join(MEASURES)}",
    )


def write(probe: str, done: Manifest) -> list[str]:
    """Draw the report."""
    uri = uris.join(probe, "report.html")
    uris.write_bytes(uri, html.render("Region codes", [report.section(probe)]))
    return [f"report: {uri}"]


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


if __name__ == "__main__":
    required = Config(faces=cli.REQUIRED, checkpoint=cli.REQUIRED, bank=cli.REQUIRED, probe=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
