"""Half precision where it pays."""

import logging
from functools import cache

import torch

log = logging.getLogger(__name__)


def in_bfloat16(device_type: str, wanted: bool = True) -> torch.autocast:
    """Return the context that runs networks in bfloat16 if that is wanted and the device is fast at it, else in float32."""
    return torch.autocast(device_type, torch.bfloat16, enabled=wanted and is_fast(device_type))


@cache
def is_fast(device_type: str) -> bool:
    """Tell whether a device is faster in bfloat16: GPUs and CPUs with AVX-512 are; other CPUs take thirty times as long as in float32."""
    if device_type != "cpu":
        return True
    if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return True
    log.info("this CPU is slow in bfloat16: networks run in float32")
    return False
