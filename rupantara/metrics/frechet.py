"""Fréchet distance (Heusel et al., 2017) and kernel distance (Bińkowski et al., 2018) between two sets of feature rows.

A Fréchet distance means nothing without the name of its feature net and the number of rows of both sets: it is biased upwards
by about 1/n, so two numbers compare only at equal n. The kernel distance is unbiased at any n: report it beside the other
where sets are small. Neither is FID or KID, which are names for Inception-v3's features.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Rows = Float[np.ndarray, "rows dim"]


@dataclass(frozen=True)
class GaussianStats:
    """Count, mean and spread of feature rows in float64; sums are taken about the mean, so nothing cancels.

    `spread` [k, dim] are rows whose outer products sum to the scatter about the mean, while k <= dim; `scatter` [dim, dim]
    holds what was folded before. Few rows thus keep their exact rank, and many take dim² numbers.
    """

    count: int
    mean: Float[np.ndarray, " dim"]
    spread: Float[np.ndarray, "some dim"]
    scatter: Float[np.ndarray, "dim dim"] | None = None

    @staticmethod
    def update(rows: Rows) -> "GaussianStats":
        """Take the statistics of a batch of at least one finite row."""
        values = np.asarray(rows, np.float64)
        if not len(values) or not np.isfinite(values).all():
            raise ValueError(f"feature rows must be finite and at least one, got {values.shape}")
        mean = values.mean(0)
        return GaussianStats(len(values), mean, values - mean)._folded()

    def merge(self, other: "GaussianStats") -> "GaussianStats":
        """Join the statistics of two sets of rows (Chan et al., 1979, eq. 2.1)."""
        count, apart = self.count + other.count, other.mean - self.mean
        between = np.sqrt(self.count * other.count / count) * apart
        scatters = [s.scatter for s in (self, other) if s.scatter is not None]
        return GaussianStats(
            count,
            self.mean + apart * (other.count / count),
            np.concatenate([self.spread, other.spread, between[None]]),
            sum(scatters[1:], scatters[0]) if scatters else None,
        )._folded()

    def _folded(self) -> "GaussianStats":
        """Fold the rows into the scatter once they are more than their dimensions."""
        if self.scatter is None and len(self.spread) <= len(self.mean):
            return self
        scatter = self.spread.T @ self.spread
        scatter = scatter if self.scatter is None else self.scatter + scatter
        return GaussianStats(self.count, self.mean, self.spread[:0], scatter)

    def covariance(self) -> Float[np.ndarray, "dim dim"]:
        """Return the unbiased covariance."""
        root = self.root()
        return root.T @ root if self.scatter is None else self.scatter / (self.count - 1)

    def root(self) -> Float[np.ndarray, "rank dim"]:
        """Return a root R of the unbiased covariance Rᵀ R; ValueError for fewer than 2 rows."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 rows, got {self.count}")
        if self.scatter is None:
            return self.spread / np.sqrt(self.count - 1)
        covariance = self.scatter / (self.count - 1)
        try:
            return np.linalg.cholesky(covariance).T
        except np.linalg.LinAlgError:  # Singular, as where a feature never fires.
            values, vectors = np.linalg.eigh(covariance)
            kept = values > values[-1] * len(values) * np.finfo(np.float64).eps
            return np.sqrt(values[kept])[:, None] * vectors[:, kept].T


def frechet_distance(a: GaussianStats, b: GaussianStats) -> float:
    """Return ||m1 - m2||² + tr(C1 + C2 - 2 (C1 C2)^½), squared units of the features.

    Raises ValueError for fewer than 2 rows.
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"both sets must have the same features, got {len(a.mean)} and {len(b.mean)} dimensions")
    first, second = a.root(), b.root()
    shared = _trace_of_root(first, second)
    return float(((a.mean - b.mean) ** 2).sum() + (first**2).sum() + (second**2).sum() - 2 * shared)


WELL_CONDITIONED = 1e-12
"""Least eigenvalue, of the greatest, above which all of them have nine digits after the square root."""


def _trace_of_root(first: Float[np.ndarray, "rank dim"], second: Float[np.ndarray, "rank dim"]) -> float:
    """Return tr((C1 C2)^½) of C = Rᵀ R: the sum of the singular values of R1 R2ᵀ.

    Where both have full rank, they are the roots of the eigenvalues of the symmetric R1 C2 R1ᵀ, found in half the time.
    Sets of few rows, and nearly singular ones, need the singular values themselves.
    """
    dim = first.shape[1]
    product = first @ second.T
    if len(first) == len(second) == dim:
        values = np.linalg.eigvalsh(product @ product.T)
        if values[0] > WELL_CONDITIONED * values[-1]:
            return float(np.sqrt(values).sum())
    return float(np.linalg.svd(product, compute_uv=False).sum())


BLOCK = 1024
"""Rows of a kernel matrix in memory at a time."""


def kernel_distance(a: Rows, b: Rows) -> float:
    """Return the unbiased MMD² of two sets of rows under KID's kernel (x · y / dim + 1)³; below 0 by chance when they are alike.

    All rows at once, not the mean over drawn subsets: no seed, and less variance. Raises ValueError for fewer than 2 rows.
    """
    x, y = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"both sets must have at least 2 rows, got {len(x)} and {len(y)}")
    within = [
        (_kernel_sum(s, s) - _kernel(np.einsum("nd,nd->n", s, s), s).sum()) / (len(s) * (len(s) - 1)) for s in (x, y)
    ]
    return float(sum(within) - 2 * _kernel_sum(x, y) / (len(x) * len(y)))


def _kernel(products: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return (products / rows.shape[1] + 1) ** 3


def _kernel_sum(x: np.ndarray, y: np.ndarray) -> float:
    return float(sum(_kernel(x[i : i + BLOCK] @ y.T, x).sum() for i in range(0, len(x), BLOCK)))
