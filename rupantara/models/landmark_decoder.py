"""The landmark decoder of `001_…`, 4.2: from any vector that stands for a face to its 68 points.

The paper gives the optimiser and 5,729,936 trainable of 139,994,080 parameters, no widths. The frozen ones exceed VGG-16's up to
fc7 by 3,600, the running means and variances of 1,800 normalised units; two hidden layers of 1,200 and 600 have 5,722,336
trainable parameters at 4,096 inputs, which is as near as round widths come.
"""

import torch
from torch import Tensor, nn

from rupantara.tensors import PointSets

POINTS = 68
HIDDEN = (1200, 600)


class Standardize(nn.Module):
    """Standardizes vectors by the train split's mean and standard deviation, so that embeddings of any scale look alike to a decoder."""

    mean: Tensor
    spread: Tensor

    def __init__(self, dim: int) -> None:
        """Build for vectors [batch, dim]; until `fit` it is the identity."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("spread", torch.ones(dim))

    def fit(self, mean: Tensor, spread: Tensor) -> None:
        """Take the train split's mean and standard deviation [dim]; values that do not vary are passed on centred."""
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > 0, spread, torch.ones_like(spread)))

    def forward(self, vectors: Tensor) -> Tensor:
        """Standardize [batch, dim]; raise ValueError for vectors of another length."""
        if vectors.ndim != 2 or vectors.shape[1] != len(self.mean):
            raise ValueError(f"vectors must be [batch, {len(self.mean)}], got {list(vectors.shape)}")
        return (vectors - self.mean) / self.spread


class LandmarkDecoder(nn.Module):
    """Standardized vector, hidden layers with batch normalisation, points as offsets from the mean face."""

    mean_points: Tensor

    def __init__(
        self, input_dim: int, mean_points: Tensor, hidden: tuple[int, ...] = HIDDEN, dropout: float = 0.0
    ) -> None:
        """Build for vectors [batch, input_dim]; `mean_points` [68, 2] are the train split's mean landmarks, px.

        `dropout` is the share of hidden units that a training step leaves out; the paper mentions none.
        """
        super().__init__()
        if mean_points.shape != (POINTS, 2):
            raise ValueError(f"mean_points must be [{POINTS}, 2], got {list(mean_points.shape)}")
        self.standardize = Standardize(input_dim)
        self.register_buffer("mean_points", mean_points.detach().float().clone())
        layers: list[nn.Module] = []
        for before, after in zip((input_dim, *hidden), hidden, strict=False):
            layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
            layers += [nn.Dropout(dropout)] if dropout else []
        last = nn.Linear((input_dim, *hidden)[-1], 2 * POINTS)
        # Before the first step every face is the mean face.
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.layers = nn.Sequential(*layers, last)

    def forward(self, vectors: Tensor) -> PointSets:
        """Decode vectors [batch, input_dim] to points [batch, 68, 2], px, in float32 whatever the autocast."""
        with torch.autocast(vectors.device.type, enabled=False):
            return self.mean_points + self.layers(self.standardize(vectors.float())).unflatten(1, (POINTS, 2))
