"""Post-process generated pictures (or faces): colour, haze, noise, edges; with the error after each step where the original is known.

    ray job submit --working-dir . -- python -m jobs.enhance --generated s3://bucket/generated --faces s3://bucket/faces \
        --enhanced s3://bucket/enhanced
"""

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal

from jobs.runtime import cli, table_run
from jobs.runtime.table_run import TableRun
from rupantara.errors import UserError
from rupantara.faces.arrays import choose
from rupantara.imaging import enhance as steps
from rupantara.imaging.enhance import describe
from rupantara.reports import enhanced, html
from rupantara.stages.enhance import Chain, EnhancePictures
from rupantara.storage import manifest, plan, uris
from rupantara.storage.manifest import Manifest
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("enhance", version=2)


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Enhance pictures."""

    OUTPUT: ClassVar[str] = "enhanced"

    enhanced: cli.Uri
    """Output: the rows of the input with their pictures enhanced, and report.html."""
    generated: cli.Uri = ""
    """Generated table; empty = enhance --faces themselves."""
    faces: cli.Uri = ""
    """Faces table, against which reconstructions are measured."""
    steps: tuple[str, ...] = ("tone", "dehaze", "bilateral", "unsharp")
    """tone, dehaze, bilateral, unsharp (and cast, blur) in any order, apart by spaces or commas; each may be followed by :OPTION=VALUE:
    tone:saturation=1.3:contrast=1.2,dehaze:omega=0.8:patch=15:radius=20,bilateral:diameter=5:sigma_color=25,unsharp:amount=0.6:sigma=1.5"""
    degrade: tuple[str, ...] = ()
    """Steps done first, that make the baseline poor on purpose: cast:whiteness=0.3,blur:sigma=2."""
    split: Literal["train", "val", "test", ""] = ""
    """Without --generated: split of the faces ("" = all)."""
    limit: int = 0
    """Without --generated: most faces, chosen by hash (0 = all)."""
    strips: int = 8
    """Pictures that the report shows after each step."""


def build(config: Config) -> TableRun:
    """Plan one part for each file of the input."""
    chain = Chain(steps.parse(",".join(config.steps)), steps.parse(",".join(config.degrade)))
    if not chain.steps:
        raise UserError("--steps must name a step at least, got none")
    if not config.generated and not config.faces:
        raise UserError("nothing to enhance: give --generated or --faces")
    if config.generated and (config.split or config.limit):
        raise UserError(f"--split and --limit choose faces, not --generated, got {config.split!r} and {config.limit}")
    found = {name: manifest.require(uri, name) for name, uri in sources(config).items()}
    settings: dict[str, Any] = {"steps": [describe(s) for s in chain.steps], "split": config.split}
    settings |= {"degrade": [describe(s) for s in chain.degrade], "limit": config.limit, "seed": config.seed}
    kind, table = next(iter(found.items()))
    return TableRun(
        output=config.enhanced,
        schema="enhanced",
        recipe=RECIPE.of(settings, {name: m.content for name, m in found.items()}),
        plan=plan.of_files(sources(config)[kind], table),
        make_stage=partial(EnhancePictures, chain, config.faces if kind == "generated" else "", chosen_faces(config)),
        report=partial(report, config, chain),
        told=" -> ".join(chain.names),
    )


def sources(config: Config) -> dict[str, str]:
    """Return the tables given, the one to enhance first."""
    return {n: uri for n, uri in (("generated", config.generated), ("faces", config.faces)) if uri}


def chosen_faces(config: Config) -> frozenset[str] | None:
    """Choose the faces to enhance; None = every row."""
    if config.generated or not (config.split or config.limit):
        return None
    chosen = frozenset(choose(config.faces, "", config.split, config.limit, config.seed))
    if not chosen:
        raise UserError(f"{config.faces} must have accepted faces of split {config.split!r}, got none")
    return chosen


def report(config: Config, chain: Chain, done: Manifest) -> list[str]:
    """Draw what each step does."""
    strips = enhanced.strips(config.enhanced, config.generated, config.faces, chain.degrade, chain.steps, config.strips)
    page = html.render("Post-processing", [enhanced.section(config.enhanced, chain.degrade, strips)])
    uris.write_bytes(uris.join(config.enhanced, "report.html"), page)
    return [f"report: {uris.join(config.enhanced, 'report.html')}"]


def main(config: Config) -> None:
    """Run the job."""
    table_run.make(config, build(config))


def presets() -> dict[str, Config]:
    """Return the named configs: `default` = the chain of `003_…`; `mild` for good pictures; `white_cast` = its poor model, imitated."""
    default = Config(enhanced=cli.REQUIRED)
    mild = ("tone:saturation=1.1:contrast=1.05", "dehaze:omega=0.3", "bilateral:sigma_color=12", "unsharp:amount=0.4")
    return {
        "default": default,
        "mild": Config(enhanced=cli.REQUIRED, steps=mild),
        "white_cast": Config(enhanced=cli.REQUIRED, degrade=("cast:whiteness=0.3", "blur:sigma=2"), split="test"),
    }


if __name__ == "__main__":
    cli.run(main, presets(), __doc__ or "")
