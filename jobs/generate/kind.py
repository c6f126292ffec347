"""What all kinds share: the flags of the output, and the run that makes a table, a contact sheet and PNG files."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara.errors import UserError
from rupantara.generation.flow_prior import OPEN, Sex, WantedPerson
from rupantara.generation.people import SampledPeople
from rupantara.reports.generated import Sources, write_pngs, write_sheet
from rupantara.storage.manifest import Manifest
from rupantara.storage.plan import Part
from rupantara.storage.recipe import Recipe

log = logging.getLogger("jobs")


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Flags of the output."""

    OUTPUT: ClassVar[str] = "generated"

    generated: cli.Uri
    """Output: the generated table, contact_sheet.png, and png/ with --export."""
    export: bool = True
    """Write each picture as a PNG file too."""
    sheet_rows: int = 12
    """Faces on the contact sheet."""


@dataclass(frozen=True, kw_only=True)
class SampledConfig(Config):
    """Flags of people who do not exist."""

    checkpoint: cli.Uri
    """Checkpoint of jobs.train_vae."""
    samples: int = 0
    """Instead of --faces: so many people who do not exist (child: pairs of them), drawn from a prior."""
    prior: cli.Uri = ""
    """Checkpoint of jobs.train_prior that they are drawn from, as pretrained/flow_prior ("" = the one that --checkpoint carries, else its
    Gaussian)."""
    truncation: float = 0.8
    """How far they go from the mean face: 1 = as people do."""
    sampled_age: Annotated[int, cli.Range(OPEN, 120)] = OPEN
    """Their age in years, with a flow prior (-1 = any)."""
    sampled_sex: Sex = ""
    """Their sex, with a flow prior ("" = any)."""
    sampled_group: Annotated[int, cli.Range(OPEN, 4)] = OPEN
    """Their group, 0 to 4 as UTKFace numbers them, with a flow prior (-1 = any)."""
    guidance: float = 1.0
    """How far a flow prior exaggerates what is wanted of them: 1 = not at all."""

    def people(self) -> SampledPeople:
        """Return where they come from."""
        wanted = WantedPerson(self.sampled_age, self.sampled_sex, self.sampled_group)
        return SampledPeople(self.checkpoint, self.prior, wanted, self.guidance)

    def check_sources(self, faces: str, what: str) -> None:
        """Raise UserError unless there is one source, faces or samples, and no flag of samples without them."""
        if bool(faces) == bool(self.samples):
            raise UserError(f"give either --faces or --samples, {what}")
        names = ("prior", "truncation", "sampled_age", "sampled_sex", "sampled_group", "guidance")
        said = [name for name in names if getattr(self, name) != getattr(SampledConfig, name)]
        if faces and said:
            raise UserError(
                f"--{said[0].replace('_', '-')} is of people who do not exist, and counts only with --samples"
            )


def run_of(
    config: Config,
    recipe: Recipe,
    plan: list[Part],
    make_stage: Callable[..., Any],
    *,
    said: str,
    columns: Sequence[str] | None = None,
    sources: Sources | None = None,
    left_out: Mapping[str, int] | None = None,
    bank: str = "",
) -> TableRun:
    """Return the run of one kind.

    `make_stage` is called with `compute`, and with `bank` where one is named; `sources` are shown on the sheet; `said` tells what is
    generated, and `left_out` how many rows are not, by reason.
    """
    return TableRun(
        output=config.generated,
        schema="generated",
        recipe=recipe,
        plan=plan,
        make_stage=make_stage,
        columns=columns,
        computes=True,
        bank=bank,
        report=partial(shown, config, sources or Sources()),
        extra={"left_out": dict(left_out or {})},
        told=said,
    )


def shown(config: Config, sources: Sources, _: Manifest) -> list[str]:
    """Write the sheet and the files; return what to say of them."""
    said = [f"contact sheet: {write_sheet(config.generated, sources, config.sheet_rows)}"]
    if config.export:
        said.append(f"{write_pngs(config.generated)} PNG files in {config.generated}/png")
    return said


def settings_of(config: Config) -> dict[str, Any]:
    """Return the flags that decide rows: no places, and none of the output's."""
    return cli.row_config(config, *cli.places(type(config)), "export", "sheet_rows")


def run(config: Config, wanted: TableRun) -> None:
    """Generate."""
    if not config.dry_run:
        log.info("%s", wanted.told)
    table_run.make(config, wanted)
