"""The deployment of the region VAE and its bank."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from actors.sharded_bank import BankUnavailableError
from rupantara.bank import versions
from rupantara.errors import UserError
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from serve.bank import Bank, LocalBank
from serve.config import Config
from serve.crops import Rows
from serve.deployments.deployment import Deployment
from serve.deployments.loading import Loading
from serve.faces import Face, from_token, to_token, with_codes
from serve.hybrids import HybridAsk, HybridMaker
from serve.outcome import BANK_LOST, Outcome, each, timed
from serve.problems import Problem

log = logging.getLogger("ray.serve")


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
        made = with_codes(face, codes.global_mu, codes.regions_mu, maker.codes_sha256)
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
        if face.codes is not None and face.codes.model_sha256 == maker.codes_sha256:
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
            return _without_crop(face), made

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
            found = (await self._batched(stage, lambda _: [ask(maker, coded)], [face]))[0].unwrap(seconds)
            return _without_crop(coded), found

        return await self._outcome(work)

    async def about(self) -> dict[str, Any]:
        """Return what is served: model, size, species, bank version."""
        maker: HybridMaker | None = self._loading.value
        if maker is None:
            return {}
        told: dict[str, Any] = {"kind": "region_vae", "size": maker.size, "samples": maker.samples}
        told |= {"model_sha256": maker.sha256, "codes_sha256": maker.codes_sha256}
        if maker.bank is not None:
            told["bank"] = {"version": maker.bank.version, "fingerprint": maker.bank.fingerprint}
            told["species"] = list(maker.species)
        return told


def _of_token(maker: HybridMaker, token: str) -> Face:
    return from_token(token, maker.codes_sha256, maker.global_dim, maker.region_dim)


def _without_crop(face: Face) -> Face:
    """Return the face as it is answered: who asked has its crop, and 200 kB need not be carried back."""
    return replace(face, crop=None)
