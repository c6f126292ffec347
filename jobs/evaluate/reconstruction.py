"""A region VAE on held-out people and animals, against two baselines: the mean face, and a PCA with as many components."""

from functools import partial
from typing import Any

from jobs.evaluate.config import Config, EvaluationPlan, judges_of, judges_sha256, settings_of
from rupantara.errors import UserError
from rupantara.evaluation.reconstruction import READ, ReconstructionTrial, fit_baselines
from rupantara.faces.arrays import choose, choose_people
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.reports import evaluation
from rupantara.storage import manifest, uris
from rupantara.storage.recipe import RecipeSpec

RECIPE = RecipeSpec("evaluate", version=3)


def plan(config: Config) -> EvaluationPlan:
    """Choose train and held-out faces."""
    checkpoint = uris.absolute(config.checkpoint[0])
    faces, model = manifest.require(config.faces, "faces"), loading.read_config(checkpoint)
    train = {d: choose(config.faces, d, "train", config.max_train_faces, config.seed) for d in ("human", "animal")}
    held = {d: choose_people(config.faces, d, (config.split,), config.limit, config.seed) for d in ("human", "animal")}
    for domain in train:
        if len(train[domain]) < 2 or not held[domain]:
            raise UserError(f"{config.faces} must have accepted {domain} faces in train and {config.split}")
    strange = sorted(set(held["animal"].values()) - set(model.species))
    if strange:
        raise UserError(f"{checkpoint} knows {', '.join(model.species)}; the faces have {', '.join(strange)} too")
    judges = judges_of(config)
    components = config.pca_components or model.global_dim + len(REGIONS) * model.region_dim
    settings = settings_of(config, "max_train_faces", "pca_components")
    models = {"region_vae": loading.model_sha256(checkpoint)} | judges_sha256(judges)
    recipe = RECIPE.of(settings, {"faces": faces.content}, models)
    baselines = uris.join(config.metrics, f"baselines-{recipe.fingerprint[:12]}.safetensors")
    chosen = frozenset(held["human"]) | frozenset(held["animal"])
    return EvaluationPlan(
        recipe,
        config.faces,
        "faces",
        READ,
        partial(ReconstructionTrial, checkpoint, baselines, chosen),
        judges,
        evaluation.section,
        "Evaluation",
        f"{len(chosen)} faces, PCA with {components} components",
        baselines=baselines,
        prepare=partial(fitted, config.faces, checkpoint, train, components, baselines, model.size),
    )


def fitted(faces: str, checkpoint: str, train: Any, components: int, baselines: str, size: int) -> dict[str, Any]:
    """Fit the baselines; say what the report should know."""
    return {"pca_components": fit_baselines(faces, checkpoint, train, components, baselines), "size": size}
