"""Ridge regression from vectors to many targets, computed from sums: it initializes a decoder, and is the baseline to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "rows dim"]
Targets = Float[np.ndarray, "rows targets"]

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties tried, in units of the vectors' variance times the number of rows."""


@dataclass(frozen=True)
class Ridge:
    """Coefficients [dim, targets] of centred vectors, and the means of vectors and targets."""

    coefficients: np.ndarray
    mean_vector: np.ndarray
    mean_target: np.ndarray

    def predict(self, vectors: Rows) -> Targets:
        """Return float32 predictions."""
        return ((vectors - self.mean_vector) @ self.coefficients + self.mean_target).astype(np.float32)


@dataclass
class RidgeSums:
    """Sums of vectors [dim] and targets [targets] and of their products, in float64 (with the targets: float32 beyond 512 numbers)."""

    count: int
    vectors: np.ndarray
    targets: np.ndarray
    squares: np.ndarray
    products: np.ndarray

    @staticmethod
    def empty(dim: int, targets: int) -> "RidgeSums":
        """Start from nothing."""
        wide = np.float64 if dim <= 512 else np.float32
        return RidgeSums(0, np.zeros(dim), np.zeros(targets), np.zeros((dim, dim)), np.zeros((dim, targets), wide))

    def update(self, vectors: Rows, targets: Targets) -> None:
        """Add rows."""
        self.count += len(vectors)
        self.vectors += vectors.sum(0, dtype=np.float64)
        self.targets += targets.sum(0, dtype=np.float64)
        wide = vectors.astype(np.float64)
        self.squares += wide.T @ wide
        self.products += vectors.astype(np.float32).T @ targets.astype(np.float32)

    @property
    def deviations(self) -> np.ndarray:
        """Return the vectors' standard deviations [dim]."""
        mean = self.vectors / self.count
        return np.sqrt(np.maximum(np.diag(self.squares) / self.count - mean**2, 0))

    def basis(self) -> "Basis":
        """Return the moments in the eigenbasis of the vectors' covariance, where every penalty is solved at once."""
        if self.count < 2:
            raise ValueError(f"a regression needs at least 2 rows, got {self.count}")
        mean, goal = self.vectors / self.count, self.targets / self.count
        values, axes = np.linalg.eigh(self.squares / self.count - np.outer(mean, mean))
        axes = axes.astype(np.float32)
        turned = (axes.T @ (self.products / self.count) - np.outer(axes.T @ mean, goal)).astype(np.float32)
        return Basis(np.maximum(values, 0), axes, turned, mean, goal)

    def solve(self, penalty: float) -> Ridge:
        """Return the coefficients with the least squared error plus `penalty` (in units of PENALTIES) times their squares."""
        return self.basis().solve(penalty)

    def fit(
        self,
        vectors: Rows,
        targets: Targets,
        rank: int,
        penalties: Sequence[float] = PENALTIES,
    ) -> tuple["Factors", float]:
        """Return the solution of a rank by the penalty that `Basis.choose` finds, and that penalty."""
        basis = self.basis()
        best = basis.choose(vectors, targets, penalties)
        return basis.reduced(best, rank), best


class Factors(NamedTuple):
    """Coefficients as factors [dim, rank] and [rank, targets], and the means of vectors and targets."""

    down: np.ndarray
    up: np.ndarray
    mean_vector: np.ndarray
    mean_target: np.ndarray


@dataclass(frozen=True)
class Basis:
    """Eigenvalues [dim] and axes [dim, dim] of the vectors' covariance, their products with the targets, and both means."""

    values: np.ndarray
    axes: np.ndarray
    products: np.ndarray
    mean_vector: np.ndarray
    mean_target: np.ndarray

    def _inverse(self, penalty: float) -> np.ndarray:
        return (1 / (self.values + self._absolute(penalty))).astype(np.float32)

    def _absolute(self, penalty: float) -> float:
        """Return the penalty that is added to the eigenvalues: at least float32 rounding, in which predictions are computed."""
        least = float(self.values.max() * np.finfo(np.float32).eps)
        return max(penalty * float(self.values.mean()), least) or 1.0

    def excess(self, vectors: Rows, penalty: float) -> np.ndarray:
        """Return n l h / (1 - h) for each of the n rows that were added, [n], where h is its leverage and l the penalty.

        In a kernel ridge regression, a row's residual is n l times its own coefficient, and also 1 - h times its residual in a fit without
        it (Allen, 1974). Reducing the row's similarity to itself by the returned value therefore gives the prediction of that fit, with the
        same means, scales, penalty and directions of the rank.
        """
        turned = ((vectors - self.mean_vector).astype(np.float32) @ self.axes).astype(np.float64)
        leverage = 1 / len(vectors) + (turned**2 / (self.values + self._absolute(penalty))).sum(1) / len(vectors)
        return len(vectors) * self._absolute(penalty) * leverage / np.maximum(1 - leverage, 1e-6)

    def choose(
        self, vectors: Rows, targets: Targets, penalties: Sequence[float] = PENALTIES, tolerance: float = 0.0
    ) -> float:
        """Return the penalty with the lowest error, at full rank, on rows that were not added.

        With a `tolerance`, return the smallest penalty whose error is within that share of the lowest: a penalty pulls predictions towards
        the mean. ValueError where there are no such rows.
        """
        if not len(vectors):
            raise ValueError("a penalty is chosen on rows that were not added, got none")
        errors = {p: float(((self.predict(vectors, p) - targets) ** 2).mean()) for p in penalties}
        return min(p for p, error in errors.items() if error <= (1 + tolerance) * min(errors.values()))

    def solve(self, penalty: float) -> Ridge:
        """Return the coefficients for a penalty."""
        found = self.axes @ (self._inverse(penalty)[:, None] * self.products)
        return Ridge(found, self.mean_vector, self.mean_target)

    def predict(self, vectors: Rows, penalty: float) -> Targets:
        """Return float32 predictions, without the coefficients."""
        turned = (vectors - self.mean_vector).astype(np.float32) @ self.axes
        return (turned * self._inverse(penalty)) @ self.products + self.mean_target.astype(np.float32)

    def reduced(self, penalty: float, rank: int) -> Factors:
        """Reduce the coefficients to a rank, optimal for predictions of the rows that were added (Izenman, 1975)."""
        # Predictions' directions are those of root' B, whose rows are as few as the vector's numbers.
        root, inverse = np.sqrt(self.values).astype(np.float32), self._inverse(penalty)
        inner = (root * inverse)[:, None] * self.products
        _, chosen = np.linalg.eigh((inner @ inner.T).astype(np.float64))
        chosen = chosen[:, ::-1][:, :rank].astype(np.float32)
        usable = self.values > self.values.max() * 1e-10
        back = np.where(usable, 1 / np.where(usable, root, 1), 0).astype(np.float32)
        return Factors((self.axes * back) @ chosen, chosen.T @ inner, self.mean_vector, self.mean_target)
