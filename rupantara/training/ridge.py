"""Ridge regression from vectors to many targets, out of sums: a decoder's warm start and the baseline that it has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "rows dim"]
Targets = Float[np.ndarray, "rows targets"]

PENALTIES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Penalties tried, in units of the vectors' variance times the number of rows."""


@dataclass(frozen=True)
class Ridge:
    """Coefficients [dim, targets] of centred vectors, and the means of both."""

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

    def solve(self, penalty: float) -> Ridge:
        """Return the coefficients with the least squared error plus `penalty` (in units of PENALTIES) times their squares."""
        if self.count < 2:
            raise ValueError(f"a regression needs at least 2 rows, got {self.count}")
        mean, goal = self.vectors / self.count, self.targets / self.count
        covariance = self.squares / self.count - np.outer(mean, mean)
        together = self.products / self.count - np.outer(mean, goal)
        scale = float(np.trace(covariance)) / len(covariance) or 1.0
        system = covariance + penalty * scale * np.eye(len(covariance))
        return Ridge(np.linalg.solve(system, together).astype(np.float32), mean, goal)

    def fit(self, vectors: Rows, targets: Targets, penalties: Sequence[float] = PENALTIES) -> tuple[Ridge, float]:
        """Return the solution with the least error on rows that were not added, and its penalty."""
        errors = {p: float(((self.solve(p).predict(vectors) - targets) ** 2).mean()) for p in penalties}
        best = min(errors, key=errors.__getitem__)
        return self.solve(best), best

    def reduced(self, ridge: Ridge, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Return factors [dim, rank] and [rank, targets] of the coefficients, best for predictions (Izenman, 1975); rank at most dim."""
        mean = self.vectors / self.count
        covariance = self.squares / self.count - np.outer(mean, mean)
        values, axes = np.linalg.eigh(covariance)
        root = axes * np.sqrt(np.maximum(values, 0))
        # Predictions' directions are those of root' B, whose rows are as few as the vector's numbers.
        inner = root.T @ ridge.coefficients
        _, chosen = np.linalg.eigh(inner @ inner.T)
        chosen = chosen[:, ::-1][:, :rank]
        usable = values > values[-1] * 1e-10
        inverse = np.where(usable, 1 / np.sqrt(np.where(usable, values, 1)), 0)
        return (axes * inverse) @ chosen, chosen.T @ inner
