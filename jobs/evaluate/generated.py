"""Generated pictures against the photographs of the people that they were made from."""

from functools import partial

from jobs.evaluate.config import Config, EvaluationPlan, judges_of, judges_sha256, settings_of
from rupantara.evaluation.generated import COLUMNS, GeneratedTrial, measures
from rupantara.faces.arrays import at_most
from rupantara.reports import generated_metrics
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("evaluate_generated", version=2)


def plan(config: Config) -> EvaluationPlan:
    """Choose the faces whose pictures count."""
    generated, faces = manifest.require(config.generated, "generated"), manifest.require(config.faces, "faces")
    people: dict[str, str] = {}
    for part in tables.read_parts(config.generated, ("face_ids",), schema="generated"):
        people |= {(ids or [""])[0]: "" for ids in part["face_ids"].to_pylist()}
    chosen = list(at_most(people, config.limit, config.seed))
    judges = judges_of(config)
    settings = {name: value for name, value in settings_of(config).items() if name != "split"}
    inputs = {"generated": generated.content, "faces": faces.content}
    facts = {"generated": config.generated, "pictures": generated.counts["accepted"], "people": len(chosen)}
    return EvaluationPlan(
        RECIPE.of(settings, inputs, judges_sha256(judges)),
        config.generated,
        "generated",
        COLUMNS,
        partial(GeneratedTrial, config.faces, chosen),
        judges,
        generated_metrics.section,
        "Generated pictures",
        f"pictures of {len(chosen)} of {len(people)} people",
        shown=frozenset(chosen[: config.shown]),
        prepare=partial(dict, facts),
        make_measures=measures,
        header=generated_metrics.HEADER,
        rows_of=generated_metrics.table_rows,
    )
