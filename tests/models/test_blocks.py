"""Blocks shared by encoders and decoders, against what they stand for."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.models.blocks import PixelShuffle, PixelUnshuffle, SelfAttention, Upsample


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


def test_upsampling_channels_last_is_the_same_and_stays_so():
    torch.manual_seed(0)
    block, x = Upsample(3, 5).double(), torch.randn(2, 3, 4, 6, dtype=torch.double)
    weight = torch.randn(2, 5, 8, 12, dtype=torch.double)
    results = []
    for layout in (torch.contiguous_format, torch.channels_last):
        block, x = block.to(memory_format=layout), x.contiguous(memory_format=layout).requires_grad_()
        found = block(x)
        assert found.is_contiguous(memory_format=layout)
        results.append([found, *torch.autograd.grad((found * weight).sum(), [x, *block.parameters()])])
    torch.testing.assert_close(*results)


@given(seed=st.integers(0, 2**31), factor=st.integers(1, 4), half=st.booleans())
@settings(max_examples=20, deadline=None)
def test_shuffles_are_torchs(seed, factor, half):
    torch.manual_seed(seed)
    dtype = torch.bfloat16 if half else torch.float32
    x = torch.randn(2, 3 * factor**2, 4, 5).to(dtype)
    found = PixelShuffle(factor)(x)
    assert found.dtype == torch.float32 and found.is_contiguous()
    torch.testing.assert_close(found, F.pixel_shuffle(x.float(), factor), rtol=0, atol=0)
    for layout in (torch.contiguous_format, torch.channels_last):
        back = PixelUnshuffle(factor)(found.to(dtype).contiguous(memory_format=layout))
        torch.testing.assert_close(back, F.pixel_unshuffle(found.to(dtype), factor), rtol=0, atol=0)


def test_attention_is_scaled_dot_product_attention():
    torch.manual_seed(0)
    block, x = SelfAttention(16).double(), torch.randn(2, 16, 4, 4, dtype=torch.double)
    torch.nn.init.normal_(block.out.weight)
    q, k, v = block.qkv(block.norm(x)).flatten(2).transpose(1, 2).chunk(3, dim=-1)
    seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(x.shape)
    torch.testing.assert_close(block(x), x + block.out(seen))
