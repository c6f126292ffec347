"""Flags of every training, what their values have to be, and which of them change no weight."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jobs.runtime import cli
from rupantara.errors import UserError


@dataclass(frozen=True, kw_only=True)
class TrainingFlags(cli.Common):
    """What all trainings have in common: threads, failures, what is kept and where it is logged."""

    cpus_per_worker: float = 0.0
    """Ray CPUs that each worker asks for, and computes on (0 = its share of the largest machine, without 1 CPU for reading)."""
    threads: int = 0
    """Torch threads of each worker (0 = as many as it has CPUs)."""
    wait_s: float = 0.0
    """Seconds to wait for room for the workers (0 = 60, or 900 where machines come on demand)."""
    min_workers: int = 0
    """Let the training go on with as few as this many workers when machines leave, and grow again (0 = never fewer)."""
    max_failures: int = 2
    """Failures of workers that are restarted from the last checkpoint."""
    num_to_keep: int = 2
    """Training states kept."""
    mlflow: str = ""
    """Address of an MLflow tracking server (needs the extra `mlflow`)."""

    @property
    def num_workers(self) -> int:
        """Return how many workers train."""
        return max(1, self.workers)


NO_WEIGHTS = ("threads", "wait_s", "min_workers", "max_failures", "num_to_keep", "mlflow")
"""Flags of every training that change no weight."""

NOT_NEGATIVE = (
    *("kl_weight", "kl_warm_up_images", "free_bits", "structural_weight", "symmetry_weight", "adversarial_weight"),
    *("max_faces", "max_validation_faces", "threads", "min_workers", "max_failures", "wait_s"),
)
RULES: dict[str, tuple[str, Callable[[float], bool]]] = {
    **{name: ("must not be negative", lambda value: value >= 0) for name in NOT_NEGATIVE},
    **{name: ("must be above 0", lambda value: value > 0) for name in ("learning_rate", "gradient_clip")},
    **{
        name: ("must be a share from 0 to 1", lambda value: 0 <= value <= 1)
        for name in ("swap_share", "adversarial_start")
    },
    "ema_decay": ("must be at least 0 and below 1", lambda value: 0 <= value < 1),
    "num_to_keep": ("must be at least 1", lambda value: value >= 1),
}
"""What settings of a training have to be, by name."""


def check(config: TrainingFlags) -> None:
    """Refuse settings that no training can have, of those that the job has."""
    for name, (rule, holds) in RULES.items():
        value = getattr(config, name, None)
        if value is not None and not holds(value):
            raise UserError(f"--{name.replace('_', '-')} {rule}, got {value:g}")
    if config.min_workers > config.num_workers:
        raise UserError(f"--min-workers must be at most --workers, got {config.min_workers} and {config.num_workers}")


def recipe_settings(config: TrainingFlags, *exclude: str) -> dict[str, Any]:
    """Return the settings that decide the weights, for the recipe: no paths, and no flags that `exclude` names."""
    return cli.row_config(config, *cli.places(type(config)), *NO_WEIGHTS, *exclude) | {
        "num_workers": config.num_workers
    }
