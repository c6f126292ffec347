"""VAEs of the zoo, region VAEs, PCAs and the mean face side by side: errors, distances, diversity, groups."""

from functools import partial

from jobs.evaluate.config import Config, EvaluationPlan, judges_of, judges_sha256, settings_of
from rupantara.errors import UserError
from rupantara.evaluation import contest
from rupantara.evaluation.contest import Contest, ContestTrial
from rupantara.evaluation.contestants import expand, load_contestant, model_type
from rupantara.faces.arrays import choose, choose_people
from rupantara.generation import flow_prior
from rupantara.reports import comparison
from rupantara.storage import checkpoints, manifest, uris
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("evaluate_vaes", version=3)
TIMED_FACES = 32


def plan(config: Config) -> EvaluationPlan:
    """Name the methods, choose the people."""
    named = expand(tuple(uris.absolute(uri) for uri in config.checkpoint))
    chosen = list(choose_people(config.faces, "human", (config.split,), config.limit, config.seed))
    train = frozenset(choose(config.faces, "human", "train", config.max_train_faces, config.seed))
    if min(len(chosen), len(train), config.count) < 2:
        raise UserError(
            f"at least 2 people of split {config.split}, 2 of train and --count 2 are needed, got {len(chosen)},"
            f" {len(train)} and {config.count}"
        )
    judges = judges_of(config, identity=False)
    settings = settings_of(config, "varied", "count", "noise", "max_train_faces") | {"judged": bool(judges.weights)}
    models = {name: checkpoints.model_sha256(uri, model_type(uri)) for name, uri in named.items()}
    # A flow prior that a region VAE carries is what its samples are drawn from.
    carried = {name: beside for name, uri in named.items() if (beside := flow_prior.beside(uri))}
    models |= {f"{name}/flow_prior": flow_prior.demand(uri, models[name]) for name, uri in carried.items()}
    faces = manifest.require(config.faces, "faces")
    recipe = RECIPE.of(settings, {"faces": faces.content}, models | judges_sha256(judges))
    asked = Contest(
        checkpoints=named,
        components=tuple(sorted({load_contestant(uri).latent_dim for uri in named.values()})),
        baselines=uris.join(config.metrics, f"baselines-{recipe.fingerprint[:12]}.safetensors"),
        chosen=frozenset(chosen),
        varied=frozenset(chosen[: config.varied]),
        count=config.count,
        noise=config.noise,
        seed=config.seed,
    )
    return EvaluationPlan(
        recipe,
        config.faces,
        "faces",
        contest.COLUMNS,
        partial(ContestTrial, asked),
        judges,
        comparison.section,
        "Comparison of VAEs",
        f"{len(chosen)} people, {', '.join(named)}",
        shown=frozenset(chosen[: config.shown]),
        baselines=asked.baselines,
        prepare=partial(contest.prepare, asked, config.faces, train, frozenset(chosen[:TIMED_FACES])),
        header=comparison.HEADER,
        rows_of=comparison.table_rows,
    )
