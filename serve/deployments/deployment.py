"""What all deployments share: loading, one thread for the networks, batches that are counted."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ray.serve import metrics

from serve.deployments.loading import Loading
from serve.outcome import Outcome, each

BATCHES = (1, 2, 4, 8, 16, 32)


class Measures:
    """Prometheus metrics of a deployment; Serve adds the deployment's and the replica's name."""

    def __init__(self) -> None:
        """Declare them."""
        self.batch = metrics.Histogram(
            "rupantara_batch_size",
            description="requests made together",
            boundaries=[float(size) for size in BATCHES],
            tag_keys=("kind",),
        )
        self.seconds = metrics.Histogram(
            "rupantara_stage_seconds",
            description="seconds of a stage",
            boundaries=[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
            tag_keys=("stage",),
        )
        self.rejects = metrics.Counter(
            "rupantara_rejects_total", description="requests refused, by reason", tag_keys=("reason",)
        )

    def batched(self, kind: str, outcomes: list[Outcome]) -> list[Outcome]:
        """Count a batch and return it."""
        self.batch.observe(len(outcomes), {"kind": kind})
        for one in outcomes[:1]:
            for stage, spent in one.seconds.items():
                self.seconds.observe(spent, {"stage": stage})
        for one in outcomes:
            if one.problem is not None:
                self.rejects.inc(1, {"reason": str(one.problem.more.get("reason", one.problem.code))})
        return outcomes


class Deployment:
    """What all share: a reason while not ready, and one thread for what must not run twice at a time, off the event loop."""

    def __init__(self, what: str, load: Callable[[], Any]) -> None:
        """Load; the replica counts as started when this returns."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=what)
        self._measures = Measures()
        # Torch counts its threads by the thread that asks: all of them are set and used in this one.
        self._loading = self._thread.submit(Loading, load, what).result()

    async def state(self) -> str:
        """Return "" when ready, else the reason."""
        return "" if self._loading.value is not None else self._loading.reason or "it is being loaded"

    async def _in_thread(self, work: Callable[..., Any], *arguments: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    async def _batched(self, stage: str, make: Callable[[Sequence[Any]], Sequence[Any]], requests: list[Any]) -> Any:
        return self._measures.batched(stage, await self._in_thread(each, make, requests, stage))
