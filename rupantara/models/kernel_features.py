"""Kernel features: a vector's similarity to each of many train vectors, so that a linear map of the features is not linear in the vector.

Identity embeddings lie on a sphere, a cluster each person. A trait that many people share, such as sex, is spread over clusters that
no hyperplane separates. Ridge regression on these features is kernel ridge regression by the Nyström method (Williams and Seeger, 2001).

A regression predicts the rows that it was fitted on better than others, and a network trained on top of it would learn to trust it too
much. In training mode, a row that is a center is therefore treated as if it had been left out of the fit.
"""

import torch
from torch import Tensor, nn

SAME = 1 - 1e-5
"""Cosine similarity above which a vector is taken to be a center."""


class KernelFeatures(nn.Module):
    """exp(concentration (cosine - 1)) of standardized vectors with each of `centers` [count, dim], unit vectors; zeros until `fit`.

    In training mode, the similarity of a center to itself is reduced by its `excess`.
    """

    centers: Tensor
    excess: Tensor

    def __init__(self, dim: int, count: int, concentration: float) -> None:
        """Build for vectors [batch, dim]; the greater `concentration`, the faster similarity falls with the cosine."""
        super().__init__()
        self.concentration = concentration
        self.register_buffer("centers", torch.zeros(count, dim))
        self.register_buffer("excess", torch.zeros(count))

    def fit(self, vectors: Tensor, excess: Tensor | None = None) -> None:
        """Take as centers standardized vectors [count, dim] of the train split, and their excess [count] (none: 0)."""
        self.centers.copy_(nn.functional.normalize(vectors, dim=1))
        self.excess.copy_(torch.zeros(len(vectors)) if excess is None else excess)

    def forward(self, standard: Tensor) -> Tensor:
        """Return features [batch, count], 0 to 1, float32, of standardized vectors [batch, dim]."""
        with torch.autocast(standard.device.type, enabled=False):
            cosines = nn.functional.normalize(standard.float(), dim=1) @ self.centers.T
            features = torch.exp(self.concentration * (cosines - 1))
            return torch.where(cosines > SAME, features - self.excess, features) if self.training else features

    def whitening(self) -> Tensor:
        """Return the inverse root [count, count] of the kernel among centers: a ridge penalty on features times it is the kernel's own."""
        values, axes = torch.linalg.eigh(self(self.centers).double())
        # Roundings of the features move eigenvalues by less than this.
        kept = values > values.max() * len(values) ** 0.5 * torch.finfo(torch.float32).eps
        inverse = torch.where(kept, values.clamp_min(1e-12).rsqrt(), torch.zeros_like(values))
        return ((axes * inverse) @ axes.T).float()
