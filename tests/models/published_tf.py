"""Reads face-api's tensors as TensorFlow would, in numpy: an independent reference for the ports."""

from collections.abc import Mapping

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

Tensors = Mapping[str, np.ndarray]


def relu(x):
    return np.maximum(x, 0)


def same(x, size, stride, value=0.0):
    """Pad [h, w, c] as TensorFlow's "same": of an odd number of rows one more goes to the end."""
    pads = []
    for side in x.shape[:2]:
        whole = max((int(np.ceil(side / stride)) - 1) * stride + size - side, 0)
        pads.append((whole // 2, whole - whole // 2))
    return np.pad(x, (*pads, (0, 0)), constant_values=value)


def windows(x, size, stride):
    """[h, w, c] -> [rows, columns, c, size, size]."""
    return sliding_window_view(x, (size, size), axis=(0, 1))[::stride, ::stride]


def conv(x, t: Tensors, name, stride=1, *, padded=True, bias=True):
    filters = t[f"{name}/filters"]
    x = same(x, filters.shape[0], stride) if padded else x
    out = np.einsum("xycij,ijco->xyo", windows(x, filters.shape[0], stride), filters, optimize=True)
    return out + (t[f"{name}/bias"] if bias else 0)


def separable(x, t: Tensors, name, stride=1):
    seen = windows(same(x, 3, stride), 3, stride)
    each = np.einsum("xycij,ijc->xyc", seen, t[f"{name}/depthwise_filter"][..., 0])
    return each @ t[f"{name}/pointwise_filter"][0, 0] + t[f"{name}/bias"]


def sum_block(x, t: Tensors, name, *, first):
    a = relu((conv if first else separable)(x, t, f"{name}/conv0", 2))
    b = separable(a, t, f"{name}/conv1")
    c = separable(relu(a + b), t, f"{name}/conv2")
    d = separable(relu(a + b + c), t, f"{name}/conv3")
    return relu(a + b + c + d)


def shifted(picture):
    return (picture - np.array([122.782, 117.001, 104.298])) / 255


def dense_face(picture, t: Tensors):
    x = shifted(picture)
    for i in range(4):
        x = sum_block(x, t, f"dense{i}", first=i == 0)
    return x.mean((0, 1)) @ t["fc/weights"] + t["fc/bias"]


def reduction(x, t: Tensors, name, *, activate=True):
    y = separable(relu(x) if activate else x, t, f"{name}/separable_conv0")
    y = separable(relu(y), t, f"{name}/separable_conv1")
    pooled = windows(same(y, 3, 2, -np.inf), 3, 2).max((3, 4))
    return pooled + conv(x, t, f"{name}/expansion_conv", 2)


def age_sex(picture, t: Tensors):
    x = relu(conv(shifted(picture), t, "entry_flow/conv_in", 2))
    x = reduction(x, t, "entry_flow/reduction_block_0", activate=False)
    x = reduction(x, t, "entry_flow/reduction_block_1")
    for i in range(2):
        y = x
        for j in range(3):
            y = separable(relu(y), t, f"middle_flow/main_block_{i}/separable_conv{j}")
        x = x + y
    x = reduction(x, t, "exit_flow/reduction_block")
    x = relu(separable(x, t, "exit_flow/separable_conv")).mean((0, 1))
    return x @ t["fc/age/weights"] + t["fc/age/bias"], x @ t["fc/gender/weights"] + t["fc/gender/bias"]


def layer(x, t: Tensors, name, stride=1, *, padded=True):
    return conv(x, t, f"{name}/conv", stride, padded=padded) * t[f"{name}/scale/weights"] + t[f"{name}/scale/biases"]


def residual(x, t: Tensors, name):
    down = "down" in name
    y = relu(layer(x, t, f"{name}/conv1", 2 if down else 1, padded=not down))
    y = layer(y, t, f"{name}/conv2")
    if down:
        half = windows(x, 2, 2).mean((3, 4))
        grown = np.zeros((max(half.shape[0], y.shape[0]), max(half.shape[1], y.shape[1]), y.shape[2]))
        beside = grown.copy()
        beside[: half.shape[0], : half.shape[1], : half.shape[2]] = half
        grown[: y.shape[0], : y.shape[1]] = y
        x, y = beside, grown
    return relu(x + y)


def dlib_identity(picture, t: Tensors, blocks):
    x = relu(layer(shifted(picture), t, "conv32_down", 2, padded=False))
    x = windows(x, 3, 2).max((3, 4))
    for name in blocks:
        x = residual(x, t, name)
    return x.mean((0, 1)) @ t["fc"]
