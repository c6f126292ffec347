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

from actors.bank_shard import BankShard
from actors.fan_out import MAX_PENDING, first_line
from rupantara.bank import versions
from rupantara.bank.alignment import Alignment
from rupantara.bank.index import Moments
from rupantara.errors import UserError

log = logging.getLogger("jobs")

NAMESPACE = "rupantara"
PREFIX = "bank-"
"""Of the names of all shard actors."""
MAX_CONCURRENCY = 4
"""Calls that a replica works on at a time: FAISS lets go of Python while it searches."""
MEMORY_FACTOR = 3.0
"""Memory of a loaded shard over the bytes of its files: rows once as columns, once as the vectors that are searched, and ids."""
LEAST_MEMORY_BYTES = 64 * 2**20
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
    moments: tuple[Moments, ...] | None = None


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
    memory = [memory_bytes(found, shard) for shard in range(len(found.shards))]
    require_room(memory * placing.replicas, placing)
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


def memory_bytes(found: versions.BankVersion, shard: int) -> int:
    """Estimate the memory of a loaded shard from its files."""
    sizes = {file.path: file.bytes for file in found.manifest.files}
    one = found.shards[shard]
    files = (*one.segments, *one.index.values())
    return int(MEMORY_FACTOR * sum(sizes.get(path, 0) for path in files)) + LEAST_MEMORY_BYTES


def require_room(memory: Sequence[int], placing: Placing) -> None:
    """Raise BankUnavailableError where no node, or the whole cluster, has the memory, CPUs or GPUs that shards ask for.

    A cluster that grows on demand is asked for nothing but a node large enough.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    largest = max((node.get("memory", 0.0) for node in nodes), default=0.0)
    grows = not any(node.get("CPU") for node in nodes[:1])
    free = ray.available_resources()
    wanted = {
        "memory": float(sum(memory)),
        "CPU": placing.num_cpus * len(memory),
        "GPU": placing.num_gpus * len(memory),
    }
    short = [name for name, amount in wanted.items() if amount > free.get(name, 0.0)]
    if not grows and max(memory) > largest:
        raise BankUnavailableError(
            f"a bank shard needs {_gib(max(memory))} of memory, and the largest node offers {_gib(largest)}: build the bank with more"
            " --num-shards, or use larger nodes"
        )
    if short and not grows:
        name = short[0]
        need, left = (_gib(v) if name == "memory" else f"{v:g} {name}s" for v in (wanted[name], free.get(name, 0.0)))
        raise BankUnavailableError(
            f"{len(memory)} bank shards need {need}{' of memory' if name == 'memory' else ''}, and the cluster has {left} free: add a"
            " node, or end other banks (python -m jobs.bank_report --action running)"
        )


def _gib(size: float) -> str:
    return f"{size / 2**30:.2f} GiB"


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
            f" {free.get('CPU', 0):g} CPUs and {_gib(free.get('memory', 0))} of memory free"
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
