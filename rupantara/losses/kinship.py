"""Identity consistency of a child with both parents (`002_…`, 3.5, first loss)."""

import torch.nn.functional as F
from torch import Tensor


def kinship_distance(child: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Return 1 - (cos(child, first) + cos(child, second)) / 2 of identity vectors [batch, dim], 0 to 2: [batch]."""
    towards = F.cosine_similarity(child, first, dim=1) + F.cosine_similarity(child, second, dim=1)
    return 1 - towards / 2
