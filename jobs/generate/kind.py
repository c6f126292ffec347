"""What all kinds share: the flags of the output, and how a plan becomes a table, a contact sheet and PNG files."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import pyarrow as pa

from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.reports.generated import Sources, write_pngs, write_sheet
from rupantara.storage.recipe import Recipe

log = logging.getLogger("jobs")
MakeStage = Callable[[], Callable[[pa.Table], pa.Table]]


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


@dataclass(frozen=True)
class Plan:
    """A run of one kind.

    `running` opens what must be up meanwhile and gives the stage; `columns` are those that it reads (None = all); `sources` are
    shown on the sheet; `said` tells what is generated, and `left_out` how many rows are not, by reason.
    """

    recipe: Recipe
    parts: list[parts.Part]
    running: Callable[[], AbstractContextManager[MakeStage]]
    columns: Sequence[str] | None = None
    sources: Sources = field(default_factory=Sources)
    said: str = ""
    left_out: dict[str, int] = field(default_factory=dict)


def run(config: Config, plan: Plan) -> None:
    """Generate, then write the sheet and the files."""
    if config.dry_run:
        print(config, f"\nfingerprint {plan.recipe.fingerprint}\n{plan.said}; {len(plan.parts)} parts")
        return
    log.info("%s", plan.said)
    with plan.running() as stage:
        done = parts.run_parts(
            config,
            config.generated,
            "generated",
            plan.recipe,
            plan.parts,
            stage,
            version=schema.VERSION,
            columns=plan.columns,
            left_out=plan.left_out,
        )
    if not done.counts["accepted"]:
        log.warning("no picture could be made; the reject rows say why")
    log.info("contact sheet: %s", write_sheet(config.generated, plan.sources, config.sheet_rows))
    if config.export:
        log.info("%d PNG files in %s/png", write_pngs(config.generated), config.generated)


def blocks(count: int, size: int) -> Iterator[range]:
    """Yield the numbers below `count`, `size` at a time."""
    yield from (range(start, min(start + size, count)) for start in range(0, count, size))


def threads(config: cli.Common) -> int:
    """Return the torch threads of a worker: the CPUs that it asks Ray for."""
    return max(1, int(config.cpus_per_worker))
