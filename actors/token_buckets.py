"""How often a caller may ask, over all replicas of a service: token buckets in one named actor, and its client."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import ray
from ray.exceptions import RayActorError

MAX_CALLERS = 100_000
"""Buckets kept; the one unused for longest is forgotten first (it is full by then, or its caller is one of very many)."""
NAMESPACE = "rupantara"


class Buckets:
    """A token bucket a caller."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Start with no callers; `clock` tells seconds."""
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, rate_per_s: float, burst: float, cost: float = 1.0) -> float:
        """Take `cost` requests from a caller's bucket; return 0, or the seconds after which it would hold them.

        What costs more than a full bucket passes when the bucket is full, and leaves a debt.
        """
        now = self._clock()
        left, then = self._buckets.pop(caller, (burst, now))
        left = min(burst, left + (now - then) * rate_per_s)
        enough = min(cost, burst)
        wait_s = 0.0 if left >= enough else (enough - left) / rate_per_s
        self._buckets[caller] = (left - cost if wait_s == 0 else left, now)
        while len(self._buckets) > MAX_CALLERS:
            self._buckets.popitem(last=False)
        return wait_s


class SharedBuckets:
    """Client of the actor that all replicas of an application share; whoever asks first starts it, and it ends with that replica."""

    def __init__(self, name: str) -> None:
        """Name the actor; it is started when it is first asked."""
        self._name, self._actor = f"token-buckets-{name}", None

    async def take(self, caller: str, rate_per_s: float, burst: float) -> float:
        """Ask the actor; where it died with the replica that had started it, another is started, with full buckets."""
        try:
            return await self._find().take.remote(caller, rate_per_s, burst)
        except RayActorError:
            self._actor = None
            return await self._find().take.remote(caller, rate_per_s, burst)

    def _find(self) -> Any:
        if self._actor is None:
            options: dict[str, Any] = {"num_cpus": 0, "get_if_exists": True, "namespace": NAMESPACE}
            self._actor = ray.remote(Buckets).options(name=self._name, **options).remote()
        return self._actor
