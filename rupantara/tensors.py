"""Torch aliases with shape, range and order, said once, and pictures to tensors and back."""

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

Images = Float[Tensor, "batch 3 height width"]
"""RGB float, [-1, 1]."""

Crops = Float[Tensor, "batch 5 3 side side"]
"""The five region crops of each image, RGB float, [-1, 1]; `ears` holds both ears side by side."""

PartBoxes = Float[Tensor, "batch 6 4"]
"""x0 y0 x1 y1 as fractions of the image, parts in the order of `landmarks.regions.PARTS`."""

GlobalCodes = Float[Tensor, "batch global_dim"]
RegionCodes = Float[Tensor, "batch 5 region_dim"]
SpeciesIndex = Int[Tensor, "batch"]
"""0 for humans, else 1 + the index into `RegionVAEConfig.species`."""

PointSets = Float[Tensor, "batch points 2"]
"""x y px, origin at the centre of the top left pixel."""

Flows = Float[Tensor, "batch 2 height width"]
"""x then y px: where in another picture each pixel is read."""

Tokens = Float[Tensor, "batch tokens dim"]
"""Latent codes of a codec, one row a face; standardized: of many people each number has mean 0 and deviation 1."""

Pictures = UInt8[np.ndarray, "batch height width 3"]
"""RGB, 0..255 (`rupantara.types`)."""


def to_images(pictures: Pictures) -> Images:
    """Turn uint8 RGB [n, h, w, 3] into `Images` [n, 3, h, w] in [-1, 1], in one pass into a contiguous buffer."""
    out = torch.empty((len(pictures), 3, *pictures.shape[1:3]))
    out.copy_(torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2))
    return out.mul_(1 / 127.5).sub_(1)


def to_pictures(images: Images) -> Pictures:
    """Turn `Images` into uint8 RGB [n, h, w, 3], values outside [-1, 1] clipped."""
    levels = images.float().clamp(-1, 1).add(1).mul(127.5).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def device_of(model: nn.Module) -> torch.device:
    """Return where a network's weights lie."""
    return next(model.parameters()).device
