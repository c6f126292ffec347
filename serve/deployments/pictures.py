"""The deployment of a generator whose pictures come from one checkpoint."""

import logging
import threading
import time
from typing import Any

from ray import serve

from rupantara.errors import UserError
from serve.config import Config
from serve.deployments.deployment import Deployment
from serve.generators import MAKERS, Maker
from serve.outcome import Outcome
from serve.problems import Problem

log = logging.getLogger("ray.serve")


class Pictures(Deployment):
    """A generator of one checkpoint (`serve.generators.MAKERS`), behind a queue of its own."""

    def __init__(self, kind: str, checkpoint: str, config: Config) -> None:
        """Load it, and make one picture to warm up."""
        self._kind, self._checkpoint, self._config = kind, checkpoint, config
        super().__init__(kind, self._load)
        scale = config.scale_of(kind)
        self._batch = serve.batch(max_batch_size=scale.max_batch, batch_wait_timeout_s=0)(self._generate_batch)
        if config.refresh_s > 0:
            threading.Thread(target=self._keep_fresh, daemon=True).start()

    def _load(self) -> Maker[Any]:
        maker = MAKERS[self._kind](self._checkpoint, self._config)
        maker.generate([maker.trial()])
        return maker

    def _keep_fresh(self) -> None:
        """Go over to another checkpoint where there is one; requests meanwhile are answered by the old."""
        while True:
            time.sleep(self._config.refresh_s)
            maker = self._loading.value
            try:
                if maker and maker.digest(self._checkpoint) != maker.about()["model_sha256"]:
                    self._loading.value = self._thread.submit(self._load).result()
            except (UserError, OSError) as error:
                log.warning("%s: the old checkpoint stays: %s", self._kind, error)

    async def _generate_batch(self, asked: list[Any]) -> list[Outcome]:
        return await self._batched(self._kind, lambda some: self._loading.get().generate(some), asked)

    async def generate(self, asked: Any) -> Outcome:
        """Make the pictures of one request, with others that wait."""
        try:
            return await self._batch(asked)
        except Problem as problem:
            return Outcome(problem=problem)

    async def about(self) -> dict[str, Any]:
        """Return what is served."""
        return self._loading.value.about() if self._loading.value else {}
