"""One shard of the bank: loads a version's rows and indexes from the bank's URI and can be rebuilt from them at any time."""

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import faiss
import numpy as np

from rupantara.bank import versions
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex, UnitSums
from rupantara.errors import UserError
from rupantara.storage import uris
from rupantara.types import Vectors

Version = tuple[int, str]
"""A version's number and fingerprint: a bank that was deleted and built again counts from 1 too."""

KEPT_VERSIONS = 2
"""Versions held at a time: the one that clients are leaving and the one that they are going to."""


class BankShard:
    """Searches its share of the faces, in the version that each call names."""

    def __init__(self, bank: str, shard: int, threads: int = 1) -> None:
        """Serve shard number `shard`, each search on `threads` threads; versions are loaded as calls name them.

        Nothing is read here: Ray never restarts an actor whose constructor failed.
        """
        self._bank, self._shard, self._threads = bank, shard, threads
        self._loaded: OrderedDict[Version, BankIndex] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()
        self._asked = time.monotonic()

    def prepare(self, version: Version) -> int:
        """Load a version, if it is not here, and return its number of faces; others go on being searched meanwhile."""
        return self._index(version).num_faces

    def search(
        self, version: Version, queries: np.ndarray, region: str, k: int, species: str = "", **options: Any
    ) -> Hits:
        """Answer for this shard (`BankIndex.search`)."""
        return self._index(version).search(queries, region, k, species, **options)

    def search_regions(
        self, version: Version, queries: Mapping[str, Vectors], k: int, species: str = "", **options: Any
    ) -> dict[str, Hits]:
        """Answer for several regions in one call."""
        index = self._index(version)
        return {region: index.search(rows, region, k, species, **options) for region, rows in queries.items()}

    def search_faces(
        self,
        version: Version,
        queries: Mapping[str, Vectors],
        weights: Mapping[str, float],
        k: int,
        species: str = "",
        exclude: Sequence[str] | None = None,
    ) -> Hits:
        """Answer for whole faces (`BankIndex.search_faces`)."""
        return self._index(version).search_faces(queries, weights, k, species, exclude=exclude)

    def animals(self, version: Version, face_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the aligned codes of those of some faces that are here (`BankIndex.animals`)."""
        return self._index(version).animals(face_ids)

    def histogram(self, version: Version, queries: np.ndarray, region: str, species: str) -> np.ndarray:
        """Count cosines with a species (`BankIndex.histogram`)."""
        return self._index(version).histogram(queries, region, species)

    def moments(self, version: Version) -> UnitSums:
        """Return sums and counts for mean affinity."""
        return self._index(version).moments()

    def describe(self) -> dict[str, Any]:
        """Say what this actor serves: the bank, its shard, the versions that it holds, and how long nobody has asked it."""
        return {
            "bank": self._bank,
            "shard": self._shard,
            "versions": [number for number, _ in self._loaded],
            "idle_s": round(time.monotonic() - self._asked, 1),
            "pid": os.getpid(),
        }

    def pid(self) -> int:
        """Return the process id (for tests that kill it)."""
        return os.getpid()

    def _index(self, version: Version) -> BankIndex:
        # FAISS counts threads by the thread that asks, and Ray calls from several.
        faiss.omp_set_num_threads(self._threads)
        self._asked = time.monotonic()
        with self._lock:
            if version in self._loaded:
                self._loaded.move_to_end(version)
                return self._loaded[version]
        with self._loading:
            with self._lock:
                if version in self._loaded:
                    return self._loaded[version]
                # Room is made first: two versions are held at the most, also while one is loaded. Searches of them go on.
                while len(self._loaded) >= KEPT_VERSIONS:
                    self._loaded.popitem(last=False)
            made = self._load(version)
            with self._lock:
                self._loaded[version] = made
            return made

    def _load(self, version: Version) -> BankIndex:
        found = versions.read(self._bank, version[0])
        if found.content != version[1]:
            raise UserError(
                f"{self._bank} was built anew: its version {version[0]} is {found.content[:12]}, not {version[1][:12]};"
                " start its client again"
            )
        files = found.shards[self._shard].index
        stored = {region: uris.read_bytes(uris.join(self._bank, path)) for region, path in files.items()}
        return BankIndex(found.rows(self._shard), stored)
