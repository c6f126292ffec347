"""Answers of a search, and their exact merging."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Hits:
    """The best features of each query, best first, ties by feature id.

    scores float32 [queries, k] (cosine, -inf where there are fewer than k), ids object [queries, k] ("" there),
    vectors float32 [queries, k, dim] (the unit vectors) and norms [queries, k]; `partial` when a shard did not answer.
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


def merge_hits(parts: Sequence[Hits], k: int, *, partial: bool = False) -> Hits:
    """Merge shards' answers into the k best of all: exactly what one index over all rows would answer."""
    if not parts:
        raise ValueError("merging needs the answer of at least one shard, got none")
    scores = np.concatenate([p.scores for p in parts], axis=1)
    ids = np.concatenate([p.ids for p in parts], axis=1)
    vectors = np.concatenate([p.vectors for p in parts], axis=1)
    norms = np.concatenate([p.norms for p in parts], axis=1)
    order = np.stack([np.lexsort((ids[q].astype(str), -scores[q]))[:k] for q in range(len(scores))])
    rows = np.arange(len(scores))[:, None]
    return Hits(scores[rows, order], ids[rows, order], vectors[rows, order], norms[rows, order], partial)


def merge_views(views: Sequence[Hits], k: int) -> Hits:
    """Merge the answers to several views of each query (a face and its mirror image) into its k best, each id once, at its best score.

    Exact: what is among the k best by its best view is among the k best of that view.
    """
    if not views:
        raise ValueError("merging needs the answer to at least one view, got none")
    every = merge_hits(views, sum(v.scores.shape[1] for v in views), partial=any(v.partial for v in views))
    padded = pad_hits(every, every.scores.shape[1] + k)
    order = np.stack([_first_of_each(ids, k) for ids in padded.ids])
    rows = np.arange(len(order))[:, None]
    found = padded.scores[rows, order], padded.ids[rows, order], padded.vectors[rows, order], padded.norms[rows, order]
    return Hits(*found, padded.partial)


def _first_of_each(ids: np.ndarray, k: int) -> np.ndarray:
    """Return the k first places of ids that were not there before; empty ones, which are last, may repeat."""
    keep = ids == ""
    keep[np.unique(ids.astype(str), return_index=True)[1]] = True
    return np.flatnonzero(keep)[:k]


def pad_hits(hits: Hits, k: int) -> Hits:
    """Fill answers up to k columns with -inf and ""."""
    missing = k - hits.scores.shape[1]
    if missing <= 0:
        return hits
    q, dim = len(hits.scores), hits.vectors.shape[2]
    return Hits(
        np.concatenate([hits.scores, np.full((q, missing), -np.inf, np.float32)], 1),
        np.concatenate([hits.ids, np.full((q, missing), "", object)], 1),
        np.concatenate([hits.vectors, np.zeros((q, missing, dim), np.float32)], 1),
        np.concatenate([hits.norms, np.zeros((q, missing), np.float32)], 1),
        hits.partial,
    )
