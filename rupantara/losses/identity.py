"""Identity loss: 1 minus the cosine similarity of ArcFace embeddings (`000_…`, III.B; `002_…`, eq. 7)."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.landmarks.crop import KeypointRows, arcface_crop
from rupantara.tensors import Images

Embed = Callable[[Tensor], Tensor]
"""Maps faces [batch, 3, 112, 112] in 0..255, aligned as ArcFace aligns them, to identity vectors [batch, dim]."""


def identity_distance(embed: Embed, outputs: Images, targets: Images, keypoints: KeypointRows) -> Tensor:
    """Return 1 minus the cosine similarity of each pair's identity vectors, from 0 to 2: [batch]. Keypoints are in pixels."""
    with torch.no_grad():
        wanted = embed(arcface_crop(targets, keypoints))
    return 1 - F.cosine_similarity(embed(arcface_crop(outputs, keypoints)).float(), wanted.float(), dim=1)
