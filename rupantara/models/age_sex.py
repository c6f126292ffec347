"""face-api's network of apparent age and sex (V. Mühler, face-api.js, 2018; MIT): a small Xception (Chollet, 2017)."""

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.models.separable import SameConv, SeparableConv, centred, pad_same, tensors_of

SIDE = 112
SEXES = ("male", "female")
"""What the softmax tells apart, in its order."""


class Reduction(nn.Module):
    """Two separable convolutions and a maximum pool that halve the side, plus a 1 x 1 convolution of the input."""

    def __init__(self, inside: int, outside: int, *, activate: bool = True) -> None:
        super().__init__()
        self.separable_conv0 = SeparableConv(inside, outside)
        self.separable_conv1 = SeparableConv(outside, outside)
        self.expansion_conv = SameConv(inside, outside, 1, 2)
        self._activate = activate

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, outside, height / 2, width / 2]."""
        y = self.separable_conv0(F.relu(x) if self._activate else x)
        y = self.separable_conv1(F.relu(y))
        pooled = F.max_pool2d(pad_same(y, 3, 2, value=float("-inf")), 3, 2)
        return pooled + self.expansion_conv(x)


class Middle(nn.Module):
    """The input plus three activated separable convolutions of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for i in range(3):
            self.add_module(f"separable_conv{i}", SeparableConv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape that came."""
        y = x
        for conv in self.children():
            y = conv(F.relu(y))
        return x + y


class AgeSex(nn.Module):
    """RGB crops [batch, 3, 112, 112] in 0..255 -> (age in years [batch], logits of SEXES [batch, 2])."""

    def __init__(self) -> None:
        super().__init__()
        self.entry_flow = nn.ModuleDict(
            {
                "conv_in": SameConv(3, 32, 3, 2),
                "reduction_block_0": Reduction(32, 64, activate=False),
                "reduction_block_1": Reduction(64, 128),
            }
        )
        self.middle_flow = nn.ModuleDict({f"main_block_{i}": Middle(128) for i in range(2)})
        self.exit_flow = nn.ModuleDict(
            {"reduction_block": Reduction(128, 256), "separable_conv": SeparableConv(256, 512)}
        )
        self.fc = nn.ModuleDict({"age": nn.Linear(512, 1), "gender": nn.Linear(512, 2)})

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        """Look at square crops."""
        x = F.relu(self.entry_flow["conv_in"](centred(faces)))
        for block in (*list(self.entry_flow.values())[1:], *self.middle_flow.values()):
            x = block(x)
        x = F.relu(self.exit_flow["separable_conv"](self.exit_flow["reduction_block"](x))).mean((2, 3))
        return self.fc["age"](x)[:, 0], self.fc["gender"](x)


def from_published(published: Mapping[str, np.ndarray]) -> AgeSex:
    """Build the network; raise RuntimeError for tensors that do not fit."""
    model = AgeSex()
    model.load_state_dict(tensors_of(published))
    return model.eval().requires_grad_(False)
