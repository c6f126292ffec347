"""Approximate indexes: which kind suits a number of vectors, how it is trained, and how it is set to reach a recall."""

import itertools
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import faiss
import numpy as np

from rupantara.bank.store import VectorStore
from rupantara.errors import UserError
from rupantara.types import Vectors

FLAT = "flat"
FLAT_ROWS = 100_000
"""Up to so many vectors a region and shard a scan takes a few milliseconds, and nothing has to be trained."""

LEAST_TRAINED = 1_000
"""With fewer rows nothing is trained, whatever was asked for."""

POINTS_A_CENTRE = 64
"""Training vectors for each centre of the coarse quantiser (FAISS warns below 39)."""

ADDED_ROWS = 131_072
SEED = 1234
K = 10


@dataclass(frozen=True)
class IndexPlan:
    """A FAISS factory string ("" = scan), and the bytes that a vector takes in memory."""

    factory: str
    bytes_a_vector: float

    @property
    def name(self) -> str:
        """Return the factory string, or `flat`."""
        return self.factory or FLAT


@dataclass(frozen=True)
class Setting:
    """What a search of the index was measured to do: share of true nearest found first, and of the ten nearest found."""

    nprobe: int
    k_factor: float
    recall_at_1: float
    recall_at_10: float
    queries_per_s: float

    def as_json(self) -> dict[str, Any]:
        """Return what a manifest keeps."""
        return asdict(self)


def plan_index(rows: int, dim: int, kind: str = "auto", *, half: bool = False) -> IndexPlan:
    """Choose an index for `rows` vectors: a scan up to FLAT_ROWS, then IVF with fast-scan product codes, ranked again.

    `kind` is `auto`, `flat`, or a FAISS factory string whose last part ranks again (`IVF1024,PQ64x4fs,RFlat`). `half` keeps
    the vectors in 16 bits. Raise UserError for a factory string that FAISS can not build, or that does not rank again.
    """
    wide = 2 if half else 4
    if kind == FLAT or (kind == "auto" and rows <= FLAT_ROWS):
        return IndexPlan("", 4 * dim)
    # 4 bits for every two dimensions; the centre's number takes 8 bytes.
    codes = max(1, dim // 2)
    refine = "Refine(SQfp16)" if half else "RFlat"
    factory = kind if kind != "auto" else f"IVF{num_centres(rows)},PQ{codes}x4fs,{refine}"
    try:
        made = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise UserError(
            f"--index must be auto, flat or a FAISS factory string, got {kind!r}: {_reason(error)}"
        ) from None
    if not isinstance(faiss.downcast_index(made), faiss.IndexRefine | faiss.IndexRefineFlat):
        raise UserError(f"--index must rank again by stored vectors (end in RFlat or Refine(SQfp16)), got {factory!r}")
    return IndexPlan(factory, dim * wide + codes / 2 + 8)


def _reason(error: RuntimeError) -> str:
    return str(error).partition(" at /")[0].strip()[:160]


def num_centres(rows: int) -> int:
    """Return the number of inverted lists: a power of two near the root of the rows."""
    return int(2 ** np.clip(np.round(np.log2(max(rows, 1) ** 0.5)), 6, 16))


def training_rows(plan: IndexPlan, rows: int) -> int:
    """Return how many vectors the plan's training wants at most."""
    found = [int(part[3:]) for part in plan.factory.split(",") if part.startswith("IVF") and part[3:].isdigit()]
    return min(rows, max(16_384, POINTS_A_CENTRE * (found[0] if found else 256)))


def train(plan: IndexPlan, sample: Vectors) -> Any:
    """Train an index on a sample of unit vectors [n, dim]; UserError when there are too few."""
    index = faiss.index_factory(sample.shape[1], plan.factory, faiss.METRIC_INNER_PRODUCT)
    ivf = ivf_of(index)
    if ivf is not None:
        ivf.cp.seed, ivf.cp.min_points_per_centroid = SEED, 1
    try:
        index.train(np.ascontiguousarray(sample, np.float32))
    except RuntimeError as error:
        raise UserError(f"{plan.factory} can not be trained on {len(sample)} vectors: {_reason(error)}") from None
    return index


def add(index: Any, chunks: Iterator[Vectors]) -> None:
    """Add vectors in the order given."""
    for vectors in chunks:
        for start in range(0, len(vectors), ADDED_ROWS):
            index.add(np.ascontiguousarray(vectors[start : start + ADDED_ROWS], np.float32))


def ivf_of(index: Any) -> Any:
    """Return the inverted file inside an index, None where there is none."""
    return faiss.try_extract_index_ivf(index)


def apply(index: Any, nprobe: int, k_factor: float) -> None:
    """Set how far a search looks; both are saved with the index."""
    ivf = ivf_of(index)
    if ivf is not None:
        ivf.nprobe = nprobe
    refined: Any = faiss.downcast_index(index)
    refined.k_factor = k_factor


STEPS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
MOST_FACTOR = 64
CODES_A_RANKED = 120
"""Ranking one candidate again takes as long as scanning so many product codes (measured at 128 dimensions)."""


def settings_to_try(index: Any) -> list[tuple[int, float]]:
    """Return (nprobe, k_factor) from the quickest to the surest: by the codes scanned and the candidates ranked again."""
    ivf = ivf_of(index)
    lists = ivf.nlist if ivf is not None else 1
    probes = {p for p in STEPS if p < lists} | {lists}
    factors = [float(f) for f in STEPS if 2 <= f <= MOST_FACTOR]

    def cost(setting: tuple[int, float]) -> float:
        return setting[0] * index.ntotal / lists + CODES_A_RANKED * K * setting[1]

    return sorted(itertools.product(sorted(probes), factors), key=cost)


def truth(store: VectorStore, queries: Vectors, k: int = K) -> np.ndarray:
    """Return the cosines of the true nearest rows [queries, k], best first, by a scan."""
    found = store.nearest(queries, ((0, len(store)),), k)[0]
    near = store.rows(np.maximum(found, 0))
    scores = np.where(found >= 0, np.matmul(near, queries[:, :, None])[:, :, 0], -np.inf)
    return -np.sort(-scores, axis=1)


ROUNDING = 1e-9
SAME = 1e-5
"""Cosines nearer than this are the same: of copies of one vector, any will do."""


def measure(
    index: Any, queries: Vectors, wanted: np.ndarray, nprobe: int, k_factor: float, num_shards: int = 1
) -> Setting:
    """Measure recall against the cosines of the true neighbours [queries, k], and the speed on this machine.

    `num_shards`: faces lie in a shard by a hash of their id, so that of the whole bank's k nearest a shard holds M, binomial of k
    and 1 / num_shards, and they are its own M nearest. The recall is what is expected of the whole: E[found of M] / E[M].
    """
    apply(index, nprobe, k_factor)
    k = wanted.shape[1]
    started = time.perf_counter()
    scores, found = index.search(queries, k)
    seconds = max(time.perf_counter() - started, 1e-9)
    scores = np.where(found >= 0, scores, -np.inf) + SAME
    # Found among the m nearest, for every m: float [m].
    hits = [np.minimum((scores >= wanted[:, m - 1 : m]).sum(1), m).mean() for m in range(1, k + 1)]
    share = 1 / num_shards
    chances = [math.comb(k, m) * share**m * (1 - share) ** (k - m) for m in range(1, k + 1)]
    tenth = float(np.dot(chances, hits) / np.dot(chances, range(1, k + 1)))
    return Setting(nprobe, k_factor, float(hits[0]), tenth, len(queries) / seconds)


def tune(
    index: Any,
    queries: Vectors,
    wanted: np.ndarray,
    target: float,
    num_shards: int = 1,
    least: tuple[int, float] = (1, 1.0),
) -> Setting:
    """Set the index to the quickest setting whose recall of the ten nearest reaches the target (`measure`).

    No nprobe or k_factor below `least` is taken. Raise UserError when none reaches the target: it names the best.
    """
    tried: list[Setting] = []
    settings = settings_to_try(index)
    # A coarse quantiser that was trained anew may have fewer lists.
    probes, factor = min(least[0], max(p for p, _ in settings)), min(least[1], max(f for _, f in settings))
    for nprobe, k_factor in settings:
        if nprobe < probes or k_factor < factor:
            continue
        tried.append(measure(index, queries, wanted, nprobe, k_factor, num_shards))
        if tried[-1].recall_at_10 >= target - ROUNDING:
            return tried[-1]
    best = max(tried, key=lambda s: s.recall_at_10)
    raise UserError(
        f"recall of the ten nearest must reach {target:g}, got {best.recall_at_10:.4f} with nprobe {best.nprobe}"
    )


def least_recall(settings: Sequence[Setting]) -> tuple[float, float]:
    """Return the least recall at 1 and at 10 over indexes: what a whole bank promises."""
    return min(s.recall_at_1 for s in settings), min(s.recall_at_10 for s in settings)
