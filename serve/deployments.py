"""Deployments: plain classes that hold a generator, batch what is asked for together, and say why they are not ready."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import torch
from ray import serve
from ray.serve import metrics
from ray.serve.handle import DeploymentHandle

from actors.sharded_bank import BankUnavailableError, ShardedBank
from rupantara.bank import versions
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from serve.bank import Bank, LocalBank
from serve.config import Config
from serve.crops import Rows
from serve.faces import SUBJECT, Face, FaceFinder, from_token, to_token, with_codes
from serve.generators import MAKERS, Maker, grey
from serve.hybrids import HybridAsk, HybridMaker
from serve.likeness import LikenessMaker
from serve.outcome import BANK_LOST, Outcome, each, timed
from serve.problems import Problem

log = logging.getLogger("ray.serve")

MOST_NEAREST = 100
"""Nearest animals that a search may ask for."""
RETRY_S = 5.0
"""Seconds between tries to load what could not be loaded."""
BATCHES = (1, 2, 4, 8, 16, 32)


class Loading:
    """Loads something when it is built; what a user can mend (UserError) is kept as the reason and tried again, for ever.

    A constructor that fails would make Serve start it over and over, and nobody could be told why.
    """

    def __init__(self, load: Callable[[], Any], what: str) -> None:
        """Load, or begin to try again in the background."""
        self._load, self._what, self.value, self.reason = load, what, None, ""
        if not self._try():
            threading.Thread(target=self._again, daemon=True).start()

    def _try(self) -> bool:
        try:
            self.value = self._load()
        except (UserError, OSError) as error:
            self.reason = " ".join(str(error).split())
            log.warning("%s is not ready: %s", self._what, self.reason)
            return False
        self.reason = ""
        return True

    def _again(self) -> None:
        while True:
            time.sleep(RETRY_S)
            if self._try():
                return

    def get(self) -> Any:
        """Return what was loaded; raise the problem where it is not there."""
        if self.value is None:
            raise Problem("not_ready", f"{self._what} is not ready: {self.reason or 'it is being loaded'}")
        return self.value


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


class Faces(Deployment):
    """Finds faces in photographs: decoding in several threads, the networks in one."""

    def __init__(self, config: Config) -> None:
        """Load the networks and warm them up."""

        def load() -> FaceFinder:
            cv2.setNumThreads(1)
            return FaceFinder(config.weights, config.limits.max_pixels)

        super().__init__("finding faces", load)
        self._readers = ThreadPoolExecutor(2, thread_name_prefix="faces")

    async def find(self, data: bytes, keypoints: np.ndarray | None = None, which: str | int = SUBJECT) -> Outcome:
        """Return the chosen faces of a photograph (`FaceFinder.find`)."""

        def make(_: Sequence[Any]) -> list[list[Face]]:
            return [self._loading.get().find(data, keypoints, which)]

        loop = asyncio.get_running_loop()
        return self._measures.batched("find", await loop.run_in_executor(self._readers, each, make, [data], "find"))[0]


class BankOwner:
    """Owns the shard actors of a large bank: they are not detached, so they end with this replica, and with the application."""

    def __init__(self, config: Config) -> None:
        """Start the shards, off the constructor: what does not fit is said by `state` while the application lives."""
        self._uri, self._bank, self._reason = config.bank, None, "the bank's shards are being started"
        self._refresh_s = config.refresh_s
        threading.Thread(target=self._start, daemon=True).start()

    def _start(self) -> None:
        while self._bank is None:
            try:
                self._bank = ShardedBank.start(self._uri, timeout_s=120)
                self._reason = ""
            except (UserError, OSError) as error:
                self._reason = " ".join(str(error).split())
                log.warning("bank %s: %s", self._uri, self._reason)
                time.sleep(RETRY_S)
        while self._refresh_s > 0:
            time.sleep(self._refresh_s)
            try:
                if self._bank.refresh():
                    log.info("bank %s: version %d", self._uri, self._bank.version)
            except (UserError, OSError) as error:
                log.warning("bank %s stays at version %d: %s", self._uri, self._bank.version, error)

    async def state(self) -> str:
        """Return "" when ready, else the reason."""
        return self._reason

    async def client(self) -> ShardedBank | str:
        """Return a client of the version that is searched now, or why there is none."""
        return self._reason if self._bank is None else self._bank.pinned()


class Hybrids(Deployment):
    """The region VAE and the bank: codes, hybrids, nearest animals, affinities and sampled people."""

    def __init__(self, config: Config, owner: DeploymentHandle | None) -> None:
        """Load the model and the bank (from its `owner` where it is large), and decode once to warm up."""
        self._config, self._owner = config, owner
        self._threads, self._finding = config.scale_of("hybrids").threads, threading.Lock()
        super().__init__("the region VAE with its bank", self._load)
        batched = serve.batch(max_batch_size=config.scale_of("hybrids").max_batch, batch_wait_timeout_s=0)
        self._encode, self._generate = batched(self._encode_batch), batched(self._generate_batch)
        if config.refresh_s > 0:
            threading.Thread(target=self._keep_fresh, daemon=True).start()

    def _load(self) -> HybridMaker:
        maker = HybridMaker(self._config.checkpoint, self._open_bank(), self._threads)
        face = maker.blank()
        codes = maker.encode([face])[0]
        made = with_codes(face, codes.global_mu, codes.regions_mu, maker.sha256)
        if maker.bank is not None:
            species = dict.fromkeys(REGIONS, maker.species[0])
            maker.generate([HybridAsk(made, species, dict.fromkeys(REGIONS, 1.0))])
        return maker

    def _open_bank(self) -> Bank | None:
        if not self._config.bank:
            return None
        if self._owner is None:
            return LocalBank(versions.latest(self._config.bank))
        got = self._owner.client.remote().result(timeout_s=60)
        if isinstance(got, str):
            raise BankUnavailableError(got)
        return got

    def _keep_fresh(self) -> None:
        """Go over to a new bank version or checkpoint when there is one; requests meanwhile are answered by the old."""
        while True:
            time.sleep(self._config.refresh_s)
            maker = self._loading.value
            try:
                if maker is not None and self._changed(maker):
                    self._loading.value = self._thread.submit(self._load).result()
                    log.info("hybrids: a new bank or checkpoint is served")
            except (UserError, OSError, TimeoutError) as error:
                log.warning("hybrids: the old bank and checkpoint stay: %s", error)

    def _changed(self, maker: HybridMaker) -> bool:
        if loading.model_sha256(self._config.checkpoint) != maker.sha256:
            return True
        if maker.bank is None:
            return False
        found = versions.latest(self._config.bank)
        return (found.number, found.content) != (maker.bank.version, maker.bank.fingerprint)

    async def _encode_batch(self, faces: list[Face]) -> list[Outcome]:
        return await self._batched("encode", lambda some: self._loading.get().encode(some), faces)

    def _find_bank(self) -> None:
        """Load again with a new client of the bank: its owner died, and its shards with it, and both were started anew."""
        if self._finding.acquire(blocking=False):
            try:
                self._loading = self._thread.submit(Loading, self._load, "the region VAE with its bank").result()
            finally:
                self._finding.release()

    async def _batched(self, stage: str, make: Callable[[Sequence[Any]], Sequence[Any]], requests: list[Any]) -> Any:
        outcomes = await super()._batched(stage, make, requests)
        if any(one.problem is not None and one.problem.more.get("reason") == BANK_LOST for one in outcomes):
            threading.Thread(target=self._find_bank, daemon=True).start()
        return outcomes

    async def _generate_batch(self, requests: list[HybridAsk]) -> list[Outcome]:
        return await self._batched("hybrid", lambda some: self._loading.get().generate(some), requests)

    async def _coded(self, face: Face, seconds: dict[str, float]) -> Face:
        """Return the face (or a token's) with codes of the model that is served now, encoded if it has none."""
        maker: HybridMaker = self._loading.get()
        if face.token:
            return each(lambda some: [_of_token(maker, one) for one in some], [face.token], "token")[0].unwrap(seconds)
        if face.codes is not None and face.codes.model_sha256 == maker.sha256:
            return face
        codes = (await self._encode(face)).unwrap(seconds)
        return with_codes(face, codes.global_mu, codes.regions_mu, codes.model_sha256)

    async def _outcome(self, work: Callable[[dict[str, float]], Any]) -> Outcome:
        """Await work that notes its stages; a problem becomes the outcome's."""
        seconds: dict[str, float] = {}
        try:
            return Outcome(await work(seconds), seconds=seconds)
        except Problem as problem:
            return Outcome(problem=problem, seconds=seconds)

    async def generate(self, asked: HybridAsk) -> Outcome:
        """Make one hybrid: (the face with its codes, its `Generated`s)."""

        async def work(seconds: dict[str, float]) -> Any:
            face = await self._coded(asked.face, seconds)
            made = (await self._generate(replace(asked, face=face))).unwrap(seconds)
            return face, made

        return await self._outcome(work)

    async def faces(self, faces: Sequence[Face], pictures: bool = False) -> Outcome:
        """Return for each face (the face with its codes, its token, its reconstruction if `pictures`)."""

        async def work(seconds: dict[str, float]) -> Any:
            coded = await asyncio.gather(*(self._coded(face, seconds) for face in faces))
            shown: Sequence[Any] = [None] * len(coded)
            if pictures:
                with timed(seconds, "decode"):
                    shown = await self._in_thread(self._loading.get().pictures, coded)
            return [(face, to_token(face), picture) for face, picture in zip(coded, shown, strict=True)]

        return await self._outcome(work)

    async def sample(self, seed: int, truncation: float, picture: bool) -> Outcome:
        """Draw one person of nobody: (face, token, picture or None)."""

        async def work(seconds: dict[str, float]) -> Any:
            maker = self._loading.get()
            face = (await self._batched("sample", lambda _: [maker.sample(seed, truncation)], [seed]))[0].unwrap(
                seconds
            )
            if not picture:
                return face, to_token(face), None
            with timed(seconds, "decode"):
                shown = (await self._in_thread(maker.pictures, [face]))[0]
            return face, to_token(face), shown

        return await self._outcome(work)

    async def search(self, face: Face, regions: Sequence[str], k: int, species: str, pictures: bool = False) -> Outcome:
        """Return (the face with its codes, the nearest features by region, each with a crop if `pictures`)."""
        return await self._asked(
            face, "search", lambda maker, coded: maker.search(coded, regions, k, species, pictures)
        )

    async def crops(self, found: Rows) -> Outcome:
        """Add to hits of a search by likeness a crop of each animal whose looks the bank carries."""
        return (
            await self._batched("crops", lambda some: [self._loading.get().with_crops(one) for one in some], [found])
        )[0]

    async def affinity(self, face: Face) -> Outcome:
        """Return (the face with its codes, the mean cosine by region and species)."""
        return await self._asked(face, "affinity", lambda maker, coded: maker.affinity(coded))

    async def _asked(self, face: Face, stage: str, ask: Callable[[HybridMaker, Face], Any]) -> Outcome:
        async def work(seconds: dict[str, float]) -> Any:
            coded = await self._coded(face, seconds)
            maker = self._loading.get()
            return coded, (await self._batched(stage, lambda _: [ask(maker, coded)], [face]))[0].unwrap(seconds)

        return await self._outcome(work)

    async def about(self) -> dict[str, Any]:
        """Return what is served: model, size, species, bank version."""
        maker: HybridMaker | None = self._loading.value
        if maker is None:
            return {}
        told = {"kind": "region_vae", "model_sha256": maker.sha256, "size": maker.size, "samples": maker.samples}
        if maker.bank is not None:
            told["bank"] = {"version": maker.bank.version, "fingerprint": maker.bank.fingerprint}
            told["species"] = list(maker.species)
        return told


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


def _of_token(maker: HybridMaker, token: str) -> Face:
    return from_token(token, maker.sha256, maker.global_dim, maker.region_dim)
