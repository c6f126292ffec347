"""Convolutions trained on ImageNet, in torchvision's layout, tapped at several depths: what perceptual losses stand on."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from rupantara.tensors import Images

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""ImageNet's statistics of RGB in [0, 1], which torchvision's weights want subtracted and divided by."""


class TappedConvolutions(nn.Module):
    """`Images` -> activations after the layers that `taps` numbers."""

    mean: Tensor
    std: Tensor

    def __init__(self, layers: Sequence[nn.Module], taps: Sequence[int]) -> None:
        super().__init__()
        self.layers, self.taps = nn.Sequential(*layers), tuple(taps)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)

    def features(self, images: Images, depths: int = 0) -> list[Tensor]:
        """Return the activations of the first so many depths (0 = all) [batch, channels, height, width], finest first."""
        x, out = ((images + 1) / 2 - self.mean) / self.std, []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.taps:
                out.append(x)
            if len(out) == (depths or len(self.taps)):
                break
        return out

    def load_published(self, state: Mapping[str, Tensor]) -> None:
        """Take torchvision's `features.N.weight` and `.bias`; raise RuntimeError for a name or shape that does not fit."""
        known = self.layers.state_dict()
        own = {k.removeprefix("features."): v for k, v in state.items() if k.removeprefix("features.") in known}
        self.layers.load_state_dict(own)
        self.eval().requires_grad_(False)
