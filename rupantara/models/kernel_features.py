"""Kernel features: a vector as its likeness to each of some of the train split's, so that a linear map of them is none of the vector.

Embeddings of identity lie on a sphere, in a cluster for each person: what is alike in many people, sex say, is spread over clusters that no
hyperplane parts. Ridge regression on these features is kernel ridge regression by the Nyström method (Williams and Seeger, 2001).

A regression knows the rows that it was fitted on better than any others, and what is trained on top of it would learn to trust it too
much. In training mode a row that is a center is therefore as if it had been left out of the fit.
"""

import torch
from torch import Tensor, nn

SAME = 1 - 1e-5
"""Cosine from which on a vector is taken for a center."""


class KernelFeatures(nn.Module):
    """exp(concentration (cosine - 1)) of standardized vectors with each of `centers` [count, dim], unit vectors; zeros until `fit`.

    In training mode the likeness of a vector to the center that it is is less by that center's `excess`.
    """

    centers: Tensor
    excess: Tensor

    def __init__(self, dim: int, count: int, concentration: float) -> None:
        """Build for vectors [batch, dim]; likeness falls the faster with the cosine the greater `concentration`."""
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
