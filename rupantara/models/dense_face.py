"""face-api's small networks over a face's square crop: 68 landmarks, or the expression (V. Mühler, face-api.js, 2018; MIT).

Four blocks of four convolutions, each of which sees the sum of those before it (compare DenseNet, Huang et al., 2017, which joins them).
"""

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.models.separable import SameConv, SeparableConv, centred, tensors_of
from rupantara.schema import EXPRESSIONS

SIDE = 112
CHANNELS = (32, 64, 128, 256)
NUM_LANDMARKS = 68


class SumBlock(nn.Module):
    """Halve the side, then three times convolve the activated sum of all before, and activate the sum."""

    def __init__(self, inside: int, outside: int, *, first: bool) -> None:
        super().__init__()
        self.conv0 = SameConv(inside, outside, 3, 2) if first else SeparableConv(inside, outside, 2)
        self.conv1, self.conv2, self.conv3 = (SeparableConv(outside, outside) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, outside, height / 2, width / 2]."""
        a = F.relu(self.conv0(x))
        b = self.conv1(a)
        c = self.conv2(F.relu(a + b))
        d = self.conv3(F.relu(a + b + c))
        return F.relu(a + b + c + d)


class DenseFace(nn.Module):
    """RGB crops [batch, 3, 112, 112] in 0..255 -> numbers [batch, outputs] before any activation."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        for i, (inside, outside) in enumerate(zip((3, *CHANNELS), CHANNELS, strict=False)):
            self.add_module(f"dense{i}", SumBlock(inside, outside, first=i == 0))
        self.fc = nn.Linear(CHANNELS[-1], outputs)

    def forward(self, faces: Tensor) -> Tensor:
        """Look at square crops."""
        x = centred(faces)
        for i in range(len(CHANNELS)):
            x = self.get_submodule(f"dense{i}")(x)
        return self.fc(x.mean((2, 3)))


def landmarks_from(published: Mapping[str, np.ndarray]) -> DenseFace:
    """Build the network of 68 landmarks: 136 numbers x, y in [0, 1] of the crop; raise RuntimeError for tensors that do not fit."""
    return _built(2 * NUM_LANDMARKS, published)


def expression_from(published: Mapping[str, np.ndarray]) -> DenseFace:
    """Build the network of expressions: logits of `schema.EXPRESSIONS`; raise RuntimeError for tensors that do not fit."""
    return _built(len(EXPRESSIONS), published)


def _built(outputs: int, published: Mapping[str, np.ndarray]) -> DenseFace:
    model = DenseFace(outputs)
    model.load_state_dict(tensors_of(published))
    return model.eval().requires_grad_(False)
