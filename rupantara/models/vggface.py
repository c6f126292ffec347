"""VGG-Face (Parkhi, Vedaldi and Zisserman, "Deep Face Recognition", 2015): the 4096-d embedding that `001_…` inverts.

Sixteen layers with weights: thirteen convolutions, fc6, fc7 and fc8. The embedding is fc7 before its activation. Three
published layouts load: PyTorch with `conv1_1`/`fc6` names, PyTorch with `conv_1_1` names (both from Caffe, one fed RGB, the
other BGR), and Keras (HWIO kernels, fc6 over HWC features, or fc6 and fc7 as convolutions).
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

SIDE, DIM, NUM_IDENTITIES = 224, 4096, 2622
MEAN_RGB = (129.186279296875, 104.76238250732422, 93.59396362304688)
"""Mean of the training faces, subtracted from RGB 0..255."""

BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
CONVS = tuple(f"conv{b + 1}_{i + 1}" for b, block in enumerate(BLOCKS) for i in range(len(block)))
LAYERS = (*CONVS, "fc6", "fc7", "fc8")


class VGGFace(nn.Module):
    """RGB faces [batch, 3, 224, 224] in 0..255 -> fc7 before its activation [batch, 4096]; 134.3 M parameters without fc8."""

    mean: Tensor

    def __init__(self, *, width: int = 1, fc_dim: int = DIM, side: int = SIDE) -> None:
        """Build the network; `width` divides the channels and `side` sets the input, for tests at a small size."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN_RGB).view(1, 3, 1, 1), persistent=False)
        inside = 3
        for b, block in enumerate(BLOCKS):
            for i, channels in enumerate(block):
                self.add_module(f"conv{b + 1}_{i + 1}", nn.Conv2d(inside, channels // width, 3, padding=1))
                inside = channels // width
        self.fc6 = nn.Linear(inside * (side // 32) ** 2, fc_dim)
        self.fc7 = nn.Linear(fc_dim, fc_dim)

    def forward(self, faces: Tensor) -> Tensor:
        """Embed faces (dropout is off: this network is not trained here)."""
        x = (faces - self.mean).to(self.fc7.weight.dtype)
        for b, block in enumerate(BLOCKS):
            for i in range(len(block)):
                x = torch.relu(self.get_submodule(f"conv{b + 1}_{i + 1}")(x))
            x = torch.max_pool2d(x, 2)
        return self.fc7(torch.relu(self.fc6(x.flatten(1))))


def build(state: Mapping[str, Tensor]) -> VGGFace:
    """Build the network of the published size from tensors with our names."""
    with torch.device("meta"):
        model = VGGFace()
    model.load_state_dict(dict(state), assign=True)
    model.mean = torch.tensor(MEAN_RGB).view(1, 3, 1, 1)
    return model.eval().requires_grad_(False)


def from_pytorch(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename a PyTorch state: `conv1_1` names (RGB in) stay, `conv_1_1` names (BGR in) have their first kernels' order turned."""
    bgr = "conv_1_1.weight" in state
    out = {}
    for layer in LAYERS[:-1]:
        theirs = layer.replace("conv", "conv_") if bgr else layer
        for part in ("weight", "bias"):
            out[f"{layer}.{part}"] = state[f"{theirs}.{part}"].float()
    if bgr:
        out["conv1_1.weight"] = out["conv1_1.weight"].flip(1)
    return out


def from_keras(kernels: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Tensor]:
    """Turn Keras kernels and biases, in the network's order, into our state.

    Convolutions are HWIO; fc6 is a matrix over features flattened as HWC, or, with fc7, a convolution. Keras' networks are fed
    BGR, so the first kernels' order is turned.
    """
    out: dict[str, Tensor] = {}
    for layer, (kernel, bias) in zip(LAYERS, list(kernels.values())[: len(LAYERS)], strict=False):
        out[f"{layer}.weight"] = torch.from_numpy(_keras_kernel(layer, kernel)).float().contiguous()
        out[f"{layer}.bias"] = torch.from_numpy(np.asarray(bias)).float()
    out["conv1_1.weight"] = out["conv1_1.weight"].flip(1)
    return {name: tensor for name, tensor in out.items() if not name.startswith("fc8")}


def _keras_kernel(layer: str, kernel: np.ndarray) -> np.ndarray:
    if layer in CONVS:
        return kernel.transpose(3, 2, 0, 1)
    if layer == "fc6" and kernel.ndim == 2:
        channels = BLOCKS[-1][-1]
        side = round((kernel.shape[0] / channels) ** 0.5)
        kernel = kernel.reshape(side, side, channels, -1)
    if kernel.ndim == 4:
        # Height, width, channels, out -> out, channels, height, width: the order in which our features are flattened.
        return np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)).reshape(kernel.shape[3], -1)
    return kernel.T
