"""Half precision: only where it is wanted, and only where it is fast."""

import pytest
import torch

from rupantara import precision


def of_a_product(wanted: bool) -> torch.dtype:
    one = torch.ones(2, 2)
    with precision.in_bfloat16("cpu", wanted):
        return (one @ one).dtype


@pytest.mark.parametrize("fast", [True, False])
def test_networks_run_in_bfloat16_where_it_is_wanted_and_fast(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "is_fast", lambda device_type: fast)
    assert of_a_product(True) is (torch.bfloat16 if fast else torch.float32)
    assert of_a_product(False) is torch.float32


def test_a_gpu_is_fast_and_a_cpu_is_where_torch_has_kernels() -> None:
    assert precision.is_fast("cuda")
    assert precision.is_fast("cpu") == torch.ops.mkldnn._is_mkldnn_bf16_supported()
