"""The deployment of a bank of region features."""

import logging
import threading
import time
from typing import Any

import torch
from ray import serve

from rupantara.bank import versions
from rupantara.errors import UserError
from serve.config import Config
from serve.deployments.deployment import Deployment
from serve.faces import Face
from serve.generators import grey
from serve.likeness import LikenessMaker
from serve.outcome import Outcome
from serve.problems import Problem

log = logging.getLogger("ray.serve")

MOST_NEAREST = 100
"""Nearest animals that a search may ask for."""


class Likeness(Deployment):
    """A bank of region features: affinities and nearest animals by likeness."""

    def __init__(self, config: Config) -> None:
        """Open the bank, and compare one face to warm up."""
        self._config = config
        super().__init__("the bank of region features", self._load)
        scale = config.scale_of("likeness")
        self._compare = serve.batch(max_batch_size=scale.max_batch, batch_wait_timeout_s=0)(self._compare_batch)
        if config.refresh_s > 0:
            threading.Thread(target=self._keep_fresh, daemon=True).start()

    def _load(self) -> LikenessMaker:
        torch.set_num_threads(self._config.scale_of("likeness").threads)
        maker = LikenessMaker(self._config)
        maker.compare([grey(256)], 1)
        return maker

    def _keep_fresh(self) -> None:
        """Go over to another version of the bank where there is one."""
        while True:
            time.sleep(self._config.refresh_s)
            try:
                maker = self._loading.value
                if maker and versions.latest(self._config.likeness).content != maker.content:
                    self._loading.value = self._thread.submit(self._load).result()
            except (UserError, OSError) as error:
                log.warning("likeness: the old bank stays: %s", error)

    async def _compare_batch(self, faces: list[Face]) -> list[Outcome]:
        return await self._batched("likeness", lambda some: self._loading.get().compare(some, MOST_NEAREST), faces)

    async def compare(self, face: Face) -> Outcome:
        """Return (what the numbers mean, the model's hash, the affinities of a face with a crop)."""
        try:
            outcome: Outcome = await self._compare(face)
        except Problem as problem:
            return Outcome(problem=problem)
        maker = self._loading.value
        if outcome.problem is None and maker is not None:
            outcome.value = maker.measure, maker.sha256, outcome.value
        return outcome

    async def about(self) -> dict[str, Any]:
        """Return what is served."""
        maker = self._loading.value
        return (
            {}
            if maker is None
            else {"model_sha256": maker.sha256, "species": list(maker.species), "measure": maker.measure}
        )
