"""Room for the workers of a training: how many CPUs each asks for, and a line within seconds where they do not fit."""

import logging
import math
import os
from dataclasses import dataclass

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group

from jobs.runtime import cluster
from jobs.runtime.training.flags import TrainingFlags
from rupantara.errors import UserError

log = logging.getLogger("jobs")
FIRST_LOOK_S = 4.0
"""Seconds after which a training that has to wait says so."""
WAIT_S, WAIT_FOR_NODES_S = 60.0, 900.0
"""Seconds to wait for room where --wait-s does not say: of a cluster as it is, and of one whose nodes come on demand."""
READING = 1.0
"""CPUs that stay free for Ray Data's own tasks, which lay the streams out and hand them on."""


@dataclass(frozen=True)
class Room:
    """What each worker asks Ray for, how many threads more than its CPUs it computes on, and how long it may wait for its place.

    A worker that is alone and asks for all that it can computes on the CPU for reading as well, which is idle once the streams are
    laid out.
    """

    cpus: float
    gpus: float
    spare_threads: int = 0
    wait_s: float = WAIT_S

    @property
    def bundle(self) -> dict[str, float]:
        """Return one worker's resources as Ray names them."""
        return {"CPU": self.cpus} | ({"GPU": self.gpus} if self.gpus else {})


def find_room(config: TrainingFlags) -> Room:
    """Return what each worker asks for, once the cluster has room for it.

    UserError at once where a cluster that does not grow can never place the workers; else after --wait-s, with a line in the log meanwhile.
    """
    auto, grows = not config.cpus_per_worker, cluster.scales()
    room = Room(
        _share(config) if auto else config.cpus_per_worker,
        config.gpus_per_worker,
        int(auto and config.num_workers == 1 and not config.gpus_per_worker),
        config.wait_s or (WAIT_FOR_NODES_S if grows else WAIT_S),
    )
    least = config.min_workers or config.num_workers
    if not grows:
        _check_total(room, least)
    bundles = [room.bundle for _ in range(least)] + [{"CPU": READING}]
    group = placement_group(bundles, strategy="PACK")
    try:
        _wait(group, room, least)
    finally:
        remove_placement_group(group)
    return room


def _share(config: TrainingFlags) -> float:
    """Return a worker's share of the largest machine, or of what is free, without what reading needs; at least 1."""
    if config.gpus_per_worker:
        return 1.0
    machines = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    machines = [cpus for cpus in machines if cpus] or [0.0]
    each = math.ceil(config.num_workers / len(machines))
    free = (ray.available_resources().get("CPU", 0.0) - READING) // config.num_workers
    return max(1.0, min((max(machines) - READING) // each, free))


def _check_total(room: Room, workers: int) -> None:
    """Raise UserError where the whole cluster is too small."""
    total = ray.cluster_resources()
    largest = max((node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]), default=0.0)
    cpus, gpus = total.get("CPU", 0.0), total.get("GPU", 0.0)
    if room.gpus * workers > gpus:
        fit = int(gpus // room.gpus)
        raise UserError(
            f"{_words(room, workers)} cannot be placed: the cluster has {gpus:g} GPUs; "
            + (f"--workers {fit} fits" if fit else "train without --gpus-per-worker, or add a machine with a GPU")
        )
    if room.cpus > largest or room.cpus * workers + READING > cpus:
        each = max(0.0, min(largest, (cpus - READING) // workers))
        advice = f"--cpus-per-worker {each:g} fits" if each >= 1 else f"--workers {max(1, int(cpus - READING))} fits"
        raise UserError(
            f"{_words(room, workers)} and 1 CPU for reading cannot be placed: the cluster has {cpus:g} CPUs,"
            f" at most {largest:g} on a machine; {advice}"
        )


def _wait(group: PlacementGroup, room: Room, workers: int) -> None:
    """Wait until Ray can place the group."""
    first = min(FIRST_LOOK_S, room.wait_s)
    if group.wait(timeout_seconds=first):
        return
    free, total = ray.available_resources(), ray.cluster_resources()
    kinds = ("CPU", *(("GPU",) if room.gpus else ()))
    held = " and ".join(f"{free.get(kind, 0.0):g} of {total.get(kind, 0.0):g} {kind}s" for kind in kinds)
    said = f"{_words(room, workers)} and 1 CPU for reading do not fit: {held} are free (`ray status` shows what holds the others)"
    log.warning("waiting up to %.0f s: %s", room.wait_s, said)
    if not group.wait(timeout_seconds=max(0.0, room.wait_s - first)):
        raise UserError(
            f"{said}; end what holds them, ask for less (--workers, --cpus-per-worker), or give --wait-s more"
        )


def _words(room: Room, workers: int) -> str:
    gpus = f" and {room.gpus:g} GPU" if room.gpus else ""
    return f"{workers} training worker{'s' * (workers > 1)} of {room.cpus:g} CPU{'s' * (room.cpus > 1)}{gpus}"


def threads(asked: int, spare: int) -> int:
    """Return the torch threads of this worker: those asked for, or as many as Ray gave it CPUs, no more than the machine has."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return asked or max(1, min(cluster.given().threads + spare, cores))
