"""Holm's correction (1979): p-values that hold together, whatever hangs together."""

import numpy as np


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return corrected p-values of any shape; each at most 1 and in the order of the single ones."""
    flat = p_values.ravel()
    order = np.argsort(flat, kind="stable")
    ranked = np.minimum(1.0, np.maximum.accumulate(flat[order] * np.arange(len(flat), 0, -1)))
    out = np.empty(len(flat))
    out[order] = ranked
    return out.reshape(p_values.shape)
