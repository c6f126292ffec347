"""The flags of an evaluation, and what it plans."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from jobs.runtime import cli
from rupantara.evaluation.protocol import Trial
from rupantara.generation import variation
from rupantara.reports.html import Section
from rupantara.stages.measure import JudgeNetworks
from rupantara.storage import weights
from rupantara.storage.recipe import Recipe

log = logging.getLogger("jobs")

IDENTITY = "mobilefacenet"
"""The network that tells whether two faces are one person's."""


@dataclass(frozen=True, kw_only=True)
class Config(cli.Common):
    """Evaluate."""

    OUTPUT: ClassVar[str] = "metrics"

    faces: cli.Uri
    """Faces table; it says who is held out and who is who."""
    metrics: cli.Uri
    """Output: the metrics table (a row a face and method) and report.html."""
    checkpoint: tuple[cli.Uri, ...] = ()
    """Checkpoints to evaluate, folders of such, or downloads from the hub."""
    generated: cli.Uri = ""
    """Instead of --checkpoint: a generated table, whose pictures are measured against the people of --faces."""
    features: cli.Uri = ""
    """Features table of --faces with vectors, textures and crops, for decoders of vectors."""
    weights: cli.Uri = ""
    """Folder or bucket of pretrained networks; identity is measured where it holds MobileFaceNet, the rest by networks that ship."""
    split: Literal["val", "test"] = "test"
    """Held-out split; pictures of --generated count whatever their split."""
    limit: int = 500
    """Most faces of each domain, one a person, chosen by hash (0 = all)."""
    shown: int = 10
    """Faces of these whose pictures are kept for the report."""
    max_train_faces: int = 3000
    """Most train faces of each domain that the baselines are fitted on (0 = all)."""
    pca_components: int = 0
    """Components of the PCA beside one region VAE (0 = as many numbers as its code)."""
    varied: int = 100
    """Of VAEs side by side: faces whose diversity is measured."""
    count: int = 10
    """Variations of each of them."""
    noise: float = variation.NOISE
    """Standard deviation of the input's noise for them, on the scale [0, 1]."""


@dataclass(frozen=True)
class EvaluationPlan:
    """An evaluation: the table whose files are its parts, the trial, and the report.

    `prepare` runs once, in one Ray task, before the parts: it writes the baselines to `baselines` and returns what the report should
    know; `header` and `rows_of` are the main table, which is printed too.
    """

    recipe: Recipe
    table: str
    schema_name: str
    columns: Sequence[str]
    make_trial: Callable[[], Trial]
    judges: JudgeNetworks
    section: Callable[[str], Section]
    title: str
    said: str
    shown: frozenset[str] = frozenset()
    baselines: str = ""
    prepare: Callable[[], dict[str, Any]] = dict
    make_measures: Callable[[], Sequence[Any]] = tuple
    header: Sequence[str] = ()
    rows_of: Callable[[str], Sequence[Sequence[Any]]] | None = None


def judges_of(config: Config, *, identity: bool = True) -> JudgeNetworks:
    """Return the networks that judge: SqueezeNet, which ships, and those that --weights holds."""
    folder = config.weights or str(weights.SHIPPED)
    known = weights.available(folder, IDENTITY)
    if identity and not known:
        log.info("identity distances are off: they need %s in --weights", IDENTITY)
    return JudgeNetworks(folder, weights.has(folder, "lpips_squeeze"), identity and known)


def judges_sha256(judges: JudgeNetworks) -> dict[str, str]:
    """Return the SHA-256 of each network that judges."""
    names = [
        "squeezenet",
        *([IDENTITY] if judges.identity else []),
        *(["lpips_squeeze"] if judges.heads else []),
    ]
    return {name: weights.sha256(judges.weights, name) for name in names}


def settings_of(config: Config, *names: str) -> dict[str, Any]:
    """Return the settings of an evaluation that are in its recipe: the shared ones, and those of these names."""
    wanted = ("seed", "split", "limit", "shown", *names)
    return {name: getattr(config, name) for name in wanted}
