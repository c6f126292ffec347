"""MobileFaceNet (Chen et al., "MobileFaceNets", 2018), trained with ArcFace loss: an aligned face to a 128-d identity vector.

The layout of insightface's "y1" network, so that its published tensors load by name. Differentiable, so it can sit in a loss.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.landmarks.crop import ARCFACE_SIDE, ARCFACE_TEMPLATE

SIDE, DIM, FEATURES_DIM = ARCFACE_SIDE, 128, 512
TEMPLATE = ARCFACE_TEMPLATE
"""Where the five keypoints lie in the input, px."""

STAGES = ((3, 64, 128, 4), (4, 128, 256, 6), (5, 128, 256, 2))
"""(number in the tensors' names, channels, expanded channels, residual blocks) of each stage."""

EXPANSION_ON_ENTRY = {3: 128, 4: 256, 5: 512}


def _conv(inside: int, out: int, side: int, *, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Sequential:
    """Build convolution and normalisation; the published variances already hold their epsilon."""
    conv = nn.Conv2d(inside, out, side, stride, padding, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(out, eps=0.0))


def _conv_prelu(inside: int, out: int, side: int, **options: int) -> nn.Sequential:
    return nn.Sequential(*_conv(inside, out, side, **options), nn.PReLU(out))


class Bottleneck(nn.Module):
    """Expand by 1 x 1, convolve each channel by 3 x 3, project by 1 x 1 without activation; add the input where shapes allow."""

    def __init__(self, inside: int, expanded: int, out: int, stride: int) -> None:
        super().__init__()
        self.sep = _conv_prelu(inside, expanded, 1)
        self.dw = _conv_prelu(expanded, expanded, 3, stride=stride, padding=1, groups=expanded)
        self.proj = _conv(expanded, out, 1)
        self._residual = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        """Return the block's output."""
        y = self.proj(self.dw(self.sep(x)))
        return x + y if self._residual else y


class MobileFaceNet(nn.Module):
    """RGB faces [batch, 3, 112, 112] in 0..255 -> identity vectors [batch, 128], not normalised; 0.99 M parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_prelu(3, 64, 3, stride=2, padding=1)
        self.stem_dw = _conv_prelu(64, 64, 3, padding=1, groups=64)
        blocks: list[nn.Module] = []
        inside = 64
        for number, channels, expanded, count in STAGES:
            blocks.append(Bottleneck(inside, EXPANSION_ON_ENTRY[number], channels, 2))
            blocks += [Bottleneck(channels, expanded, channels, 1) for _ in range(count)]
            inside = channels
        self.blocks = nn.Sequential(*blocks)
        self.last = _conv_prelu(inside, FEATURES_DIM, 1)
        self.global_dw = _conv(FEATURES_DIM, FEATURES_DIM, 7, groups=FEATURES_DIM)
        self.embed = nn.Linear(FEATURES_DIM, DIM)
        self.norm = nn.BatchNorm1d(DIM, eps=0.0)

    def features(self, faces: Tensor) -> Tensor:
        """Return what the last layer, which is linear, sees: [batch, 512], not normalised; the scaling to [-1, 1] is inside."""
        x = self.stem_dw(self.stem((faces - 127.5) * 0.0078125))
        return self.global_dw(self.last(self.blocks(x))).flatten(1)

    def identity(self, features: Tensor) -> Tensor:
        """Return what the last layer makes of features: [batch, 128]."""
        return self.norm(self.embed(features))

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces; the scaling to [-1, 1] is inside."""
        return self.identity(self.features(faces))


def published_names() -> list[tuple[str, str]]:
    """Return (our module, published layer) of every layer with tensors, in the network's order."""
    pairs = [("stem", "conv_1"), ("stem_dw", "conv_2_dw")]
    place = 0
    for number, _, _, count in STAGES:
        names = [f"dconv_{number - 1}{number}"] + [f"res_{number}_block{i}" for i in range(count)]
        for name in names:
            pairs += [(f"blocks.{place}.{part}", f"{name}_conv_{part}") for part in ("sep", "dw", "proj")]
            place += 1
    return [*pairs, ("last", "conv_6sep"), ("global_dw", "conv_6dw7_7")]


def from_published(arrays: Mapping[str, np.ndarray]) -> MobileFaceNet:
    """Build the network from the published tensors; raise KeyError or RuntimeError for a name or shape that does not fit."""
    state: dict[str, np.ndarray] = {"embed.weight": arrays["pre_fc1.weight"], "embed.bias": arrays["pre_fc1.bias"]}
    state |= _norm("norm", "fc1", arrays)
    for ours, theirs in published_names():
        state[f"{ours}.0.weight"] = arrays[f"{theirs}_conv2d.weight"]
        state |= _norm(f"{ours}.1", f"{theirs}_batchnorm", arrays)
        if f"{theirs}_relu.slope" in arrays:
            state[f"{ours}.2.weight"] = arrays[f"{theirs}_relu.slope"]
    model = MobileFaceNet()
    tensors = {name: torch.from_numpy(np.asarray(array, np.float32)) for name, array in state.items()}
    counters = {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
    model.load_state_dict({**tensors, **counters})
    return model.eval().requires_grad_(False)


def _norm(ours: str, theirs: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    names = {"weight": "slope", "bias": "bias", "running_mean": "mean", "running_var": "var"}
    return {f"{ours}.{mine}": arrays[f"{theirs}.{published}"] for mine, published in names.items()}
