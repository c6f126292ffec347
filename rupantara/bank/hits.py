"""Answers of a search, and their exact merging."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hits:
    """The best features of each query, best first, ties by feature id.

    scores float32 [queries, k] (cosine, -inf where there are fewer than k), ids object [queries, k] ("" there),
    vectors float32 [queries, k, dim] (the unit vectors) and norms [queries, k], both with no columns where they were not asked
    for; `partial` when a shard did not answer.
    """

    scores: np.ndarray
    ids: np.ndarray
    vectors: np.ndarray
    norms: np.ndarray
    partial: bool = False

    @property
    def codes(self) -> np.ndarray:
        """Return the aligned region codes (`Alignment.restore` makes them the decoder's): unit vectors times their norms."""
        return self.vectors * self.norms[:, :, None]


def best_first(scores: np.ndarray, ids: Callable[[int], np.ndarray]) -> np.ndarray:
    """Return the order of each row [queries, n]: greatest score first, equal ones by id; `ids` gives a row's, where some tie."""
    order = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, 1)
    tied = (ranked[:, 1:] == ranked[:, :-1]) & np.isfinite(ranked[:, 1:])
    for row in np.flatnonzero(tied.any(1)):
        order[row] = np.lexsort((ids(row).astype(str), -scores[row]))
    return order


def take(hits: Hits, order: np.ndarray, *, partial: bool = False) -> Hits:
    """Return chosen columns of each row."""
    rows = np.arange(len(order))[:, None]
    wide = hits.vectors.shape[1] > 0
    vectors, norms = (hits.vectors[rows, order], hits.norms[rows, order]) if wide else (hits.vectors, hits.norms)
    return Hits(hits.scores[rows, order], hits.ids[rows, order], vectors, norms, partial)


def merge_hits(parts: Sequence[Hits], k: int, *, partial: bool = False) -> Hits:
    """Merge shards' answers into the k best of all: exactly what one index over all rows would answer.

    Raise ValueError for no answers, and for answers of which some have vectors and some not.
    """
    if not parts:
        raise ValueError("merging needs the answer of at least one shard, got none")
    if len({p.vectors.shape[1] > 0 for p in parts if p.scores.shape[1]}) > 1:
        raise ValueError("merging needs answers with vectors or without, got both")
    scores, ids = (np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("scores", "ids"))
    vectors, norms = (np.concatenate([getattr(p, name) for p in parts], axis=1) for name in ("vectors", "norms"))
    whole = Hits(scores, ids, vectors, norms)
    return take(whole, best_first(whole.scores, whole.ids.__getitem__)[:, :k], partial=partial)


def merge_views(views: Sequence[Hits], k: int) -> Hits:
    """Merge the answers to several views of each query (a face and its mirror image) into its k best, each id once, at its best score.

    Exact: what is among the k best by its best view is among the k best of that view.
    """
    if not views:
        raise ValueError("merging needs the answer to at least one view, got none")
    every = merge_hits(views, sum(v.scores.shape[1] for v in views), partial=any(v.partial for v in views))
    padded = pad_hits(every, every.scores.shape[1] + k, vectors=every.vectors.shape[1] > 0)
    order = np.stack([_first_of_each(ids, k) for ids in padded.ids])
    return take(padded, order, partial=padded.partial)


def _first_of_each(ids: np.ndarray, k: int) -> np.ndarray:
    """Return the k first places of ids that were not there before; empty ones, which are last, may repeat."""
    keep = ids == ""
    keep[np.unique(ids.astype(str), return_index=True)[1]] = True
    return np.flatnonzero(keep)[:k]


def pad_hits(hits: Hits, k: int, *, vectors: bool = True) -> Hits:
    """Fill answers up to k columns with -inf and "", and with zero vectors where answers have `vectors`."""
    q, found, dim = len(hits.scores), hits.scores.shape[1], hits.vectors.shape[2]
    missing = k - found
    if missing <= 0:
        return hits
    wide = missing if vectors else 0
    return Hits(
        np.concatenate([hits.scores, np.full((q, missing), -np.inf, np.float32)], 1),
        np.concatenate([hits.ids, np.full((q, missing), "", object)], 1),
        np.concatenate([hits.vectors, np.zeros((q, wide, dim), np.float32)], 1),
        np.concatenate([hits.norms, np.zeros((q, wide), np.float32)], 1),
        hits.partial,
    )
