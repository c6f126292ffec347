"""Children of pairs of parents: siblings by seed, dominance, ages, surroundings from one place."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import pyarrow as pa

from jobs.generate import kind
from jobs.runtime import cli
from jobs.runtime.table_run import TableRun
from rupantara.compute import Compute
from rupantara.errors import UserError
from rupantara.faces import couples
from rupantara.generation import edits
from rupantara.generation.child import ChildRequest, Parent, Surroundings
from rupantara.generation.child_networks import ChildNetworks
from rupantara.reports.generated import Sources
from rupantara.stages.children import MakeChildren
from rupantara.stages.generate import SAMPLE
from rupantara.storage import manifest, plan
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("generate_child", version=3)
PAIRS_A_PART = 16
Ask = Callable[[Parent, Parent], ChildRequest]
"""Makes the request of two parents."""


@dataclass(frozen=True, kw_only=True)
class Config(kind.SampledConfig):
    """Make children."""

    blender: cli.Uri
    """Checkpoint of jobs.train_blender (pretrained/blender ships)."""
    faces: cli.Uri = ""
    """Faces table that holds the parents."""
    pairs: cli.Uri = ""
    """CSV, or table with columns first and second, of two face ids or photographs (URI or file name, as in --faces) a row; without it pairs
    are drawn."""
    count: int = 100
    """Pairs that are drawn, each once: fewer where people make no more."""
    rule: Literal["any", "opposite_sex", "like_age", "like_group"] = "any"
    """Whom a drawn pair may join, as far as the photographs' paths name it."""
    split: Literal["train", "val", "test", ""] = ""
    """Split of drawn parents ("" = all)."""
    siblings: int = 1
    """Children of each pair."""
    variation: float = ChildRequest.variation
    """How far siblings differ, 0 (one child) to 1 (as siblings' codes would)."""
    dominance: Annotated[float, cli.Range(-1.0, 1.0)] = 0.0
    """1 = the first parent alone, -1 = the second, 0 = both alike."""
    dominance_of: tuple[str, ...] = ()
    """Dominance of a region alone, as mouth=0.8, in place of --dominance."""
    surroundings: Surroundings = ChildRequest.surroundings
    """Whose hair, clothes, background and light a child has: the first's, the second's or the mean of people."""
    age: float | None = None
    """Age that children are shown at, years (needs --edits-from)."""
    ages: tuple[float, ...] = ()
    """Ages that the first child of each pair is shown at beside, years (needs --edits-from)."""
    edit: tuple[str, ...] = ()
    """Edits, as age=-20 or smile=1 (needs --edits-from)."""
    edits_from: cli.Uri = ""
    """Checkpoint of jobs.train_edits (pretrained/edits ships)."""
    parents: bool = False
    """Generate each parent's own reconstruction too."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks: with mobilefacenet each child's identity cosine to both parents is its score."""


DEFAULT = Config(checkpoint=cli.REQUIRED, blender=cli.REQUIRED, generated=cli.REQUIRED)


def asked(config: Config) -> dict[str, Any]:
    """Return what each pair's request says; UserError for flags that contradict each other."""
    if (config.age is not None or config.ages or config.edit) and not config.edits_from:
        raise UserError("--age, --ages and --edit need --edits-from, a checkpoint of jobs.train_edits")
    dominance: float | dict[str, float] = config.dominance
    if config.dominance_of:
        dominance = dict(edits.parse(text) for text in config.dominance_of)
    wanted: dict[str, Any] = {"siblings": config.siblings, "seed": config.seed, "dominance": dominance}
    wanted |= {"variation": config.variation, "edits": config.edit, "age": config.age, "ages": config.ages}
    return wanted | {"surroundings": config.surroundings, "parents": config.parents}


def build(config: Config) -> TableRun:
    """Plan by where the parents come from."""
    config.check_sources(config.faces, "whose children are made")
    if config.pairs and not config.faces:
        raise UserError("--pairs needs --faces, the table that holds the parents")
    wanted = asked(config)
    networks = ChildNetworks(config.checkpoint, config.blender, config.edits_from, config.weights)
    networks.demand()
    return (of_faces if config.faces else of_prior)(config, networks, partial(ChildRequest, **wanted))


def of_faces(config: Config, networks: ChildNetworks, ask: Ask) -> TableRun:
    """Plan the listed pairs of a faces table, or drawn ones."""
    inputs = {"faces": manifest.require(config.faces, "faces").content}
    people, settings = couples.People(config.faces), kind.settings_of(config)
    if config.pairs:
        rows = people.couples(couples.read_named(config.pairs, "--pairs"))
        settings |= {"pairs": [[row["first"], row["second"]] for row in rows]}
    else:
        rows = list(people.drawn(config.count, config.rule, config.split, config.seed))
    return kind.run_of(
        config,
        RECIPE.of(settings, inputs, networks.sha256()),
        plan.of_blocks(couples.couples_table(rows), PAIRS_A_PART),
        partial(make_stage, networks, ask, config.faces),
        sources=Sources(faces=config.faces),
        said=f"{len(rows)} pairs; {config.siblings} children each",
    )


def of_prior(config: Config, networks: ChildNetworks, ask: Ask) -> TableRun:
    """Plan pairs of people of the prior, by number."""
    models = networks.sha256() | config.people().sha256()
    drawn = {"sampling": config.people().load, "seed": config.seed, "truncation": config.truncation}
    return kind.run_of(
        config,
        RECIPE.of(kind.settings_of(config), {}, models),
        plan.of_blocks(pa.table({SAMPLE: range(config.samples)}), PAIRS_A_PART),
        partial(make_stage, networks, ask, **drawn),
        said=f"{config.samples} pairs of people of the prior; {config.siblings} children each",
    )


def make_stage(networks: ChildNetworks, ask: Ask, faces: str = "", *, compute: Compute, **drawn: Any) -> MakeChildren:
    """Build the stage on a worker."""
    return MakeChildren(networks.generator, ask, faces, **drawn, threads=compute.threads)


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
