"""A training that cannot be placed says within seconds what does not fit and what would, and never waits for ever."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import ray
from ray.util.placement_group import placement_group, remove_placement_group

from jobs.runtime.training import TrainingFlags
from jobs.runtime.training.room import find_room, threads
from rupantara.errors import UserError


@contextmanager
def held(cpus: float) -> Iterator[None]:
    """Hold CPUs, as a bank's shards would."""
    group = placement_group([{"CPU": cpus}])
    assert group.wait(30)
    try:
        yield
    finally:
        remove_placement_group(group)


def settled(cpus: float) -> None:
    """Wait until so many CPUs are free again: Ray frees them a little after a group is removed."""
    for _ in range(200):
        if ray.available_resources().get("CPU", 0.0) >= cpus:
            return
        time.sleep(0.1)
    pytest.fail(f"{ray.available_resources()} are free")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            {"workers": 9, "cpus_per_worker": 1.0},
            r"9 training workers of 1 CPU and 1 CPU for reading.*has 4 CPUs.*--workers 3 fits",
        ),
        ({"cpus_per_worker": 4.0}, r"1 training worker of 4 CPUs .*the cluster has 4 CPUs.*--cpus-per-worker 3 fits"),
        ({"gpus_per_worker": 1.0}, r"of 1 CPU and 1 GPU cannot be placed: the cluster has 0 GPUs; train without"),
    ],
)
def test_what_the_cluster_can_never_hold_is_refused_at_once(ray_cluster, flags: dict, said: str) -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match=said):
        find_room(TrainingFlags(**flags))
    assert time.monotonic() - started < 10


def test_workers_behind_a_bank_are_told_what_is_free_and_do_not_wait_for_ever(ray_cluster, caplog) -> None:
    settled(4)
    with held(3), caplog.at_level("WARNING", logger="jobs"):
        with pytest.raises(
            UserError, match=r"of 2 CPUs and 1 CPU for reading do not fit: 1 of 4 CPUs are free.*--wait-s more"
        ):
            find_room(TrainingFlags(cpus_per_worker=2.0, wait_s=1.0))
        assert "waiting up to 1 s: 1 training worker of 2 CPUs" in caplog.text
    settled(4)
    assert find_room(TrainingFlags(cpus_per_worker=2.0, wait_s=30.0)).cpus == 2
    settled(4)


def test_unless_told_workers_share_what_is_free_but_one_cpu(ray_cluster) -> None:
    settled(4)
    assert find_room(TrainingFlags()).cpus == 3 and find_room(TrainingFlags()).spare_threads == 1
    settled(4)
    assert find_room(TrainingFlags(workers=3)).bundle == {"CPU": 1.0}
    with held(2):
        assert find_room(TrainingFlags()).cpus == 1
    settled(4)


def test_a_worker_computes_on_the_cpus_that_ray_gave_it(ray_cluster) -> None:
    asked = [(0, 0, 1), (0, 1, 1), (0, 0, 2), (5, 0, 1)]
    tasks = [ray.remote(threads).options(num_cpus=cpus).remote(number, spare) for number, spare, cpus in asked]
    found, cores = ray.get(tasks), ray.get(ray.remote(threads).options(num_cpus=1).remote(0, 1000))
    assert found == [1, min(2, cores), min(2, cores), 5]
