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


@pytest.mark.parametrize(
    ("built", "has_kernels", "fast"), [(True, True, True), (True, False, False), (False, True, False)]
)
def test_a_cpu_is_fast_where_torch_has_kernels_for_it(
    built: bool, has_kernels: bool, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: built)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: has_kernels, raising=False)
    assert precision.is_fast.__wrapped__("cpu") is fast
    assert precision.is_fast.__wrapped__("cuda")
