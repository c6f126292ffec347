"""The vectors of one region of a shard: a plain array, or a FAISS index that approximates and ranks again by stored vectors."""

import threading
from collections.abc import Iterator
from typing import Any

import faiss
import numpy as np

from rupantara.errors import UserError
from rupantara.types import Vectors

# From so many queries on FAISS multiplies matrices; below, its loops are faster (2.4 to 7 times at 16 to 64 queries, its default).
faiss.cvar.distance_compute_blas_threshold = 512
MOST_ON_GPU = 2_048
"""FAISS selects no more of each query's rows on a GPU."""

CHUNK = 65_536
"""Stored vectors made float32 at a time."""

Runs = tuple[tuple[int, int], ...]
"""Ranges of rows [low, high), ascending."""


class VectorStore:
    """Unit vectors [rows, dim] by their position."""

    def __init__(self, vectors: Vectors) -> None:
        """Hold float32 vectors."""
        self._vectors = np.ascontiguousarray(vectors, np.float32)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._vectors)

    @property
    def bytes(self) -> int:
        """Return the memory that the vectors take."""
        return self._vectors.nbytes

    def rows(self, positions: np.ndarray) -> Vectors:
        """Return the vectors at positions of any shape, float32 [..., dim]."""
        return self._vectors[positions]

    def chunks(self, low: int, high: int) -> Iterator[tuple[int, Vectors]]:
        """Yield (first position, float32 vectors) of a range."""
        yield low, self._vectors[low:high]

    def nearest(self, queries: Vectors, runs: Runs, fetch: int) -> tuple[np.ndarray, np.ndarray]:
        """Scan ranges: positions [queries, <= fetch], and [queries] the greatest cosine that a row left out may have; -1 fills."""
        best, at = np.zeros((len(queries), 0), np.float32), np.zeros((len(queries), 0), np.int64)
        floor = np.full(len(queries), -np.inf, np.float32)
        for low, high in runs:
            for start, vectors in self.chunks(low, high):
                k = min(fetch, len(vectors))
                scores, found = faiss.knn(queries, vectors, k, faiss.METRIC_INNER_PRODUCT)
                if k < len(vectors):
                    floor = np.maximum(floor, scores[:, -1])
                best = np.concatenate([best, np.where(found >= 0, scores, -np.inf)], axis=1)
                at = np.concatenate([at, np.where(found >= 0, found + start, -1)], axis=1)
                if best.shape[1] > fetch:
                    order = np.argsort(-best, axis=1, kind="stable")
                    best, at = (np.take_along_axis(part, order, 1) for part in (best, at))
                    floor = np.maximum(floor, best[:, fetch])
                    best, at = best[:, :fetch], at[:, :fetch]
        return at, floor


class GpuStore(VectorStore):
    """Vectors that a GPU scans, where FAISS is built for one; ranges of one species are scanned on the CPU."""

    def __init__(self, vectors: Vectors) -> None:
        """Hold float32 vectors here, and a copy on the GPU that the process sees first."""
        super().__init__(vectors)
        self._resources = faiss.StandardGpuResources()
        self._flat = faiss.GpuIndexFlatIP(self._resources, self._vectors.shape[1])
        for start in range(0, len(self._vectors), CHUNK):
            self._flat.add(self._vectors[start : start + CHUNK])
        # Resources are not for several threads at a time.
        self._one_at_a_time = threading.Lock()

    def nearest(self, queries: Vectors, runs: Runs, fetch: int) -> tuple[np.ndarray, np.ndarray]:
        """Scan ranges: positions [queries, <= fetch], and [queries] the greatest cosine that a row left out may have; -1 fills."""
        if runs != ((0, len(self)),) or fetch > MOST_ON_GPU:
            return super().nearest(queries, runs, fetch)
        k = min(fetch, len(self))
        with self._one_at_a_time:
            scores, found = self._flat.search(queries, k)
        left_out = scores[:, -1] if k < len(self) else np.full(len(queries), -np.inf, np.float32)
        return found, left_out


def gpu_there() -> bool:
    """Tell whether FAISS is built for GPUs and sees one."""
    return hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0


class ApproximateStore(VectorStore):
    """A FAISS index whose answers are ranked again by the vectors that it keeps (`RFlat`, `Refine(SQfp16)`)."""

    def __init__(self, index: Any) -> None:
        """Take an `IndexRefine`."""
        # A cast index does not own what it shows.
        self._owner, self._index = index, faiss.downcast_index(index)
        if not isinstance(self._index, faiss.IndexRefine | faiss.IndexRefineFlat):
            raise UserError(
                f"an approximate index must rank again by stored vectors (…,RFlat), got {type(self._index).__name__}"
            )
        self._kept = faiss.downcast_index(self._index.refine_index)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._index.ntotal

    @property
    def bytes(self) -> int:
        """Return the memory that index and vectors take."""
        return len(faiss.serialize_index(self._index))

    def rows(self, positions: np.ndarray) -> Vectors:
        """Return the stored vectors at positions of any shape, float32 [..., dim]."""
        flat = np.ascontiguousarray(positions.ravel(), np.int64)
        return self._kept.reconstruct_batch(flat).reshape(*positions.shape, self._index.d)

    def chunks(self, low: int, high: int) -> Iterator[tuple[int, Vectors]]:
        """Yield (first position, float32 vectors) of a range."""
        for start in range(low, high, CHUNK):
            yield start, self._kept.reconstruct_n(start, min(CHUNK, high - start))

    def approximate(self, queries: Vectors, fetch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return cosines and positions [queries, fetch] of rows that are likely the nearest, best first; -1 fills."""
        return self._index.search(queries, fetch)


def as_store(vectors: np.ndarray, stored: bytes | None) -> VectorStore:
    """Return the store of a region; UserError when the FAISS file is not of these rows."""
    if stored is None:
        return GpuStore(vectors) if gpu_there() and len(vectors) else VectorStore(vectors)
    made = ApproximateStore(faiss.deserialize_index(np.frombuffer(stored, np.uint8)))
    if len(made) != len(vectors):
        raise UserError(f"an index must have its region's {len(vectors)} vectors, got {len(made)}")
    return made
