"""Mean squared error of a reconstruction."""

from torch import Tensor

from rupantara.tensors import Images


def squared_error(images: Images, targets: Images) -> Tensor:
    """Return the mean squared error of each image on the scale [-1, 1]: [batch]."""
    return ((images.float() - targets) ** 2).flatten(1).mean(1)
