"""The warm start of the region VAE's linear path: PCA as a whitening encoder and decoders that undo it."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

START_LOGVAR = -4.0


@torch.no_grad()
def start_certain(head: nn.Module) -> None:
    """Start log variances at START_LOGVAR, and what the convolutions add to the means small."""
    assert isinstance(head, nn.Linear)
    half = head.out_features // 2
    head.weight[half:].zero_()
    head.bias[half:].fill_(START_LOGVAR)
    head.weight[:half].mul_(0.3)


class Components(NamedTuple):
    """A PCA: mean [d], orthonormal components [k, d], deviations [k] of the scores."""

    mean: Tensor
    components: Tensor
    deviations: Tensor


@torch.no_grad()
def set_linear_path(encoder: nn.Module, decoders: Sequence[nn.Module], pca: Components) -> None:
    """Make an encoder whiten and decoders undo it; what the components leave over is zero."""
    k = len(pca.components)
    assert isinstance(encoder, nn.Linear)
    encoder.weight.zero_()
    encoder.weight[:k] = pca.components / pca.deviations[:, None]
    encoder.bias.copy_(-(encoder.weight @ pca.mean))
    for decoder in decoders:
        assert isinstance(decoder, nn.Linear)
        decoder.weight.zero_()
        decoder.weight[:, :k] = (pca.components * pca.deviations[:, None]).T
        decoder.bias.copy_(pca.mean)
