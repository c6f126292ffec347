"""The person that a generator starts from: an aligned crop, or its codes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.imaging import codec
from rupantara.landmarks import mean_face
from rupantara.landmarks.regions import part_boxes
from rupantara.models.region_vae import HUMAN
from rupantara.tensors import device_of, to_images
from rupantara.types import Boxes, Landmarks, Picture

T = TypeVar("T")
BATCH = 32
"""Pictures that a network encodes or decodes at a time."""


@dataclass(frozen=True)
class FaceCrop:
    """An aligned crop as `landmarks.align` cuts it: square RGB of any side, the boxes of its region parts, its landmarks if known."""

    face_id: str
    picture: Picture
    boxes: Boxes
    landmarks: Landmarks | None = None

    @staticmethod
    def of(face_id: str, picture: Picture, landmarks: Landmarks | None = None) -> "FaceCrop":
        """Find the boxes by 68 landmarks in pixels of the crop; without them they are the canonical ones."""
        return FaceCrop(face_id, picture, part_boxes(landmarks, HUMAN, picture.shape[0]), landmarks)

    @property
    def shape(self) -> Landmarks | None:
        """Return the landmarks as fractions of the crop, (px + 0.5) / side."""
        return None if self.landmarks is None else (self.landmarks + 0.5) / self.picture.shape[0]


@dataclass(frozen=True)
class FaceCodes:
    """A face as codes of a region VAE: global [global_dim], regions [5, region_dim], boxes [6, 4]; `sampled` if it is nobody's.

    `shape` are its 68 landmarks as fractions of the crop, (px + 0.5) / side, if they are known.
    """

    face_id: str
    global_mu: np.ndarray
    regions_mu: np.ndarray
    boxes: Boxes
    sampled: bool = False
    shape: Landmarks | None = None

    def landmarks(self, size: int) -> Landmarks | None:
        """Return the landmarks in px of a crop of side `size`."""
        return None if self.shape is None else self.shape * size - 0.5


def encode(loaded: LoadedRegionVAE, crops: Sequence[FaceCrop]) -> list[FaceCodes]:
    """Encode crops to the means of their codes, BATCH at a time."""
    size, device, out = loaded.model.config.size, device_of(loaded.model), []
    for part in batches(crops):
        boxes = torch.from_numpy(np.stack([crop.boxes for crop in part])).to(device)
        images = to_images(np.stack([codec.resize(crop.picture, size) for crop in part])).to(device)
        with torch.inference_mode():
            codes = loaded.model.encode(images, boxes, torch.zeros(len(part), dtype=torch.long, device=device))
        means = zip(codes.global_mu.cpu().numpy(), codes.regions_mu.cpu().numpy(), strict=True)
        out += [
            FaceCodes(crop.face_id, *mu, crop.boxes, shape=crop.shape) for crop, mu in zip(part, means, strict=True)
        ]
    return out


def sample_people(loaded: LoadedRegionVAE, numbers: Sequence[int], seed: int, truncation: float) -> list[FaceCodes]:
    """Draw people from the checkpoint's prior: number i depends on the seed and i alone; UserError where there is no prior.

    `truncation` says how far they go from the mean face: 1 = as far as people do.
    """
    prior, config = loaded.prior, loaded.model.config
    if prior is None:
        raise UserError("sampling people needs a checkpoint with a prior, as jobs.pack makes; this one has none")
    out = []
    for i in numbers:
        global_mu, regions_mu = prior.sample(1, (seed, i), config.global_dim, truncation)
        name = f"sample-{seed}-{i}"
        codes = global_mu[0].numpy(), regions_mu[0].numpy()
        out.append(FaceCodes(name, *codes, prior.boxes, sampled=True, shape=mean_face.FRACTIONS))
    return out


def batches(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    """Yield the rows BATCH at a time."""
    yield from (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
