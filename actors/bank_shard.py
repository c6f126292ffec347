"""One shard of the bank: loads its rows and indexes from the bank's URI and can be rebuilt from them at any time."""

import os

import numpy as np

from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex, Moments
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables, uris


class BankShard:
    """Searches its share of the faces."""

    def __init__(self, bank: str, shard: int, fingerprint: str = "") -> None:
        """Load shard number `shard` of a complete bank; refuse another bank than that of `fingerprint` ("" = any)."""
        found = manifest.require(bank, "bank")
        if fingerprint and found.fingerprint != fingerprint:
            raise UserError(
                f"{bank} was replaced: this shard belongs to bank {fingerprint[:12]}, not {found.fingerprint[:12]}"
            )
        rows = tables.read_file(bank, found.files[shard].path)
        files, listed = {r: index_path(found.fingerprint, shard, r) for r in REGIONS}, {f.path for f in found.files}
        stored = {r: uris.read_bytes(uris.join(bank, path)) for r, path in files.items() if path in listed}
        self._index = BankIndex(rows, stored)

    def search(self, queries: np.ndarray, region: str, k: int, species: str = "") -> Hits:
        """Answer for this shard."""
        return self._index.search(queries, region, k, species)

    def moments(self) -> Moments:
        """Return sums and counts for mean affinity."""
        return self._index.moments()

    def pid(self) -> int:
        """Return the process id (for tests that kill it)."""
        return os.getpid()


def index_path(fingerprint: str, shard: int, region: str) -> str:
    """Name the FAISS file of one region of a shard, relative to the bank."""
    return f"index/{fingerprint[:12]}-{shard:04d}-{region}.faiss"
