"""One shard of the bank: loads a version's rows and indexes from the bank's URI and can be rebuilt from them at any time."""

import os
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import faiss
import numpy as np

from rupantara.bank import versions
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex, Moments
from rupantara.storage import uris
from rupantara.types import Vectors

KEPT_VERSIONS = 2
"""Versions held at a time: the one that clients are leaving and the one that they are going to."""


class BankShard:
    """Searches its share of the faces, in the version that each call names."""

    def __init__(self, bank: str, shard: int, threads: int = 1) -> None:
        """Serve shard number `shard`, each search on `threads` threads; versions are loaded as calls name them.

        Nothing is read here: Ray never restarts an actor whose constructor failed.
        """
        self._bank, self._shard, self._threads = bank, shard, threads
        self._loaded: OrderedDict[int, BankIndex] = OrderedDict()
        self._lock = threading.Lock()

    def prepare(self, version: int) -> int:
        """Load a version, if it is not here, and return its number of faces; others go on being searched meanwhile."""
        return self._index(version).num_faces

    def search(self, version: int, queries: np.ndarray, region: str, k: int, species: str = "", **options: Any) -> Hits:
        """Answer for this shard (`BankIndex.search`)."""
        return self._index(version).search(queries, region, k, species, **options)

    def search_regions(
        self, version: int, queries: Mapping[str, Vectors], k: int, species: str = "", **options: Any
    ) -> dict[str, Hits]:
        """Answer for several regions in one call."""
        index = self._index(version)
        return {region: index.search(rows, region, k, species, **options) for region, rows in queries.items()}

    def search_faces(
        self,
        version: int,
        queries: Mapping[str, Vectors],
        weights: Mapping[str, float],
        k: int,
        species: str = "",
        exclude: Sequence[str] | None = None,
    ) -> Hits:
        """Answer for whole faces (`BankIndex.search_faces`)."""
        return self._index(version).search_faces(queries, weights, k, species, exclude=exclude)

    def histogram(self, version: int, queries: np.ndarray, region: str, species: str) -> np.ndarray:
        """Count cosines with a species (`BankIndex.histogram`)."""
        return self._index(version).histogram(queries, region, species)

    def moments(self, version: int) -> Moments:
        """Return sums and counts for mean affinity."""
        return self._index(version).moments()

    def pid(self) -> int:
        """Return the process id (for tests that kill it)."""
        return os.getpid()

    def _index(self, version: int) -> BankIndex:
        # FAISS counts threads by the thread that asks, and Ray calls from several.
        faiss.omp_set_num_threads(self._threads)
        found = self._loaded.get(version)
        if found is not None:
            return found
        with self._lock:
            if version not in self._loaded:
                # Room is made first: two versions are held at the most, also while one is loaded.
                while len(self._loaded) >= KEPT_VERSIONS:
                    self._loaded.popitem(last=False)
                self._loaded[version] = self._load(version)
            return self._loaded[version]

    def _load(self, version: int) -> BankIndex:
        found = versions.read(self._bank, version)
        files = found.shards[self._shard].index
        stored = {region: uris.read_bytes(uris.join(self._bank, path)) for region, path in files.items()}
        return BankIndex(found.rows(self._shard), stored)
