"""Identity loss: one less the cosine of ArcFace embeddings (`000_…`, III.B; `002_…`, eq. 7)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.landmarks.crop import KeypointRows, arcface_crop
from rupantara.tensors import Images

Embed = Callable[[Tensor], Tensor]
"""Faces [batch, 3, 112, 112] in 0..255, aligned as ArcFace's, to vectors [batch, dim]."""


def identity_distance(embed: Embed, outputs: Images, targets: Images, keypoints: KeypointRows) -> Tensor:
    """Return 1 - cosine of the identity vectors of each pair, 0 to 2: [batch]; keypoints are in pixels of the pictures."""
    with torch.no_grad():
        wanted = embed(arcface_crop(targets, keypoints))
    return 1 - F.cosine_similarity(embed(arcface_crop(outputs, keypoints)).float(), wanted.float(), dim=1)
