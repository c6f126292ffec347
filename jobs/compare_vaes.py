"""Compare VAEs of the zoo, region VAEs, PCAs and the mean face on the same held-out people: errors, distances, diversity, groups.

    ray job submit --working-dir . -- python -m jobs.compare_vaes --faces s3://bucket/faces --weights s3://bucket/weights \
        --checkpoints s3://bucket/zoo s3://bucket/region_vae --comparison s3://bucket/comparison
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Literal

import ray

from jobs.runtime import cli, parts
from rupantara import schema
from rupantara.errors import UserError
from rupantara.evaluation.contestants import expand, load_contestant, model_type
from rupantara.faces.arrays import choose, choose_people
from rupantara.generation import variations
from rupantara.reports import comparison, html
from rupantara.stages import compare
from rupantara.stages.compare import CompareFaces, Contest
from rupantara.storage import checkpoints, manifest, uris, weights
from rupantara.storage.recipe import Recipe, RecipeSpec

log = logging.getLogger("jobs")
RECIPE = RecipeSpec("compare_vaes", version=1)
TIMED_FACES = 32
TIMEOUT_S = 3600


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Compare VAEs."""

    OUTPUT: ClassVar[str] = "comparison"

    faces: str
    """Faces table."""
    checkpoints: tuple[str, ...]
    """Checkpoints of jobs.train_zoo or jobs.train_vae, folders of such, or downloads from the hub."""
    comparison: str
    """Output: the comparison table (rows of each face and method) and report.html."""
    weights: str = ""
    """Folder or bucket with squeezenet (and lpips_squeeze), for perceptual, Fréchet and kernel distances."""
    split: Literal["val", "test"] = "test"
    """Held-out split."""
    limit: int = 500
    """Most people, one face each, chosen by hash (0 = all)."""
    varied: int = 100
    """Faces of these whose diversity is measured."""
    count: int = 10
    """Variations of each of them."""
    noise: float = variations.NOISE
    """Standard deviation of the input's noise on the scale [0, 1]."""
    shown: int = 10
    """Faces of these whose pictures are kept for the report."""
    max_train_faces: int = 3000
    """Most train faces that mean face and PCA are fitted on (0 = all)."""


def heads(config: Config) -> bool:
    """Tell whether LPIPS's heads lie with the weights."""
    return bool(config.weights) and uris.exists(uris.join(config.weights, weights.CATALOGUE["lpips_squeeze"].file))


def recipe_of(config: Config, named: dict[str, str]) -> Recipe:
    """Return what decides the table."""
    settings = cli.row_config(config, "faces", "checkpoints", "comparison", "weights")
    settings |= {"judged": bool(config.weights)}
    models = {name: checkpoints.model_sha256(uri, model_type(uri)) for name, uri in named.items()}
    judges = (("squeezenet",) if config.weights else ()) + (("lpips_squeeze",) if heads(config) else ())
    models |= {name: weights.sha256(config.weights, name) for name in judges}
    inputs = {"faces": manifest.require(config.faces, "faces").content}
    return RECIPE.of(settings, inputs, models)


def build(config: Config) -> tuple[Recipe, Contest, list[str]]:
    """Name the methods, choose the people; the third is their face ids by hash."""
    named = expand(tuple(uris.absolute(uri) for uri in config.checkpoints))
    recipe = recipe_of(config, named)
    chosen = list(choose_people(config.faces, "human", (config.split,), config.limit, config.seed))
    if len(chosen) < 2 or config.count < 2:
        raise UserError(
            f"at least 2 people of split {config.split} and --count 2 are needed, got {len(chosen)} and {config.count}"
        )
    dims = {load_contestant(uri).latent_dim for uri in named.values()}
    contest = Contest(
        checkpoints=named,
        components=tuple(sorted(dims)),
        baselines=uris.join(config.comparison, f"baselines-{recipe.fingerprint[:12]}.safetensors"),
        chosen=frozenset(chosen),
        varied=frozenset(chosen[: config.varied]),
        shown=frozenset(chosen[: config.shown]),
        count=config.count,
        noise=config.noise,
        weights=config.weights,
        heads=heads(config),
        seed=config.seed,
    )
    return recipe, contest, chosen


def on_cluster(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run one Ray task and wait for it."""
    task = ray.remote(function).options(num_cpus=min(2.0, os.cpu_count() or 1))
    return ray.get(task.remote(*arguments), timeout=TIMEOUT_S)


def prepare(config: Config, contest: Contest, chosen: list[str]) -> tuple[Contest, dict[str, Any]]:
    """Fit the baselines and time every method; return the contest with the components there are, and facts for the report."""
    train = frozenset(choose(config.faces, "human", "train", config.max_train_faces, config.seed))
    if len(train) < 2:
        raise UserError(f"{config.faces} must have at least 2 accepted train humans, got {len(train)}")
    most = max(contest.components)
    fitted = on_cluster(compare.fit_baseline, config.faces, train, most, contest.baselines)
    components = tuple(sorted({min(n, fitted) for n in contest.components}))
    contest = replace(contest, components=components)
    ms = on_cluster(compare.speeds, contest, config.faces, frozenset(chosen[:TIMED_FACES]))
    about = {}
    for name, method in compare.methods(contest).items():
        found = manifest.read(contest.checkpoints[name]) if name in contest.checkpoints else None
        about[name] = {"latent_dim": method.latent_dim, "parameters": method.num_parameters, "ms": ms[name]}
        about[name] |= {"seconds": found.seconds if found else None}
    facts = {"faces": len(chosen), "varied": len(contest.varied), "train_faces": len(train), "methods": about}
    facts |= {"heads": contest.heads, "train_attributes": compare.count_attributes(config.faces, "train")}
    return contest, facts


def main(config: Config) -> None:
    """Run the job."""
    recipe, contest, chosen = build(config)
    if config.dry_run:
        print(config, f"\nfingerprint {recipe.fingerprint}\n{len(chosen)} people, {', '.join(contest.checkpoints)}")
        return
    facts: dict[str, Any] = {}
    found = manifest.read(config.comparison)
    if found is None or found.fingerprint != recipe.fingerprint:
        manifest.begin(config.comparison, "comparison", recipe, version=schema.VERSION, overwrite=config.overwrite)
        cli.connect()
        contest, facts = prepare(config, contest, chosen)
    plan = parts.parts_of(config.faces, manifest.require(config.faces, "faces"))
    parts.run_parts(
        config,
        config.comparison,
        "comparison",
        recipe,
        plan,
        partial(CompareFaces, contest),
        version=schema.VERSION,
        columns=compare.COLUMNS,
        **facts,
    )
    uris.delete(contest.baselines)
    report = uris.join(config.comparison, "report.html")
    uris.write_bytes(report, html.render("Comparison of VAEs", [comparison.section(config.comparison)]))
    for row in (comparison.HEADER, *comparison.table_rows(config.comparison)):
        print("| " + " | ".join(row) + " |")
    log.info("report: %s", report)


if __name__ == "__main__":
    required = Config(faces=cli.REQUIRED, checkpoints=cli.REQUIRED, comparison=cli.REQUIRED)
    cli.run(main, {"default": required}, __doc__ or "")
