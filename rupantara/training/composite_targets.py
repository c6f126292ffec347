"""Composites as the pictures that hybrids are taught: what the renderer `exemplar` makes of two faces of a batch.

A transplant, region by region, shows a bandage where the decoder should show a face. Where the points of both faces are known, the
composite (`landmarks.composite`) is one face, at any amount.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from rupantara.landmarks import donor, fitness
from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.donor import Donor
from rupantara.landmarks.layout import layout_of
from rupantara.landmarks.points import MIRRORED_LANDMARKS, keypoints_from
from rupantara.landmarks.regions import REGIONS
from rupantara.tensors import Images, to_images, to_pictures

ALL_REGIONS_CHANCE = 0.6
"""Chance that a composite has all regions; else each with the chance of transplants."""

WHOLE_CHANCE = 0.5
"""Chance that its amount is 1; else it is drawn from LEAST_AMOUNT to 1."""

LEAST_AMOUNT, LEAST_FIT, MOST_YAW_APART = 0.2, 0.3, 30.0
"""Animals that are less fit, or that look another way than the person by more degrees, teach nothing."""


class Composites(NamedTuple):
    """Pictures of some rows of a batch, who lent them their regions, and by how much [n, 5]."""

    rows: Tensor
    donors: Tensor
    amounts: Tensor
    images: Images


class Points(NamedTuple):
    """Points of each face of a batch in px, NaN where they are not known: 68 of people [n, 68, 2], six of animals [n, 6, 2]."""

    landmarks: Tensor
    animal: Tensor

    def mirrored(self, flip: Tensor, size: int) -> "Points":
        """Mirror the faces where `flip` [n] says so."""

        def turned(points: Tensor, order: Sequence[int]) -> Tensor:
            moved = points[:, list(order)] * points.new_tensor([-1.0, 1.0]) + points.new_tensor([size - 1.0, 0.0])
            return torch.where(flip[:, None, None], moved, points)

        return Points(turned(self.landmarks, MIRRORED_LANDMARKS), turned(self.animal, donor.MIRRORED))

    def take(self, rows: Tensor) -> "Points":
        """Return some rows."""
        return Points(self.landmarks[rows], self.animal[rows])

    def join(self, other: "Points") -> "Points":
        """Return the rows of both."""
        return Points(*(torch.cat(pair) for pair in zip(self, other, strict=True)))


def draw_amounts(count: int, region_chance: float, device: torch.device) -> Tensor:
    """Draw the amounts of `count` hybrids: [count, 5] in 0..1, each of at least one region."""
    every = torch.rand(count, 1, device=device) < ALL_REGIONS_CHANCE
    chosen = every | (torch.rand(count, len(REGIONS), device=device) < region_chance)
    chosen |= torch.eye(len(REGIONS), dtype=torch.bool, device=device)[
        torch.randint(len(REGIONS), (count,), device=device)
    ] & ~chosen.any(1, keepdim=True)
    whole = torch.rand(count, 1, device=device) < WHOLE_CHANCE
    amount = LEAST_AMOUNT + (1 - LEAST_AMOUNT) * torch.rand(count, 1, device=device)
    return chosen * torch.where(whole, 1.0, amount)


def make(images: Images, points: Points, num_people: int, wanted: Tensor, region_chance: float) -> Composites:
    """Make composites of the people (who come first) that `wanted` [num_people] names, each with an animal of the batch that fits.

    People whose 68 points are not known or span no face are left out, and so are those whom no animal fits.
    """
    device = images.device
    if not wanted.any():
        nobody = torch.zeros(0, dtype=torch.long, device=device)
        return Composites(nobody, nobody, torch.zeros(0, len(REGIONS), device=device), images[:0])
    landmarks, six = points.landmarks.cpu().numpy(), points.animal.cpu().numpy()
    yaws = {
        i: fitness.yaw_of(keypoints_from(landmarks[i])) for i in _known(landmarks[:num_people]) if _spans(landmarks[i])
    }
    lenders = _lenders(images, six, num_people)
    pairs: list[tuple[int, int]] = []
    for row in torch.nonzero(wanted)[:, 0].tolist():
        near = [j for j, yaw in lenders.items() if row in yaws and abs(yaw - yaws[row]) <= MOST_YAW_APART]
        if near:
            pairs.append((row, near[int(torch.randint(len(near), ()))]))
    rows, donors = (torch.tensor([pair[k] for pair in pairs], dtype=torch.long, device=device) for k in (0, 1))
    amounts = draw_amounts(len(pairs), region_chance, device)
    if not pairs:
        return Composites(rows, donors, amounts, images[:0])
    people = list(to_pictures(images[rows].float()))
    lent = sorted(set(donors.tolist()))
    # NumPy and OpenCV let go of the interpreter: one thread would leave the others of the training idle for half of a step.
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        prepared = dict(zip(lent, pool.map(lambda j: _prepared(images, six, j), lent), strict=True))
        parts = [
            [DonorShare(prepared[j], _by_region(row))] for (_, j), row in zip(pairs, amounts.tolist(), strict=True)
        ]
        shapes = [landmarks[i].astype(np.float64) for i, _ in pairs]
        made = list(pool.map(composite, people, shapes, parts))
    return Composites(rows, donors, amounts, to_images(np.stack(made)).to(images))


def _known(points: np.ndarray) -> list[int]:
    return [i for i, one in enumerate(points) if np.isfinite(one).all()]


def _spans(landmarks: np.ndarray) -> bool:
    """Tell whether 68 points span a face."""
    try:
        layout_of(landmarks.astype(np.float64))
    except ValueError:
        return False
    return True


def _lenders(images: Images, six: np.ndarray, first: int) -> dict[int, float]:
    """Return the yaw of each animal from row `first` on that is fit to lend its face."""
    rows = [first + i for i in _known(six[first:, :4])]
    pictures = to_pictures(images[rows].float()) if rows else ()
    fit = {
        i: fitness.fitness(picture, six[i].astype(np.float64), {}) for i, picture in zip(rows, pictures, strict=True)
    }
    return {i: fitness.yaw_of(six[i]) for i, score in fit.items() if score >= LEAST_FIT}


def _prepared(images: Images, six: np.ndarray, row: int) -> Donor:
    return donor.prepare(to_pictures(images[row : row + 1].float())[0], six[row].astype(np.float64))


def _by_region(amounts: Sequence[float]) -> dict[str, float]:
    return {region: amount for region, amount in zip(REGIONS, amounts, strict=True) if amount > 0}
