"""The deployment that finds faces in photographs."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cv2
import numpy as np

from serve.config import Config
from serve.deployments.deployment import Deployment
from serve.faces import SUBJECT, Face, FaceFinder
from serve.memory import Returner
from serve.outcome import Outcome, each

DECODED = 8
"""A photograph takes some eight times its file when it is decoded, and that is what memory is freed of."""


class Faces(Deployment):
    """Finds faces in photographs: decoding in several threads, the networks in one."""

    def __init__(self, config: Config) -> None:
        """Load the networks and warm them up."""

        def load() -> FaceFinder:
            cv2.setNumThreads(1)
            return FaceFinder(config.weights, config.limits.max_pixels)

        super().__init__("finding faces", load)
        self._memory = Returner()
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="faces")

    async def find(self, data: bytes, keypoints: np.ndarray | None = None, which: str | int = SUBJECT) -> Outcome:
        """Return the chosen faces of a photograph (`FaceFinder.find`)."""

        def make(_: Sequence[Any]) -> list[list[Face]]:
            return [self._loading.get().find(data, keypoints, which)]

        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._readers, each, make, [data], "find")
        finally:
            self._memory.after(DECODED * len(data))
        return self._measures.batched("find", found)[0]
