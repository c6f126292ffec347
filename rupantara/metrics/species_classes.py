"""Which species a classifier of ImageNet sees in hybrids: groups of its classes, centred over all pictures."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

CLASSES = {
    "bear": (294, 297),
    "cat": (281, 285),
    "dog": (151, 268),
    "fox": (277, 280),
    "leopard": (288, 290),
    "lion": (291, 291),
    "tiger": (292, 292),
    "wolf": (269, 272),
}
"""First and last of ImageNet's classes (of 1,000, counted from 0) that show a species."""

LEAST_PROBABILITY = 1e-12


def group_scores(probabilities: Float[np.ndarray, "rows classes"]) -> Float[np.ndarray, "rows species"]:
    """Return the logarithm of each species' summed probability, species in the order of CLASSES; float64."""
    wide = probabilities.astype(np.float64)
    sums = [wide[:, first : last + 1].sum(1) for first, last in CLASSES.values()]
    return np.log(np.stack(sums, axis=1) + LEAST_PROBABILITY)


@dataclass(frozen=True)
class SpeciesStats:
    """Scores of pictures [n, species] and the species that each should show [n].

    Rows are kept, eight numbers each, because the centre is that of all pictures: without it a classifier names for every face on a
    person's shoulders what it likes best (a dog).
    """

    scores: Float[np.ndarray, "rows species"]
    wanted: Int[np.ndarray, " rows"]

    @staticmethod
    def update(probabilities: Float[np.ndarray, "rows classes"], species: list[str]) -> "SpeciesStats":
        """Take a batch of class probabilities [n, 1000] and the species that was mixed in."""
        names = list(CLASSES)
        return SpeciesStats(group_scores(probabilities), np.array([names.index(name) for name in species], np.int64))

    def merge(self, other: "SpeciesStats") -> "SpeciesStats":
        """Join two batches."""
        joined = (np.concatenate(pair) for pair in ((self.scores, other.scores), (self.wanted, other.wanted)))
        return SpeciesStats(*joined)

    def hits(self) -> np.ndarray:
        """Tell of each picture whether its species comes first after centring, bool [n]; a tie is a miss."""
        centred = self.scores - self.scores.mean(0)
        own = centred[np.arange(len(centred)), self.wanted]
        others = np.where(np.arange(centred.shape[1]) == self.wanted[:, None], -np.inf, centred)
        return own > others.max(1)

    def compute(self) -> dict[str, float]:
        """Return top-1 over all, and by species under its name (only those that were asked for)."""
        hits, names = self.hits(), list(CLASSES)
        each = {names[i]: float(hits[self.wanted == i].mean()) for i in np.unique(self.wanted)}
        return {"top1": float(hits.mean()), **each}
