"""Client of the bank: starts the shard actors, fans a search out and merges the answers exactly."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError

from actors.bank_shard import BankShard
from rupantara.bank.affinity import species_means
from rupantara.bank.alignment import Alignment
from rupantara.bank.hits import Hits, merge_hits
from rupantara.bank.index import Moments
from rupantara.errors import UserError
from rupantara.storage import manifest
from rupantara.types import Vectors

NAMESPACE = "rupantara"
START_TIMEOUT_S = 120.0
SEARCH_TIMEOUT_S = 60.0


class BankUnavailableError(UserError):
    """A shard did not answer, and a partial answer was not allowed."""


class ShardedBank:
    """Handles of all shards of one bank; it pickles, so a stage on a worker can carry it."""

    def __init__(self, shards: Sequence[Any], fingerprint: str, model_sha256: str, alignment: Alignment) -> None:
        """Wrap started shard actors."""
        self._shards, self.fingerprint, self.model_sha256 = list(shards), fingerprint, model_sha256
        self.alignment = alignment
        self._moments: list[Moments] | None = None

    @staticmethod
    def start(bank: str, *, num_cpus: float = 0.25, detached: bool = False) -> "ShardedBank":
        """Start one restartable actor a shard (or, detached, find those that run already) and wait until all have loaded."""
        found = manifest.require(bank, "bank")
        shards = []
        for i in range(len([f for f in found.files if f.path.endswith(".parquet")])):
            options: dict[str, Any] = {"num_cpus": num_cpus, "max_restarts": -1, "max_task_retries": 3}
            options["scheduling_strategy"] = "SPREAD"
            if detached:
                name = f"bank-{found.fingerprint[:12]}-{i}"
                options |= {"name": name, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
            shards.append(ray.remote(BankShard).options(**options).remote(bank, i, found.fingerprint))
        client = ShardedBank(
            shards, found.fingerprint, found.extra["model_sha256"], Alignment.from_json(found.extra["alignment"])
        )
        client._load_moments(START_TIMEOUT_S)
        return client

    def _load_moments(self, timeout_s: float) -> None:
        refs = [shard.moments.remote() for shard in self._shards]
        ready, late = ray.wait(refs, num_returns=len(refs), timeout=timeout_s)
        if late:
            raise BankUnavailableError(
                f"{len(late)} of {len(refs)} bank shards did not load within {timeout_s:g} s: the cluster has"
                f" {ray.available_resources().get('CPU', 0):g} CPUs free"
            )
        self._moments = ray.get(ready and refs)

    def species_means(self, region: str) -> tuple[list[str], Vectors, np.ndarray]:
        """Return species, their mean unit vectors and their numbers of features in a region."""
        if self._moments is None:
            self._load_moments(START_TIMEOUT_S)
        assert self._moments is not None
        return species_means(self._moments, region)

    def search(self, queries: Vectors, region: str, k: int, species: str = "", *, allow_partial: bool = False) -> Hits:
        """Find the k best rows of the whole bank for each unit query.

        Raise BankUnavailableError when a shard does not answer, unless `allow_partial`: then the answer says so.
        """
        shared = ray.put(queries) if queries.nbytes > 100_000 else queries
        refs = [shard.search.remote(shared, region, k, species) for shard in self._shards]
        ready, late = ray.wait(refs, num_returns=len(refs), timeout=SEARCH_TIMEOUT_S)
        for ref in late:
            ray.cancel(ref)
        answers = []
        for ref in ready:
            try:
                answers.append(ray.get(ref))
            except RayActorError as error:
                if not allow_partial:
                    raise BankUnavailableError(f"a bank shard failed: {error}") from error
        missing = len(refs) - len(answers)
        if missing and (not allow_partial or not answers):
            raise BankUnavailableError(
                f"{missing} of {len(refs)} bank shards did not answer within {SEARCH_TIMEOUT_S:g} s"
            )
        return merge_hits(answers, k, partial=missing > 0)

    def close(self) -> None:
        """Stop the shards."""
        for shard in self._shards:
            ray.kill(shard)
