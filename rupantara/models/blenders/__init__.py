"""Two parents' tokens to a child's: four blenders (`002_…`, 3.3), a refiner (3.4), and the network of both."""

from rupantara.models.blenders.child_net import KINDS, ChildNet, ChildNetConfig

__all__ = ["KINDS", "ChildNet", "ChildNetConfig"]
