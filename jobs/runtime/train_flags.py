"""Flags of every training."""

from dataclasses import dataclass

from jobs.runtime import cli


@dataclass(frozen=True, kw_only=True)
class Training(cli.Common):
    """What all trainings have in common: threads, failures, what is kept and where it is logged."""

    threads: int = 0
    """Torch threads of each worker (0 = all of the machine)."""
    min_workers: int = 0
    """Let the training go on with as few as this many workers when machines leave, and grow again (0 = never fewer)."""
    max_failures: int = 2
    """Failures of workers that are restarted from the last checkpoint."""
    num_to_keep: int = 2
    """Training states kept."""
    mlflow: str = ""
    """Address of an MLflow tracking server (needs the extra `mlflow`)."""
