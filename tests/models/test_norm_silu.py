"""GroupNorm and SiLU on channels-last maps in 16 bits, against torch's own in double precision."""

import pytest
import torch
import torch.nn.functional as F

from rupantara.models import norm_silu
from rupantara.models.norm_silu import NormSiLU


@pytest.mark.parametrize("mean", [0.0, 3.0, 10.0])
@pytest.mark.parametrize("shape", [(3, 24, 9, 7), (1, 48, 16, 16), (2, 48, 32, 32), (2, 64, 36, 30)])
def test_the_channels_last_way_is_about_as_exact_as_torchs(
    shape: tuple[int, ...], mean: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(norm_silu, "LARGE_ELEMENTS", 0)
    torch.manual_seed(0)
    block = NormSiLU(shape[1])
    with torch.no_grad():
        block.weight.uniform_(0.5, 2)
        block.bias.uniform_(-1, 1)
    x = (torch.randn(shape) + mean).bfloat16().to(memory_format=torch.channels_last).requires_grad_()
    upper = torch.randn(shape).bfloat16()
    exact = [part.detach().double().requires_grad_() for part in (x, block.weight, block.bias)]
    results = []
    for inputs in ([x, block.weight, block.bias], exact):
        out = F.silu(F.group_norm(inputs[0], 8, inputs[1], inputs[2]))
        results.append([out, *torch.autograd.grad(out, inputs, upper.to(out.dtype))])
    found = block(x)
    assert found.dtype == torch.bfloat16
    assert found.is_contiguous(memory_format=torch.channels_last)
    assert type(found.grad_fn).__name__.startswith("_NormSiLU")
    ours = [found, *torch.autograd.grad(found, [x, block.weight, block.bias], upper)]
    for one, torchs, right in zip(ours, *results, strict=True):
        assert (one.double() - right).norm() < 2.5 * (torchs.double() - right).norm() + 1e-3 * right.norm()


def test_other_maps_take_torchs_way() -> None:
    block = NormSiLU(8)
    for x in (torch.randn(1, 8, 4, 4), torch.randn(1, 8, 4, 4).bfloat16().to(memory_format=torch.channels_last)):
        with torch.autocast("cpu", torch.bfloat16):
            torch.testing.assert_close(block(x), F.silu(F.group_norm(x, 8, block.weight, block.bias)), rtol=0, atol=0)
