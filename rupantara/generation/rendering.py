"""Codes to pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rupantara.generation.face import FaceCodes, batches
from rupantara.models.placement import hybrid_boxes
from rupantara.models.region_vae import RegionVAE
from rupantara.tensors import GlobalCodes, Images, PartBoxes, RegionCodes, device_of, to_pictures
from rupantara.types import Picture


def decode(
    model: RegionVAE, global_mu: GlobalCodes, regions: RegionCodes, boxes: PartBoxes, amounts: Tensor | None = None
) -> Images:
    """Decode codes as humans; a region mixed by an amount [n, 5] lies by as much where an animal's belongs."""
    device = device_of(model)
    places = (boxes if amounts is None else hybrid_boxes(boxes, amounts.to(boxes))).to(device)
    humans = torch.zeros(len(boxes), dtype=torch.long, device=device)
    with torch.inference_mode():
        return model.decode(global_mu.to(device), regions.to(device), places, humans)


@dataclass(frozen=True)
class MixedCodes:
    """A face with other region codes [5, dim], mixed by amounts [5]; all 0: the face itself."""

    face: FaceCodes
    regions: Tensor
    amounts: Tensor


def render(model: RegionVAE, faces: Sequence[MixedCodes]) -> Iterator[Picture]:
    """Decode each face, BATCH at a time."""
    for part in batches(faces):
        global_mu = torch.from_numpy(np.stack([one.face.global_mu for one in part]))
        boxes = torch.from_numpy(np.stack([one.face.boxes for one in part]))
        regions, amounts = torch.stack([one.regions for one in part]), torch.stack([one.amounts for one in part])
        yield from to_pictures(decode(model, global_mu, regions, boxes, amounts))
