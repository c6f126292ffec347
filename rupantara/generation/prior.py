"""Human codes out of nothing: a Gaussian fitted to the codes of many people, so that samples are nobody's."""

import hashlib
from dataclasses import dataclass

import numpy as np
import safetensors.numpy
import torch

from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.models.region_vae import RegionVAE
from rupantara.storage import uris

FILE = "prior.safetensors"
FIELDS = ("mean", "directions", "boxes")


@dataclass(frozen=True)
class CodePrior:
    """Mean [d], and directions [k, d] scaled by their deviations, of codes [global, five regions] in one row; boxes [6, 4].

    The standard normal that training presses codes towards is a poor prior: region codes and the global code show the same
    face, and drawn apart they contradict each other.
    """

    mean: np.ndarray
    directions: np.ndarray
    boxes: np.ndarray

    def sample(
        self, count: int, seed: int | tuple[int, ...], global_dim: int, truncation: float = 0.8
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw codes: global [count, global_dim], regions [count, 5, dim]; `truncation` below 1 keeps nearer the mean face."""
        scores = np.random.default_rng(seed).standard_normal((count, len(self.directions)))
        rows = torch.from_numpy((self.mean + truncation * scores @ self.directions).astype(np.float32))
        return rows[:, :global_dim], rows[:, global_dim:].unflatten(1, (len(REGIONS), -1))


LEAST_IMPORTANCE = 1e-3
"""Of the greatest: what the linear path does not show (a PCA of few faces leaves components zero) is divided by this, not by zero."""


def importance(model: RegionVAE) -> np.ndarray:
    """Return how much each number of a code moves the picture, by the linear path: [global_dim + 5 * region_dim].

    Codes are whitened, so that their own variances do not say which of them matter.
    """
    net = model.domain_nets()[0]
    paths = [net.base, *net.region_paths()]
    found = []
    for path in paths:
        scale = path.deviations * path.components.norm(dim=1)
        found.append(torch.nn.functional.pad(scale, (0, path.dim - path.rank), value=float(scale.min())))
    every = torch.cat(found).detach()
    return every.clamp(min=LEAST_IMPORTANCE * float(every.max())).numpy()


def read(checkpoint: str) -> CodePrior | None:
    """Read the prior of a checkpoint, None if it has none."""
    uri = uris.join(checkpoint, FILE)
    if not uris.exists(uri):
        return None
    stored = safetensors.numpy.load(uris.read_bytes(uri))
    return CodePrior(*(stored[field].astype(np.float32) for field in FIELDS))


def sha256(checkpoint: str) -> str:
    """Return the SHA-256 of a checkpoint's prior; UserError if it has none."""
    uri = uris.join(checkpoint, FILE)
    if not uris.exists(uri):
        raise UserError(f"{checkpoint} must have a prior to sample people from, as jobs.pack makes, it has none")
    return hashlib.sha256(uris.read_bytes(uri)).hexdigest()


def as_bytes(prior: CodePrior) -> bytes:
    """Serialise, at half precision."""
    return safetensors.numpy.save({field: getattr(prior, field).astype(np.float16) for field in FIELDS})
