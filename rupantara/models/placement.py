"""Cut regions out of an image and put region maps back where they belong, differentiably.

A region is one box except `ears`, which is two: its crop holds the left ear in its left half and the right ear in its right
half. All grids are separable, so a cut is exact bilinear sampling and a box outside an image reads its border.
"""

from functools import cache

import numpy as np
import torch
from torch import Tensor

from rupantara.landmarks.regions import MIRRORED_PARTS, PART_REGION, PARTS
from rupantara.tensors import Crops, Images, PartBoxes

# Columns of the region's crop that each part fills, as fractions.
_SPAN = {"left_ear": (0.0, 0.5), "right_ear": (0.5, 1.0)}
SPANS = tuple(_SPAN.get(part, (0.0, 1.0)) for part in PARTS)
FEATHER, ROUNDNESS = 0.5, 3.0
"""How a placed region fades in: the share of the way from its box's edge to the middle, and the superellipse's exponent."""


def _centres(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, device=like.device, dtype=torch.float32) + 0.5) / count


def cut_regions(images: Images, boxes: PartBoxes, side: int) -> Crops:
    """Cut the five region crops [batch, 5, 3, side, side] out of images."""
    by_region: list[Tensor] = []
    for part, span in enumerate(SPANS):
        columns = round((span[1] - span[0]) * side)
        crop = _sample(images, boxes[:, part], _centres(columns, images), _centres(side, images))
        if PART_REGION[part] < len(by_region):
            by_region[-1] = torch.cat([by_region[-1], crop], dim=3)
        else:
            by_region.append(crop)
    return torch.stack(by_region, dim=1)


def _sample(images: Tensor, box: Tensor, u: Tensor, v: Tensor) -> Tensor:
    """Read images [b, c, h, w] at the fractions u (columns) x v (rows) of one box each."""
    x = box[:, None, 0] + (box[:, None, 2] - box[:, None, 0]) * u
    y = box[:, None, 1] + (box[:, None, 3] - box[:, None, 1]) * v
    return _read(images, x, y)


def _read(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read images at image fractions x [b, columns] and y [b, rows], bilinearly, border replicated.

    As two matrix products: several times faster than `grid_sample`, forward and backward, on grids that are separable.
    """
    with torch.autocast(images.device.type, enabled=False):
        rows, columns = _taps(y, images.shape[-2]), _taps(x, images.shape[-1])
        read = rows[:, None] @ images.float() @ columns[:, None].transpose(2, 3)
    return read.to(images.dtype)


def _taps(at: Tensor, length: int) -> Tensor:
    """Return the bilinear weights [b, n, length] of `length` pixels for n fractions of their extent."""
    place = (at * length - 0.5).clamp(0, length - 1)
    return (1 - (place[..., None] - torch.arange(length, device=at.device)).abs()).clamp(min=0)


def part_weights(boxes: PartBoxes, size: int) -> Tensor:
    """Return a soft mask for each box [..., 4]: [..., size, size], 1 in its middle, fading over FEATHER of the way from its edge.

    The level lines are superellipses: a rectangle's corners would show on a face.
    """
    at = _centres(size, boxes)

    def off(low: Tensor, high: Tensor) -> Tensor:
        return (2 * (at - low[..., None]) / (high - low)[..., None] - 1).abs() ** ROUNDNESS

    across, down = off(boxes[..., 0], boxes[..., 2]), off(boxes[..., 1], boxes[..., 3])
    radius = (down[..., :, None] + across[..., None, :]) ** (1 / ROUNDNESS)
    risen = ((1 - radius) / FEATHER).clamp(0, 1)
    return risen * risen * (3 - 2 * risen)


def place_parts(maps: Tensor, boxes: PartBoxes, size: int) -> Tensor:
    """Put region maps [batch, 5, c, s, s] at their boxes: [batch, 6, c, size, size], one layer a part, unmasked."""
    at = _centres(size, maps).expand(len(maps), size)
    layers = []
    for part, (start, stop) in enumerate(SPANS):
        box = boxes[:, part]
        u = ((at - box[:, None, 0]) / (box[:, None, 2] - box[:, None, 0])).clamp(0, 1) * (stop - start) + start
        v = ((at - box[:, None, 1]) / (box[:, None, 3] - box[:, None, 1])).clamp(0, 1)
        layers.append(_read(maps[:, PART_REGION[part]], u, v))
    return torch.stack(layers, dim=1)


def blend_parts(layers: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Average overlapping layers by their weights: ([batch, c, h, w] scaled by coverage, coverage [batch, 1, h, w])."""
    total = weights.sum(dim=1, keepdim=True)
    blended = (layers * weights[:, :, None]).sum(dim=1) / total.clamp(min=1.0)
    return blended, total.clamp(max=1.0)


HARMONY = 0.7
"""How far a region is drawn, at its edge, to what it is laid on; at 1 it is a seamless clone that lost its own colours."""

RIM = 12
"""Side of the grid that the correction is solved on."""


@cache
def _harmonic() -> tuple[np.ndarray, np.ndarray]:
    """Return the rim's places in a flattened RIM x RIM grid, and the matrix [RIM², rim] of Laplace's equation inside it."""
    grid = np.arange(RIM * RIM).reshape(RIM, RIM)
    is_rim = np.zeros((RIM, RIM), bool)
    is_rim[[0, -1]] = is_rim[:, [0, -1]] = True
    rim = grid[is_rim]
    system = np.eye(RIM * RIM)
    for y in range(1, RIM - 1):
        for x in range(1, RIM - 1):
            system[grid[y, x], [grid[y - 1, x], grid[y + 1, x], grid[y, x - 1], grid[y, x + 1]]] = -0.25
    return rim, np.linalg.inv(system)[:, rim].astype(np.float32)


def harmonize(layers: Tensor, boxes: PartBoxes, under: Images) -> Tensor:
    """Draw each layer HARMONY of the way to the picture under it at the edge of its box, and smoothly less different within.

    The difference at the edge is continued inwards by Laplace's equation, as in seamless cloning (Perez et al., 2003, eq. 4):
    colour and light follow the host, texture stays. On its own picture nothing changes.
    """
    parts = [_harmonized(layers[:, part], boxes[:, part], under) for part in range(len(PARTS))]
    return torch.stack(parts, dim=1)


def _harmonized(layer: Tensor, box: Tensor, under: Tensor) -> Tensor:
    """Harmonize one layer [b, c, h, w] a picture, each with its box [b, 4]."""
    rim, inwards = _harmonic()
    at, size = _centres(RIM, layer), layer.shape[-1]
    solve, full = torch.from_numpy(inwards).to(layer.device), _centres(size, layer).expand(len(layer), size)
    gap = (_sample(under, box, at, at) - _sample(layer, box, at, at)).flatten(2)[:, :, rim]
    field = (gap.float() @ solve.T).unflatten(2, (RIM, RIM))
    u, v = ((full - box[:, None, i]) / (box[:, None, i + 2] - box[:, None, i]) for i in (0, 1))
    return layer + HARMONY * _read(field, u.clamp(0, 1), v.clamp(0, 1)).to(layer.dtype)


HYBRID_SCALE = (1.2, 1.5, 1.25, 1.0, 1.15)
"""How much larger than the human's own an animal's region is laid on a face (eyes, nose, mouth, ears, forehead)."""

ANIMAL_EARS = ((0.03, -0.04, 0.34, 0.31), (0.66, -0.04, 0.97, 0.31))
"""Where an animal's upright ears belong on a human crop: their canonical boxes, carried over by the eyes of the two templates."""


def hybrid_boxes(boxes: PartBoxes, chosen: Tensor) -> PartBoxes:
    """Return where the regions of a hybrid lie: those chosen [batch, 5] from animals larger, ears on top of the head.

    `chosen` may hold fractions: 0 leaves a box as it is, 1 puts it where an animal's belongs.
    """
    share = chosen[:, list(PART_REGION)][:, :, None]
    scale = boxes.new_tensor([HYBRID_SCALE[region] for region in PART_REGION])[None, :, None]
    middle = (boxes[..., :2] + boxes[..., 2:]) / 2
    centre = torch.cat([middle, middle], dim=-1)
    animal = centre + (boxes - centre) * scale
    for part, ear in zip((PARTS.index("left_ear"), PARTS.index("right_ear")), ANIMAL_EARS, strict=True):
        animal[:, part] = boxes.new_tensor(ear)
    return torch.lerp(boxes, animal, share)


def transplant(images: Images, boxes: PartBoxes, donors: Images, donor_boxes: PartBoxes, chosen: Tensor) -> Images:
    """Lay donors' regions over images, feathered and harmonized: the picture that a hybrid of swapped codes should show.

    `chosen` [batch, 5] is 1 where a region comes from the donor, else 0.
    """
    # One layer for each part that is laid on, not for all of all pictures: most stay as they are.
    rows, parts = torch.nonzero(chosen[:, list(PART_REGION)], as_tuple=True)
    size = images.shape[-1]
    at = _centres(size, images).expand(len(rows), size)
    box, source = boxes[rows, parts], donor_boxes[rows, parts]
    x, y = (
        source[:, None, i]
        + (source[:, None, i + 2] - source[:, None, i])
        * ((at - box[:, None, i]) / (box[:, None, i + 2] - box[:, None, i]))
        for i in (0, 1)
    )
    laid = _harmonized(_read(donors[rows], x, y), box, images[rows])
    weights = (
        part_weights(box, size) * chosen[rows, torch.tensor(PART_REGION, device=parts.device)[parts], None, None]
    )[:, None]
    total = images.new_zeros(len(images), 1, size, size).index_add_(0, rows, weights)
    pasted = torch.zeros_like(images).index_add_(0, rows, laid * weights) / total.clamp(min=1.0)
    return images * (1 - total.clamp(max=1.0)) + pasted


def mirror(boxes: PartBoxes) -> PartBoxes:
    """Mirror boxes left to right, ears exchanged."""
    flipped = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)
    return flipped[:, MIRRORED_PARTS]
