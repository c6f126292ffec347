"""SqueezeNet v1.1 (Iandola et al., 2016) in Caffe's layout: pictures to ImageNet features of seven depths, and to 1,000 classes.

Differentiable, so it can sit in a loss. The published tensors are DeepScale's Caffe weights, not torchvision's: features of
the two differ, so distances in them are not LPIPS as published.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.tensors import Images

SIDE, NUM_CLASSES = 227, 1000
BGR_MEAN = (104.0, 117.0, 123.0)
"""Caffe's mean of ImageNet, subtracted from BGR levels 0..255."""

FIRES = (
    (64, 16, 64),
    (128, 16, 64),
    (128, 32, 128),
    (256, 32, 128),
    (256, 48, 192),
    (384, 48, 192),
    (384, 64, 256),
    (512, 64, 256),
)
"""(channels in, squeezed, expanded by each of two) of fire2 to fire9."""

POOL_BEFORE = (0, 2, 4)
"""Fires (counted from 0) that a 3 x 3 maximum pool of stride 2 precedes."""

TAPS = (0, 1, 3, 4, 5, 6, 7)
"""What `features` returns: the stem, then after these numbers of fires less one: the depths that LPIPS taps."""

CHANNELS = (64, 128, 256, 384, 384, 512, 512)


class Fire(nn.Module):
    """Squeeze by 1 x 1, expand by 1 x 1 and 3 x 3 side by side, each with ReLU."""

    def __init__(self, inside: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(inside, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, 2 * expanded, height, width]."""
        x = F.relu(self.squeeze1x1(x))
        return F.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNet(nn.Module):
    """`Images` of any size -> features; 1.24 M parameters."""

    mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.fires = nn.ModuleList(Fire(*sizes) for sizes in FIRES)
        self.conv10 = nn.Conv2d(512, NUM_CLASSES, 1, padding=1)
        self.register_buffer("mean", torch.tensor(BGR_MEAN).view(1, 3, 1, 1), persistent=False)

    def features(self, images: Images) -> list[Tensor]:
        """Return the activations of seven depths [batch, CHANNELS[i], height, width], finest first."""
        levels = (images.flip(1) + 1) * 127.5 - self.mean
        x = F.relu(self.conv1(levels))
        out = [x]
        for i, fire in enumerate(self.fires):
            x = fire(F.max_pool2d(x, 3, 2, ceil_mode=True) if i in POOL_BEFORE else x)
            if i in TAPS[1:]:
                out.append(x)
        return out

    def pooled(self, images: Images) -> Tensor:
        """Return the deepest features averaged over the picture [batch, 512]."""
        return self.features(images)[-1].mean((2, 3))

    def forward(self, images: Images) -> Tensor:
        """Return the class probabilities [batch, 1000]; the published accuracy is for 227 x 227."""
        return F.relu(self.conv10(self.features(images)[-1])).mean((2, 3)).softmax(1)


def from_published(arrays: Mapping[str, np.ndarray]) -> SqueezeNet:
    """Build the network from the published tensors; raise RuntimeError for a name or shape that does not fit."""
    model = SqueezeNet()
    names = {f"fire{i + 2}/": f"fires.{i}." for i in range(len(FIRES))}
    state = {}
    for published, array in arrays.items():
        block = next((b for b in names if published.startswith(b)), "")
        state[names.get(block, "") + published[len(block) :]] = torch.from_numpy(np.asarray(array, np.float32))
    model.load_state_dict(state)
    return model.eval().requires_grad_(False)
