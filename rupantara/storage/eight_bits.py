"""Tensors in eight bits: whole steps from a least value, as TensorFlow.js publishes them; four times smaller than float32.

Only a tensor that came in eight bits (over 256 numbers, at most 256 different) is stored so, and nothing is lost; others keep their type.
"""

from collections.abc import Mapping

import numpy as np

RANGE = ".range"
"""Ending of the name under which a tensor's least value and step lie."""
LEVELS = 256


def pack(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Store each tensor that came in eight bits as uint8, its least value and step as float32 [2] beside it."""
    out: dict[str, np.ndarray] = {}
    for name, values in tensors.items():
        distinct = np.unique(values.astype(np.float64))
        if len(distinct) > LEVELS or values.size <= LEVELS:
            out[name] = values
            continue
        low, step = float(distinct[0]), step_of(distinct)
        out[name] = np.round((values.astype(np.float64) - low) / step).astype(np.uint8)
        out[name + RANGE] = np.array([low, step], np.float32)
    return out


def unpack(stored: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Read tensors as float32."""
    out = {}
    for name, values in stored.items():
        if not name.endswith(RANGE):
            low, step = stored.get(name + RANGE, (np.float32(0), np.float32(1)))
            out[name] = values.astype(np.float32) * step + low
    return out


def step_of(distinct: np.ndarray) -> float:
    """Return the step of which all distances between values are whole numbers, the range being at most 255 steps."""
    above = distinct - distinct[0]
    if above[-1] == 0:
        return 1.0
    steps = above[-1] / np.arange(LEVELS - 1, 0, -1)
    places = above[None] / steps[:, None]
    return float(steps[(np.abs(places - np.round(places)) * steps[:, None]).mean(1).argmin()])
