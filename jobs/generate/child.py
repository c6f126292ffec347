"""Children of pairs of parents: siblings by seed, dominance, ages, surroundings from one place."""

import json
from collections.abc import Sequence
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
from rupantara.faces.couples import People
from rupantara.generation import child_loading, edits, loading, prior
from rupantara.generation.child import ChildGenerator, ChildRequest, Face, Place
from rupantara.models import pretrained
from rupantara.reports.generated import Sources
from rupantara.stages.children import MakeChildren
from rupantara.stages.generate import SAMPLE
from rupantara.storage import checkpoints, manifest, plan, tables, uris, weights
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("generate_child", version=2)
PAIRS_A_PART = 16
PATHS = ("faces", "pairs", "checkpoint", "blender", "edits_from", "weights", "generated", "export", "sheet_rows")


@dataclass(frozen=True, kw_only=True)
class Config(kind.Config):
    """Make children."""

    checkpoint: cli.Uri
    """Checkpoint of jobs.train_vae whose codes are blended."""
    blender: cli.Uri
    """Checkpoint of jobs.train_blender."""
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
    samples: int = 0
    """Instead of --faces: so many pairs of people drawn from the prior of a packed checkpoint."""
    truncation: float = 0.8
    """How far sampled people go from the mean face: 1 = as people do."""
    siblings: int = 1
    """Children of each pair."""
    variation: float = ChildRequest.variation
    """How far siblings differ, 0 (one child) to 1 (as siblings' codes would)."""
    dominance: Annotated[float, cli.Range(-1.0, 1.0)] = 0.0
    """1 = the first parent alone, -1 = the second, 0 = both alike."""
    dominance_of: tuple[str, ...] = ()
    """Dominance of a region alone, as mouth=0.8, in place of --dominance."""
    surroundings: Place = ChildRequest.surroundings
    """Whose hair, clothes, background and light a child has: the first's, the second's or the mean of people."""
    age: float | None = None
    """Age that children are shown at, years (needs --edits-from)."""
    ages: tuple[float, ...] = ()
    """Ages that the first child of each pair is shown at beside, years (needs --edits-from)."""
    edit: tuple[str, ...] = ()
    """Edits, as age=-20 or smile=1 (needs --edits-from)."""
    edits_from: cli.Uri = ""
    """Checkpoint of jobs.train_edits."""
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


@dataclass(frozen=True)
class Ask:
    """Makes the request of a pair."""

    wanted: dict[str, Any]

    def __call__(self, first: Face, second: Face) -> ChildRequest:
        """Ask for the pair's children."""
        return ChildRequest(first, second, **self.wanted)


@dataclass(frozen=True)
class Make:
    """Builds the generator on a worker."""

    checkpoint: str
    blender: str
    edits_from: str
    weights: str

    def __call__(self) -> ChildGenerator:
        """Load the networks."""
        loaded = child_loading.load(self.blender, self.checkpoint)
        paths = edits.load(self.edits_from) if self.edits_from else None
        scored = weights.has(self.weights, "mobilefacenet")
        embed = pretrained.load_embed(self.weights) if scored else None
        return ChildGenerator(loaded, paths, embed, weights.sha256(self.weights, "mobilefacenet") if scored else "")


def listed(config: Config) -> list[tuple[str, str]]:
    """Read --pairs: a CSV or text file, or a Parquet table."""
    if uris.exists(config.pairs):
        return couples.read_list(uris.read_bytes(config.pairs), config.pairs)
    found = manifest.read(config.pairs)
    if found is None:
        raise UserError(f"--pairs must be a CSV file or a table, {config.pairs} is neither")
    rows = tables.read(config.pairs, ("first", "second"), schema=found.schema).to_pylist()
    return [(row["first"] or "", row["second"] or "") for row in rows]


def planned(config: Config) -> list[dict[str, str]]:
    """Return the pairs of a faces table."""
    people = People(config.faces)
    if config.pairs:
        return people.couples(listed(config))
    return list(people.drawn(config.count, config.rule, config.split, config.seed))


def build(config: Config) -> TableRun:
    """Check that all fits, list or draw the pairs, plan a part for each PAIRS_A_PART of them."""
    if bool(config.faces) == bool(config.samples):
        raise UserError("give either --faces or --samples, whose children are made")
    if config.pairs and not config.faces:
        raise UserError("--pairs needs --faces, the table that holds the parents")
    wanted = asked(config)
    child_loading.demand(config.blender, child_loading.MODEL_TYPE, config.checkpoint)
    if config.edits_from:
        child_loading.demand(config.edits_from, edits.MODEL_TYPE, config.checkpoint)
    models = {
        "region_vae": loading.model_sha256(config.checkpoint),
        "blender": checkpoints.model_sha256(config.blender, child_loading.MODEL_TYPE),
    }
    if config.edits_from:
        models["edits"] = checkpoints.model_sha256(config.edits_from, edits.MODEL_TYPE)
    if weights.has(config.weights, "mobilefacenet"):
        models["mobilefacenet"] = weights.sha256(config.weights, "mobilefacenet")
    settings = cli.row_config(config, *PATHS)
    inputs: dict[str, str] = {}
    if config.faces:
        inputs = {"faces": manifest.require(config.faces, "faces").content}
        rows: Sequence[dict[str, Any]] = planned(config)
        settings |= {"pairs": [[row["first"], row["second"]] for row in rows]} if config.pairs else {}
        tables_of = [couples.couples_table(rows[b.start : b.stop]) for b in kind.blocks(len(rows), PAIRS_A_PART)]
        said = f"{len(rows)} pairs"
    else:
        models |= {"prior": prior.sha256(config.checkpoint)}
        tables_of = [pa.table({SAMPLE: list(block)}) for block in kind.blocks(config.samples, PAIRS_A_PART)]
        said = f"{config.samples} pairs of people of the prior"
    stage = partial(
        make_stage,
        Make(config.checkpoint, config.blender, config.edits_from, config.weights),
        Ask(wanted),
        config.faces,
        sampling=partial(loading.load, config.checkpoint) if config.samples else None,
        seed=config.seed,
        truncation=config.truncation,
    )
    return kind.run_of(
        config,
        RECIPE.of(json.loads(json.dumps(settings)), inputs, models),
        plan.of_rows(tables_of),
        stage,
        sources=Sources(faces=config.faces),
        said=f"{said}; {config.siblings} children each",
    )


def make_stage(*arguments: Any, compute: Compute, **named: Any) -> MakeChildren:
    """Build the stage on a worker."""
    return MakeChildren(*arguments, **named, threads=compute.threads)


def main(config: Config) -> None:
    """Run the job."""
    kind.run(config, build(config))
