"""Torch aliases with shape, range and order, said once."""

from jaxtyping import Float, Int
from torch import Tensor

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
