"""The shard actors of banks: started where there is room for them, waited for, listed and ended.

Shards only answer. They ask for memory and for no CPU, so that a job's own workers always fit beside them. Whoever starts them owns
them: they end with its process, a job's driver or a deployment's replica, and nothing is left to be cleared away.
"""

import contextlib
import logging
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from actors import room
from actors.bank_shard import BankShard
from actors.fan_out import MAX_PENDING, first_line
from rupantara.bank import versions
from rupantara.bank.alignment import Alignment
from rupantara.bank.index import UnitSums
from rupantara.errors import UserError

log = logging.getLogger("jobs")

NAMESPACE = "rupantara"
PREFIX = "bank-"
"""Of the names of all shard actors."""
MAX_CONCURRENCY = 4
"""Calls that a replica works on at a time: FAISS lets go of Python while it searches."""
PATIENCE_S = 10.0
"""After so long it is said what is waited for."""


class BankUnavailableError(UserError):
    """A shard did not answer, and a partial answer was not allowed; or there is no room for one."""


@dataclass(frozen=True)
class View:
    """What a client looks at: handles [shard][replica] of the actors, and the version that they are asked for."""

    handles: tuple[tuple[Any, ...], ...]
    version: int
    content: str
    model_sha256: str
    alignment: Alignment
    species: tuple[str, ...]
    moments: tuple[UnitSums, ...] | None = None


def view_of(found: versions.BankVersion, handles: tuple[tuple[Any, ...], ...]) -> View:
    """Return what a client sees of a version through these actors."""
    return View(handles, found.number, found.content, found.model_sha256, found.alignment, tuple(found.species))


@dataclass(frozen=True)
class Placing:
    """How shards are started: CPUs and GPUs that each holds, replicas of each, and threads of a search (0 = a fair share)."""

    num_cpus: float = 0.0
    num_gpus: float = 0.0
    replicas: int = 1
    threads: int = 0


def start(found: versions.BankVersion, placing: Placing) -> View:
    """Start the actors of a version; raise BankUnavailableError at once where the cluster has no room for them."""
    require_room(found, placing)
    memory = room.shard_bytes(found)
    threads = placing.threads or max(1, (os.cpu_count() or 1) // (len(memory) * placing.replicas))
    token, actor = uuid.uuid4().hex[:12], ray.remote(BankShard)
    handles = []
    for shard, size in enumerate(memory):
        options: dict[str, Any] = {"num_cpus": placing.num_cpus, "num_gpus": placing.num_gpus, "memory": size}
        options |= {"max_restarts": -1, "max_task_retries": 0, "max_concurrency": MAX_CONCURRENCY}
        options |= {"max_pending_calls": MAX_PENDING, "scheduling_strategy": "SPREAD", "namespace": NAMESPACE}
        named = (actor.options(**options, name=f"{PREFIX}{token}-{shard}-{n}") for n in range(placing.replicas))
        handles.append(tuple(one.remote(found.uri, shard, threads) for one in named))
    return view_of(found, tuple(handles))


def require_room(found: versions.BankVersion, placing: Placing) -> None:
    """Raise BankUnavailableError where the nodes never hold the memory, or the CPUs and GPUs, that shards ask for."""
    if why := room.lacking(room.shard_bytes(found) * placing.replicas):
        raise BankUnavailableError(f"{found.uri}: {why}")
    number, there = len(found.shards) * placing.replicas, ray.cluster_resources()
    for name, each in (("CPU", placing.num_cpus), ("GPU", placing.num_gpus)):
        if each * number > there.get(name, 0.0):
            raise BankUnavailableError(
                f"{found.uri}: {number} bank shards of {each:g} {name}s need {each * number:g}, the cluster has {there.get(name, 0):g}"
            )


def wait_all(refs: Sequence[Any], timeout_s: float, what: str) -> None:
    """Wait for answers of all shards, saying so after a while; raise BankUnavailableError when one lacks, and errors of the question."""
    ready, late = ray.wait(list(refs), num_returns=len(refs), timeout=min(PATIENCE_S, timeout_s))
    if late and timeout_s > PATIENCE_S:
        log.info("waiting for %d of %d bank shards", len(late), len(refs))
        ready, late = ray.wait(list(refs), num_returns=len(refs), timeout=timeout_s - PATIENCE_S)
    if late:
        for ref in late:
            ray.cancel(ref)
        free = ray.available_resources()
        raise BankUnavailableError(
            f"{len(late)} of {len(refs)} bank shards {what} within {timeout_s:g} s: the cluster has"
            f" {free.get('CPU', 0):g} CPUs and {room.gib(free.get('memory', 0))} of memory free"
        )
    try:
        ray.get(list(ready), timeout=timeout_s)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from error
        raise BankUnavailableError(f"a bank shard {what}: {first_line(error)}") from error
    except RayError as error:
        raise BankUnavailableError(f"a bank shard {what}: {first_line(error)}") from error


def running(timeout_s: float = 10.0) -> dict[str, Mapping[str, Any]]:
    """Return what each running shard actor of the cluster says of itself, by name; nothing of one that does not answer."""
    listed = ray.util.list_named_actors(all_namespaces=True)
    names = sorted(one["name"] for one in listed if one["namespace"] == NAMESPACE and one["name"].startswith(PREFIX))
    refs = {name: actor.describe.remote() for name in names if (actor := _actor(name))}
    ready, _ = ray.wait(list(refs.values()), num_returns=len(refs), timeout=timeout_s) if refs else ([], [])
    return {name: _told(ref) if ref in ready else {} for name, ref in refs.items()}


def stop(names: Sequence[str]) -> None:
    """End shard actors by name, whoever owns them."""
    for actor in filter(None, map(_actor, names)):
        ray.kill(actor)


def _actor(name: str) -> Any:
    """Return the actor of a name; None where it has ended meanwhile."""
    with contextlib.suppress(ValueError):
        return ray.get_actor(name, namespace=NAMESPACE)
    return None


def _told(ref: Any) -> Mapping[str, Any]:
    with contextlib.suppress(RayError):
        return ray.get(ref)
    return {}
