"""Deep features of each region's own crop: what likeness between species is measured on (`region_features`, 5 x dim).

A region's box, squared and a little widened, is cut out of the aligned face, shown to a frozen network of ImageNet features, and the
greatest activations of one depth over the crop are kept. The right ear is mirrored, and `ears` is the mean of both. Which depth, size
and context name the species of unseen animals best is measured by `benchmarks.region_features`.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from rupantara import schema
from rupantara.faces.arrays import to_images
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.landmarks.region_crop import region_crop
from rupantara.landmarks.regions import PART_REGION, PARTS, REGIONS
from rupantara.models import pretrained
from rupantara.models.squeezenet import SqueezeNet
from rupantara.models.tapped import TappedConvolutions
from rupantara.precision import in_bfloat16
from rupantara.storage import weights
from rupantara.types import Picture

NAME = "region_features"
NETWORKS = {NAME: "squeezenet", f"{NAME}_vgg16": "vgg16"}
"""Extractor -> network; the column is `region_features` whatever the network, whose hash stands beside it."""


@dataclass(frozen=True)
class Tap:
    """Where a network is tapped: place in its `features`, channels there, side of a crop in px, and how much wider than its box it is."""

    tap: int
    dim: int
    side: int
    context: float


RECIPES = {"squeezenet": Tap(3, 384, 64, 1.0), "vgg16": Tap(3, 512, 64, 1.0)}
"""SqueezeNet's fire6, VGG16's relu4_3."""

RIGHT_EAR = PARTS.index("right_ear")


def part_crops(picture: Picture, boxes: np.ndarray, recipe: Tap) -> np.ndarray:
    """Return the crops of the six parts uint8 [6, side, side, 3], the right ear mirrored."""
    crops = [region_crop(picture, box, recipe.context, recipe.side) for box in boxes]
    crops[RIGHT_EAR] = crops[RIGHT_EAR][:, ::-1]
    return np.stack(crops)


def by_region(parts: Tensor) -> Tensor:
    """Average the features of parts [n, 6, dim] to those of regions [n, 5, dim]."""
    out = torch.zeros(len(parts), len(REGIONS), parts.shape[2], dtype=parts.dtype, device=parts.device)
    for part, region in enumerate(PART_REGION):
        out[:, region] += parts[:, part] / PART_REGION.count(region)
    return out


class RegionFeatures:
    """`region_features`: features of the five regions, as the network gives them, not of unit length."""

    domains: tuple[str, ...] = ("human", "animal")

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Load the network from the weights folder, or the shipped one."""
        network = NETWORKS[spec.name]
        self._recipe, self._spec, self._device = RECIPES[network], spec, source.device
        self._model: SqueezeNet | TappedConvolutions = pretrained.load_features(source.weights, network).to(
            source.device
        )
        dtype, digest = pa.float16() if spec.store == "float16" else None, model_sha256(spec, source)
        self.columns = [schema.vector_field(NAME, len(REGIONS), self._recipe.dim, model_sha256=digest, dtype=dtype)]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Show every part of each face."""
        pairs = zip(faces.pictures, faces.boxes, strict=True)
        crops = np.concatenate([part_crops(picture, boxes, self._recipe) for picture, boxes in pairs])
        images = to_images(crops).to(self._device, memory_format=torch.channels_last)
        kind = torch.device(self._device).type
        with in_bfloat16(kind, self._spec.precision == "bf16"):
            found = self._model.features(images)[self._recipe.tap]
        pooled = found.float().amax((2, 3)).view(len(faces.pictures), len(PARTS), -1)
        return [by_region(pooled).cpu().numpy()]


def model_sha256(spec: Spec, source: ExtractorNetworks) -> str:
    """Return the hash of the network's file and what is done with it."""
    network = NETWORKS[spec.name]
    recipe = RECIPES[network]
    return f"{weights.sha256(source.weights, network)[:40]}-{recipe.tap}-{recipe.side}-{recipe.context:g}"
