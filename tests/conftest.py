"""Fixtures: one local Ray for the session, and one small run of the whole way over drawn faces."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import scheduling

os.environ.setdefault("RAY_AUTH_MODE", "disabled")
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")
# A process less for each training; no machine leaves.
os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
if "PYTEST_XDIST_WORKER" in os.environ:
    # Two test processes on two cores: threads of one would only take the other's time.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

REPOSITORY = Path(__file__).resolve().parents[1]
WEIGHTS = REPOSITORY.parent / "shared/data/weights"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items[:] = scheduling.in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> scheduling.Scheduling:
    config.option.loadscopereorder = False
    return scheduling.Scheduling(config, log)


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=4,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=512 * 2**20,
        namespace="test",
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


@dataclass(frozen=True)
class Run:
    """Where the tables of the session's small run lie."""

    root: Path

    def __getattr__(self, name: str) -> str:
        return str(self.root / name)


@pytest.fixture(scope="session")
def run(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The smoke preset of the demo, made once: every job over drawn faces."""
    from dataclasses import replace

    from jobs.demo.config import presets
    from jobs.demo.run import main

    root = tmp_path_factory.mktemp("run")
    main(replace(presets()["smoke"], run=str(root)))
    return Run(root)
