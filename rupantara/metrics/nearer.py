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
    ordered, tied = _sorted_labels(similarity, labels, groups)
    animals = groups - 1 if people else groups
    share = np.zeros((queries, groups + 1), np.int64)
    share[:, :animals] = np.rint(WHOLE / np.maximum(sizes[:, :animals], 1))
    flat = ordered + row[:, None] * (groups + 1)
    each = 1 / np.maximum(sizes, 1)
    total = _below(share.ravel().take(flat), flat, tied, share)[:, :groups] * each / WHOLE
    others = np.empty((queries, groups))
    # Of a group's own members half are less near, whatever they are: taken out, the rest is the other groups'.
    own = np.where(sizes[:, :animals] > 0, 0.5, np.nan)
    others[:, :animals] = (total[:, :animals] - own) / max(animals - 1, 1)
    if animals < 2:
        others[:, :animals] = np.nan
    if not people:
        return Nearer(others, np.full((queries, groups), np.nan))
    is_person = (ordered == animals).astype(np.int64)
    person = _below(is_person, flat, tied, np.arange(groups + 1) == animals)[:, :groups] * each * each[:, animals:]
    others[:, animals] = 1 - person[:, :animals].mean(1)
    person[:, animals] = 0.5
    return Nearer(others, np.where(sizes[:, animals:] > 0, person, np.nan))


WHOLE = 2.0**50
"""What a group's members weigh together: whole numbers are summed, which processors do faster than floats, to 1e-13."""


@dataclass(frozen=True)
class _Ties:
    """Places of equal similarities in the flattened sorted rows, and the first and last place of each one's tie."""

    places: np.ndarray
    first: np.ndarray
    last: np.ndarray


def _keys(similarity: np.ndarray, labels: np.ndarray, bits: int) -> np.ndarray:
    """Return integers that grow with the cosine, the label in their last bits: sorting them beats an argsort.

    They hold steps of at least 2^-23, float32's own at 1; nearer ones are ties.
    """
    form = np.int32 if bits <= LABEL_BITS else np.int64
    steps = 2.0 ** ((31 if form is np.int32 else 47) - bits) * (1 - 2.0**-15)
    scaled = similarity.astype(np.float32 if form is np.int32 else np.float64, copy=False)
    keys = (scaled * scaled.dtype.type(steps)).astype(form)
    keys <<= bits
    keys |= labels.astype(form, copy=False)
    return keys


LABEL_BITS = 8
"""Labels of so many bits share 32 with the cosine; more take 64, which sort half as fast."""


def _sorted_labels(similarity: np.ndarray, labels: np.ndarray, groups: int) -> tuple[np.ndarray, _Ties]:
    """Return labels (`groups` = left out) in the order of growing cosine, and the ties."""
    bits = groups.bit_length()
    keys = _keys(similarity, labels, bits)
    keys.sort(axis=1)
    values, width = keys >> bits, keys.shape[1]
    at = np.flatnonzero(values[:, 1:] == values[:, :-1])
    left = at // (width - 1) * width + at % (width - 1) if width > 1 else at
    # Ties of more than two are runs of equal neighbours.
    starts = left[np.diff(left, prepend=-2) != 1]
    ends = left[np.diff(left, append=left[-1:] + 2) != 1] + 1
    places = np.union1d(left, left + 1)
    run = np.searchsorted(starts, places, side="right") - 1
    return (keys & (2**bits - 1)).astype(np.intp), _Ties(places, starts[run], ends[run])


def _below(weight: np.ndarray, flat: np.ndarray, ties: _Ties, own: np.ndarray) -> np.ndarray:
    """Sum over the members of each query and label the weight below them, ties counting half: float64 [queries, labels].

    `weight` are whole numbers in sorted rows, `own` what one member of each label weighs, `flat` each member's query and label.
    """
    queries, sums = len(weight), weight.cumsum(1)
    labels = own.shape[-1]
    found = np.bincount(flat.ravel(), sums.ravel(), minlength=queries * labels)
    found -= (np.bincount(flat.ravel(), minlength=queries * labels).reshape(queries, labels) * (own / 2)).ravel()
    part, alone, places = sums.ravel(), weight.ravel(), ties.places
    middle = (part[ties.first] - alone[ties.first] + part[ties.last]) / 2
    np.add.at(found, flat.ravel()[places], middle - (part[places] - alone[places] / 2))
    return found.reshape(queries, labels)


def placements(similarity: np.ndarray, group: np.ndarray, groups: int) -> np.ndarray:
    """Return the share of each group that is less near than each member, summed over queries: float64 [members, groups].

    These are DeLong's structural components (1988): how P would change with a member's weight.
    """
    counts, out = np.bincount(group, minlength=groups), np.zeros((groups, len(group)))
    names = np.arange(groups)[:, None]
    for row in similarity:
        order = np.argsort(row, kind="stable")
        hot = group[order] == names
        out[:, order] += hot.cumsum(axis=1, dtype=np.int32) - hot / np.float32(2)
    return out.T / np.maximum(counts, 1)
