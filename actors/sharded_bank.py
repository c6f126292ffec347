"""Client of the bank: starts the shard actors, fans a search out to one replica of each and merges the answers exactly."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import ray

from actors import bank_actors
from actors.bank_actors import BankUnavailableError, Placing, View, view_of, wait_all
from actors.fan_out import HEDGE_S, ask_all
from rupantara.bank import versions
from rupantara.bank.affinity import species_means
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.hits import Hits, merge_hits
from rupantara.bank.index import region_weights
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.types import Vectors

__all__ = ["BankUnavailableError", "ShardedBank"]

START_TIMEOUT_S = 300.0
SEARCH_TIMEOUT_S = 60.0
UNIT_ERROR = 0.01
"""How far from 1 a query's length may be: 16 bits round that much."""

AT_A_TIME = 4
"""Questions that one caller asks at the same time: where workers keep all cores busy each answer waits for one, and four wait together."""

LARGE_BYTES = 100_000
"""Queries above this are put into the object store once, and not once a shard."""


class ShardedBank:
    """Handles of all shards of one bank; it pickles, so a stage on a worker can carry it."""

    def __init__(self, bank: str, view: View, placing: Placing) -> None:
        """Wrap started shard actors."""
        self.uri, self._view, self._placing = bank, view, placing
        self._retired: tuple[tuple[Any, ...], ...] = ()

    @staticmethod
    def start(
        bank: str,
        *,
        num_cpus: float = 0.0,
        num_gpus: float = 0.0,
        replicas: int = 1,
        threads: int = 0,
        timeout_s: float = START_TIMEOUT_S,
    ) -> "ShardedBank":
        """Start `replicas` restartable actors a shard, spread over the nodes, and wait until all have loaded.

        They end with `close`, and with the process that started them. `threads` of each search: 0 divides this machine's
        processors among a shard's neighbours. With `num_gpus` (a share of one, each) and a FAISS that is built for GPUs, what is
        scanned is scanned there. Raise UserError for fewer than one replica, BankUnavailableError at once when the cluster has no
        room for them, and after `timeout_s` when they have not loaded.
        """
        if replicas < 1:
            raise UserError(f"replicas must be at least 1, got {replicas}")
        placing = Placing(num_cpus, num_gpus, replicas, threads)
        client = ShardedBank(bank, bank_actors.start(versions.latest(bank), placing), placing)
        client._load_moments(timeout_s)
        return client

    @property
    def fingerprint(self) -> str:
        """Return the fingerprint of the version that is searched."""
        return self._view.content

    @property
    def version(self) -> int:
        """Return the number of the version that is searched."""
        return self._view.version

    @property
    def model_sha256(self) -> str:
        """Return the SHA-256 of the weights whose codes the bank holds."""
        return self._view.model_sha256

    @property
    def alignment(self) -> Alignment:
        """Return how codes of the two domains are brought into the bank's space."""
        return self._view.alignment

    @property
    def species(self) -> tuple[str, ...]:
        """Return the species that the version holds."""
        return self._view.species

    @property
    def at_a_time(self) -> int:
        """Return how many questions one caller may ask at the same time, each in a thread of its own."""
        return AT_A_TIME

    def refresh(self, timeout_s: float = START_TIMEOUT_S) -> bool:
        """Go over to the bank's newest version, if there is a newer one; queries that run meanwhile are answered by the old.

        All replicas load it first. With another number of shards, new actors are started; the old ones stay until `close`. Raise
        UserError when the new version is of another model: whoever encodes and decodes with the old one would make nonsense.
        """
        found = versions.latest(self.uri)
        if found.number <= self._view.version:
            return False
        if found.model_sha256 != self._view.model_sha256:
            raise UserError(
                f"{self.uri} version {found.number} must be of the model {self._view.model_sha256[:12]}, as the one that is searched,"
                f" got {found.model_sha256[:12]}: start its client again"
            )
        if len(found.shards) != len(self._view.handles):
            other = ShardedBank(self.uri, bank_actors.start(found, self._placing), self._placing)
            other._load_moments(timeout_s)
            self._retired += self._view.handles
            self._view = other._view
            return True
        refs = [actor.prepare.remote((found.number, found.content)) for shard in self._view.handles for actor in shard]
        wait_all(refs, timeout_s, "did not load the new version")
        # Seen whole or not at all: searches of other threads go by the view that they began with.
        other = ShardedBank(self.uri, view_of(found, self._view.handles), self._placing)
        other._load_moments(timeout_s)
        self._view = other._view
        return True

    def pinned(self) -> "ShardedBank":
        """Return a client that stays at this version, for several questions that belong together."""
        return ShardedBank(self.uri, self._view, self._placing)

    def queries(self, regions_mu: Any, domain: str) -> dict[str, Vectors]:
        """Return unit queries [n, dim] by region out of codes [n, 5 * dim] or [n, 5, dim] (`regions_mu` of a features table).

        `domain` is human or animal: the codes of each are brought into the bank's space first, without which a person's nearest
        animals are others.
        """
        if domain not in (HUMAN, ANIMAL):
            raise ValueError(f"domain must be {HUMAN} or {ANIMAL}, got {domain!r}")
        codes = _array(regions_mu)
        units = unit(self.alignment.align(codes.reshape(len(codes), len(REGIONS), -1), domain))[0]
        return {region: np.ascontiguousarray(units[:, i]) for i, region in enumerate(REGIONS)}

    def _checked(
        self, queries: Mapping[str, Any], k: int, species: str, exclude: Sequence[str] | None
    ) -> tuple[dict[str, Vectors], list[str] | None]:
        """Return queries as arrays and excluded faces by their ids; ValueError for what no shard could answer."""
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if not isinstance(species, str) or (species and species not in self.species):
            raise ValueError(f"species must be one of {', '.join(self.species)} or empty, got {species!r}")
        arrays = {}
        for region, rows in queries.items():
            if region not in REGIONS:
                raise ValueError(f"region must be one of {', '.join(REGIONS)}, got {region!r}")
            array = arrays[region] = _array(rows)
            dim = len(next(iter(self._view.moments[0].sums.values()))) if self._view.moments else array.shape[-1]
            if array.ndim != 2 or array.shape[1] != dim:
                raise ValueError(f"queries must be [n, {dim}], got {list(array.shape)}")
            norms = np.linalg.norm(array, axis=1)
            wrong = np.flatnonzero(~((np.abs(norms - 1) < UNIT_ERROR) | (norms == 0)))
            if len(wrong):
                raise ValueError(f"queries must be of unit length, got {norms[wrong[0]]:g} at row {wrong[0]}")
            if exclude is not None and (isinstance(exclude, str) or len(exclude) != len(array)):
                raise ValueError(f"exclude must name a face for each of {len(array)} queries, got {len(exclude)}")
        if exclude is not None and not all(isinstance(name, str) for name in exclude):
            raise ValueError(f'exclude must name one face a query ("" = none), got {exclude[0]!r}')
        # The ids that a search returns name the region too.
        return arrays, None if exclude is None else [name.partition("/")[0] for name in exclude]

    def num_faces(self, species: str) -> int:
        """Return how many animals of a species the version holds."""
        if self._view.moments is None:
            self._load_moments(START_TIMEOUT_S)
        assert self._view.moments is not None
        return sum(part.counts.get((REGIONS[0], species), 0) for part in self._view.moments)

    def species_means(self, region: str) -> tuple[list[str], Vectors, np.ndarray]:
        """Return species, their mean unit vectors and their numbers of features in a region."""
        if self._view.moments is None:
            self._load_moments(START_TIMEOUT_S)
        assert self._view.moments is not None
        return species_means(list(self._view.moments), region)

    def search(
        self,
        queries: Any,
        region: str,
        k: int,
        species: str = "",
        *,
        exclude: Sequence[str] | None = None,
        vectors: bool = True,
        exact: bool = False,
        allow_partial: bool = False,
        timeout_s: float = SEARCH_TIMEOUT_S,
    ) -> Hits:
        """Find the k best rows of the whole bank for each unit query [n, dim], an array or a tensor (`BankIndex.search`).

        `queries` makes queries out of codes. `exclude` names a face for each query that is not to be found ("" = none).
        Raise ValueError for a question that makes no sense, BankUnavailableError when a shard does not answer in time, unless
        `allow_partial`: then the answer says so.
        """
        arrays, excluded = self._checked({region: queries}, k, species, exclude)
        arguments = (region, k, species)
        options = {"exclude": excluded, "vectors": vectors, "exact": exact}
        answers, partial = self._ask("search", _shared(arrays[region]), arguments, options, allow_partial, timeout_s)
        return merge_hits(answers, k, partial=partial)

    def search_regions(
        self,
        queries: Mapping[str, Any],
        k: int,
        species: str = "",
        *,
        exclude: Sequence[str] | None = None,
        vectors: bool = True,
        exact: bool = False,
        allow_partial: bool = False,
        timeout_s: float = SEARCH_TIMEOUT_S,
    ) -> dict[str, Hits]:
        """Search several regions in one call: the answer of `search` for each."""
        arrays, excluded = self._checked(queries, k, species, exclude)
        options = {"exclude": excluded, "vectors": vectors, "exact": exact}
        answers, partial = self._ask("search_regions", _shared(arrays), (k, species), options, allow_partial, timeout_s)
        return {region: merge_hits([a[region] for a in answers], k, partial=partial) for region in arrays}

    def search_faces(
        self,
        queries: Mapping[str, Any],
        k: int,
        species: str = "",
        *,
        weights: Mapping[str, float] | None = None,
        exclude: Sequence[str] | None = None,
        allow_partial: bool = False,
        timeout_s: float = SEARCH_TIMEOUT_S,
    ) -> Hits:
        """Find the k faces with the greatest weighted mean cosine over regions (`BankIndex.search_faces`)."""
        shares = region_weights(queries, weights or {})
        arrays, excluded = self._checked(queries, k, species, exclude)
        arguments, options = (shares, k, species), {"exclude": excluded}
        answers, partial = self._ask("search_faces", _shared(arrays), arguments, options, allow_partial, timeout_s)
        return merge_hits(answers, k, partial=partial)

    def histogram(self, queries: Any, region: str, species: str, timeout_s: float = SEARCH_TIMEOUT_S) -> np.ndarray:
        """Count cosines with all rows of a species: int64 [queries, BINS]."""
        answers, _ = self._ask("histogram", _shared(_array(queries)), (region, species), {}, False, timeout_s)
        return np.sum(answers, axis=0)

    def animals(self, face_ids: Sequence[str], timeout_s: float = SEARCH_TIMEOUT_S) -> dict[str, np.ndarray]:
        """Return the aligned codes [5, dim] of those of some faces that the bank holds (`BankIndex.animals`)."""
        answers, _ = self._ask("animals", None, (list(face_ids),), {}, False, timeout_s)
        return {face_id: codes for part in answers for face_id, codes in part.items()}

    def close(self) -> None:
        """Stop the shards."""
        for actor in (actor for shard in (*self._retired, *self._view.handles) for actor in shard):
            ray.kill(actor)

    def _load_moments(self, timeout_s: float) -> None:
        view = self._view
        # Every replica is waited for, and one of each shard counts.
        refs = [actor.prepare.remote((view.version, view.content)) for shard in view.handles for actor in shard]
        wait_all(refs, timeout_s, "did not load")
        moments, _ = self._ask("moments", None, (), {}, False, timeout_s)
        self._view = replace(view, moments=tuple(moments))

    def _ask(
        self,
        method: str,
        queries: Any,
        arguments: Sequence[Any],
        options: Mapping[str, Any],
        allow_partial: bool,
        timeout_s: float,
    ) -> tuple[list[Any], bool]:
        """Call one replica of every shard, another where one fails; return answers in the order of shards, and whether some lack."""
        view = self._view
        version = (view.version, view.content)
        head = (version,) if queries is None else (version, queries)

        def call(actor: Any) -> Any:
            return getattr(actor, method).remote(*head, *arguments, **options)

        # These look at every vector.
        hedge_s = HEDGE_S if method.startswith("search") and not options.get("exact") else timeout_s
        answers, why = ask_all(view.handles, call, timeout_s, allow_partial=allow_partial, hedge_s=hedge_s)
        there = [answer for answer in answers if answer is not None]
        missing = len(answers) - len(there)
        if missing and (not allow_partial or not there):
            raise BankUnavailableError(f"{missing} of {len(answers)} bank shards did not answer ({why})")
        return there, bool(missing)


def _array(queries: Any) -> Vectors:
    """Return queries as float32: arrays as they are, tensors off their device."""
    if hasattr(queries, "detach"):
        queries = queries.detach().float().cpu().numpy()
    return np.ascontiguousarray(queries, np.float32)


def _shared(queries: Any) -> Any:
    """Put large queries into the object store once."""
    parts = queries.values() if isinstance(queries, Mapping) else [queries]
    return ray.put(queries) if sum(part.nbytes for part in parts) > LARGE_BYTES else queries
