"""The bank behind the endpoints: small ones are searched inside each replica, large ones by shard actors that one deployment owns."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from actors.sharded_bank import ShardedBank
from rupantara.bank import versions
from rupantara.bank.affinity import species_means
from rupantara.bank.alignment import Alignment
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex
from rupantara.types import Vectors


class LocalBank:
    """A whole bank in this process, with the verbs of `ShardedBank`."""

    def __init__(self, found: versions.BankVersion) -> None:
        """Load every shard's rows of a version."""
        rows = pa.concat_tables([found.rows(shard) for shard in range(len(found.shards))])
        self._index = BankIndex(rows)
        self._moments = self._index.moments()
        self.uri, self.version, self.fingerprint = found.uri, found.number, found.content
        self.model_sha256: str = found.model_sha256
        self.alignment: Alignment = found.alignment
        self.species: tuple[str, ...] = tuple(found.species)
        self._counts = found.species

    def pinned(self) -> "LocalBank":
        """Return this bank: it stays at its version."""
        return self

    @property
    def at_a_time(self) -> int:
        """Return 1: it searches in the thread that asks."""
        return 1

    def num_faces(self, species: str) -> int:
        """Return how many animals of a species it holds."""
        return self._counts.get(species, 0)

    def search(self, queries: Vectors, region: str, k: int, species: str = "", **options: Any) -> Hits:
        """Find the k best features of a region (`BankIndex.search`)."""
        return self._index.search(queries, region, k, species, **options)

    def search_regions(
        self, queries: Mapping[str, Vectors], k: int, species: str = "", **options: Any
    ) -> dict[str, Hits]:
        """Search several regions."""
        return {region: self._index.search(rows, region, k, species, **options) for region, rows in queries.items()}

    def species_means(self, region: str) -> tuple[list[str], Vectors, Any]:
        """Return species, their mean unit vectors and their numbers of features in a region."""
        return species_means([self._moments], region)

    def animals(self, face_ids: Sequence[str]) -> dict[str, np.ndarray]:
        """Return the aligned codes of animals that it holds (`BankIndex.animals`)."""
        return self._index.animals(face_ids)

    def histogram(self, queries: Vectors, region: str, species: str) -> Any:
        """Count cosines with all rows of a species."""
        return self._index.histogram(queries, region, species)


Bank = LocalBank | ShardedBank


def is_small(uri: str, most_bytes: int) -> bool:
    """Tell whether a bank's files are few enough bytes to be searched inside each replica."""
    return sum(file.bytes for file in versions.latest(uri).manifest.files) <= most_bytes
