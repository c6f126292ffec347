"""How often is a random feature of one group nearer than a random feature of others? Exact, by sorting each row of similarities.

With F_t(c) the share of group t that is less near than c (ties count half), P(group s nearer than group t) is the mean of F_t over
the members of s: the area under the ROC curve (Mann and Whitney, 1947). 0.5 says that s is no nearer than t.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Nearer:
    """Of each query and group: P(nearer than a random feature of another group), and than one of the last group (people), or NaN."""

    others: np.ndarray
    people: np.ndarray


def nearer(similarity: np.ndarray, group: np.ndarray, groups: int, excluded: np.ndarray, *, people: bool) -> Nearer:
    """Compare groups by float32 similarities [queries, members]: arrays [queries, groups].

    `group` [members] numbers the members' groups; with `people` the last of them is people, who are no "other group" of an animal,
    and to whom all animals are others. `excluded` [queries] names a member that is left out for a query, -1 for none. Other groups
    count alike, however many members they have.
    """
    queries = len(similarity)
    row = np.arange(queries)
    counts = np.bincount(group, minlength=groups).astype(np.float64)
    labels = np.broadcast_to(group, similarity.shape)
    sizes = np.broadcast_to(counts, (queries, groups)).copy()
    out_rows = np.flatnonzero(excluded >= 0)
    if len(out_rows):
        labels = labels.copy()
        sizes[out_rows, group[excluded[out_rows]]] -= 1
        labels[out_rows, excluded[out_rows]] = groups
    ordered, tied = _sorted_labels(similarity, labels)
    animals = groups - 1 if people else groups
    share = np.zeros((queries, groups + 1))
    share[:, :groups] = 1 / np.maximum(sizes, 1)
    flat = ordered + row[:, None] * (groups + 1)
    weight = share.ravel()[flat]
    person = np.zeros((queries, groups))
    if people:
        is_person = ordered == animals
        below_people = np.where(is_person, weight, 0.0)
        weight = np.where(is_person, 0.0, weight)
        person = _group_sums(_below(below_people, tied), flat, queries, groups) * share[:, :groups]
    total = _group_sums(_below(weight, tied), flat, queries, groups) * share[:, :groups]
    others = np.empty((queries, groups))
    # Of a group's own members half are less near, whatever they are: taken out, the rest is the other groups'.
    own = np.where(sizes[:, :animals] > 0, 0.5, np.nan)
    others[:, :animals] = (total[:, :animals] - own) / max(animals - 1, 1)
    if animals < 2:
        others[:, :animals] = np.nan
    if not people:
        return Nearer(others, np.full((queries, groups), np.nan))
    others[:, animals] = 1 - person[:, :animals].mean(1)
    person[:, animals] = 0.5
    return Nearer(others, np.where(sizes[:, animals:] > 0, person, np.nan))


@dataclass(frozen=True)
class _Ties:
    """Places of equal similarities in the flattened sorted rows, and the first and last place of each one's tie."""

    places: np.ndarray
    first: np.ndarray
    last: np.ndarray


def _sorted_labels(similarity: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, _Ties]:
    """Return labels in the order of growing similarity. Label and float32 bits share an integer: sorting those beats an argsort."""
    bits = np.ascontiguousarray(similarity, np.float32).view(np.int32).astype(np.int64)
    # Negative floats grow with falling bits.
    keys = np.where(bits < 0, -2147483648 - bits, bits)
    keys <<= 16
    keys |= labels
    keys.sort(axis=1)
    values = keys >> 16
    width = values.shape[1]
    row, column = np.nonzero(values[:, 1:] == values[:, :-1])
    left = row * width + column
    # Ties of more than two are runs of equal neighbours.
    starts = left[np.diff(left, prepend=-2) != 1]
    ends = left[np.diff(left, append=left[-1:] + 2) != 1] + 1
    places = np.union1d(left, left + 1)
    run = np.searchsorted(starts, places, side="right") - 1
    return keys & 0xFFFF, _Ties(places, starts[run], ends[run])


def _below(weight: np.ndarray, ties: _Ties) -> np.ndarray:
    """Return the weight below each place of sorted rows, ties counting half."""
    sums = np.cumsum(weight, axis=1)
    below = sums - weight / 2
    part, own = sums.ravel(), weight.ravel()
    below.ravel()[ties.places] = (part[ties.first] - own[ties.first] + part[ties.last]) / 2
    return below


def _group_sums(values: np.ndarray, flat: np.ndarray, queries: int, groups: int) -> np.ndarray:
    summed = np.bincount(flat.ravel(), values.ravel(), minlength=queries * (groups + 1))
    return summed.reshape(queries, groups + 1)[:, :groups]


def placements(similarity: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the share of each group that is less near than each member, summed over queries: float64 [members, groups].

    These are DeLong's structural components (1988): how P would change with a member's weight.
    """
    hot = np.zeros((len(group), groups), np.float32)
    hot[np.arange(len(group)), group] = 1
    share = (1 / np.maximum(hot.sum(0), 1)).astype(np.float64)
    out = np.zeros((len(group), groups))
    for row in similarity:
        order = np.argsort(row, kind="stable")
        sorted_hot = hot[order]
        out[order] += np.cumsum(sorted_hot, axis=0) - sorted_hot / 2
    return out * share
