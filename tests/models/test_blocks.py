"""Blocks shared by encoders and decoders, against what they stand for."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.models.blocks import Upsample


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31), height=st.integers(1, 6), width=st.integers(1, 6))
def test_upsampling_is_nearest_neighbour_and_a_convolution(seed, height, width):
    torch.manual_seed(seed)
    block = Upsample(3, 5).double()
    x = torch.randn(2, 3, height, width, dtype=torch.double, requires_grad=True)
    doubled = F.interpolate(x, scale_factor=2.0, mode="nearest")
    expected, found = block.conv(doubled), block(x)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    inputs = [x, *block.parameters()]
    torch.testing.assert_close(
        torch.autograd.grad((found * weight).sum(), inputs), torch.autograd.grad((expected * weight).sum(), inputs)
    )


def test_upsampling_keeps_to_autocast_s_type():
    block = Upsample(4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        assert block(torch.randn(1, 4, 3, 3)).dtype == torch.bfloat16
