"""An interpreter of ncnn's layer lists that knows ncnn's layers only: what published networks are tested against."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def interpret(param: str, arrays: dict[str, np.ndarray], data: Tensor) -> dict[str, Tensor]:
    """Run a layer list: `type name inputs outputs input… output… key=value…`; return every blob, the last layer's last."""
    weights = {name: torch.from_numpy(np.asarray(array, np.float32)) for name, array in arrays.items()}
    blobs: dict[str, Tensor] = {}
    for line in param.splitlines()[2:]:
        kind, name, num_in, num_out, *rest = line.split()
        inputs = [blobs[blob] for blob in rest[: int(num_in)]]
        outputs = rest[int(num_in) : int(num_in) + int(num_out)]
        said = (option.split("=") for option in rest[int(num_in) + int(num_out) :])
        options = {int(key): float(value) for key, value in said}
        out = data if kind == "Input" else _layer(kind, name, inputs, options, weights)
        blobs |= dict.fromkeys(outputs, out)
    return blobs


def last(blobs: dict[str, Tensor]) -> Tensor:
    return list(blobs.values())[-1]


def _layer(kind: str, name: str, inputs: list[Tensor], options: dict[int, float], weights: dict[str, Tensor]) -> Tensor:
    x = inputs[0]
    if kind == "BinaryOp":
        other = options[2] if options.get(1) else inputs[1]
        return (x + other, x - other, x * other)[int(options[0])]
    if kind in ("Convolution", "ConvolutionDepthWise"):
        stride, padding, groups = (int(options.get(key, default)) for key, default in ((3, 1), (4, 0), (7, 1)))
        bias = weights[f"{name}.bias"] if options[5] else None
        return F.conv2d(x, weights[f"{name}.weight"], bias, stride, padding, 1, groups)
    if kind == "BatchNorm":
        parts = ("slope", "mean", "var", "bias")
        slope, mean, var, bias = (weights[f"{name}.{part}"].view(1, -1, *[1] * (x.ndim - 2)) for part in parts)
        return slope * (x - mean) / var.sqrt() + bias
    if kind == "PReLU":
        return torch.where(x > 0, x, weights[f"{name}.slope"].view(1, -1, 1, 1) * x)
    if kind == "ReLU":
        assert options.get(0, 0) == 0, "no slope"
        return torch.where(x > 0, x, torch.zeros_like(x))
    if kind == "InnerProduct":
        return x.flatten(1) @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    if kind == "Pooling":
        return _pooling(x, options)
    if kind == "Concat":
        return torch.cat(inputs, dim=1 + int(options[0]))
    if kind == "Softmax":
        raised = torch.exp(x - x.amax(1 + int(options[0]), keepdim=True))
        return raised / raised.sum(1 + int(options[0]), keepdim=True)
    assert kind in ("Split", "Dropout"), kind
    return x


def _pooling(x: Tensor, options: dict[int, float]) -> Tensor:
    """Pool as ncnn does by default: windows that hang over the end are padded, so that every pixel is in one."""
    average = options[0] == 1
    if options.get(4):
        return x.mean((2, 3)) if average else x.amax((2, 3))
    assert not average and not options.get(3) and not options.get(5), "maximum, no padding, full windows"
    side, stride = int(options[1]), int(options[2])
    over = [-(-(n - side) // stride) * stride + side - n for n in x.shape[2:]]
    padded = F.pad(x, (0, over[1], 0, over[0]), value=float("-inf"))
    return padded.unfold(2, side, stride).unfold(3, side, stride).amax((4, 5))
