"""Cut regions out of an image and put region maps back where they belong, differentiably.

A region is one box except `ears`, which is two: its crop holds the left ear in its left half and the right ear in its right
half. All grids are separable, so a cut is exact bilinear sampling and a box outside an image reads its border.
"""

from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.landmarks.regions import MIRRORED_PARTS, PART_REGION, PARTS
from rupantara.tensors import Crops, Images, PartBoxes

# Columns of the region's crop that each part fills, as fractions.
_SPAN = {"left_ear": (0.0, 0.5), "right_ear": (0.5, 1.0)}
SPANS = tuple(_SPAN.get(part, (0.0, 1.0)) for part in PARTS)
FEATHER, ROUNDNESS = 0.5, 3.0
"""How a placed region fades in: over which share of the way from its box's edge to its middle, and the superellipse's exponent."""


def _centres(count: int, like: Tensor) -> Tensor:
    return (torch.arange(count, device=like.device, dtype=torch.float32) + 0.5) / count


def cut_regions(images: Images, boxes: PartBoxes, side: int) -> Crops:
    """Cut the five region crops [batch, 5, 3, side, side] out of images; quick where these need no gradient, slower with one."""
    grids: list[Tensor] = []
    for part, span in enumerate(SPANS):
        columns = round((span[1] - span[0]) * side)
        grid = _grid(*_within(boxes[:, part], _centres(columns, images), _centres(side, images)))
        if PART_REGION[part] < len(grids):
            grids[-1] = torch.cat([grids[-1], grid], dim=2)
        else:
            grids.append(grid)
    return _pick(images, torch.cat(grids, dim=1)).unflatten(2, (len(grids), side)).transpose(1, 2)


def _within(boxes: Tensor, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Return where in the image the fractions u (columns) and v (rows) of boxes [..., 4] are: [..., columns] and [..., rows]."""
    (left, top), (width, height) = _corner_and_extent(boxes)
    return left + width * u, top + height * v


def _fractions(boxes: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return which fractions of boxes [..., 4] an image's columns and rows are, beyond 0 to 1 outside the box: [..., size] each."""
    at = _centres(size, boxes)
    (left, top), (width, height) = _corner_and_extent(boxes)
    return (at - left) / width, (at - top) / height


def _corner_and_extent(boxes: Tensor) -> tuple[Tensor, Tensor]:
    """Return left and top, and width and height, [2, ..., 1] each."""
    left, top, right, bottom = boxes[..., None].unbind(-2)
    return torch.stack([left, top]), torch.stack([right - left, bottom - top])


def _grid(x: Tensor, y: Tensor) -> Tensor:
    """Return the places of columns x [n, columns] and rows y [n, rows], image fractions, as `grid_sample` takes them."""
    return torch.stack(torch.broadcast_tensors(2 * x[:, None] - 1, 2 * y[:, :, None] - 1), dim=-1)


def _pick(images: Tensor, grid: Tensor) -> Tensor:
    """Read images [n, c, h, w] bilinearly, border replicated: the way for few places of large images without a gradient."""
    with torch.autocast(images.device.type, enabled=False):
        picked = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return picked.to(images.dtype)


def _read(images: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Read images [n, c, h, w] at columns x [n, columns] and rows y [n, rows], image fractions, as `_pick` does on their grid.

    As two matrix products, in the images' own precision: several times faster than `grid_sample` for small images with a gradient.
    """
    n, channels, height, width = images.shape
    with torch.autocast(images.device.type, enabled=False):
        rows, columns = _taps(y, height).to(images.dtype), _taps(x, width).to(images.dtype)
        across = images.reshape(n, channels * height, width) @ columns.transpose(1, 2)
        return rows[:, None] @ across.unflatten(1, (channels, height))


def resize(images: Images, size: int) -> Images:
    """Resize square images to [n, 3, size, size] as `F.interpolate` does, bilinear, in their own precision; twice as fast on a CPU."""
    at = _centres(size, images)[None]
    return _read(images, at, at)


def _taps(at: Tensor, length: int) -> Tensor:
    """Return the bilinear weights [b, n, length] of `length` pixels for n fractions of their extent."""
    place = (at * length - 0.5).clamp(0, length - 1)
    return (1 - (place[..., None] - torch.arange(length, device=at.device)).abs()).clamp(min=0)


def part_weights(boxes: PartBoxes, size: int) -> Tensor:
    """Return a soft mask for each box [..., 4]: [..., size, size], 1 in its middle, fading over FEATHER of the way from its edge.

    The level lines are superellipses: a rectangle's corners would show on a face.
    """
    across, down = ((2 * at - 1).abs() ** ROUNDNESS for at in _fractions(boxes, size))
    radius = (down[..., :, None] + across[..., None, :]) ** (1 / ROUNDNESS)
    risen = ((1 - radius) / FEATHER).clamp(0, 1)
    return risen * risen * (3 - 2 * risen)


def place_parts(maps: Tensor, boxes: PartBoxes, size: int) -> Tensor:
    """Put region maps [batch, 5, c, s, s] at their boxes: [batch, 6, c, size, size], one layer a part, unmasked."""
    u, v = (at.clamp(0, 1) for at in _fractions(boxes, size))
    start, stop = boxes.new_tensor(SPANS)[:, :, None].unbind(1)
    u = start + (stop - start) * u
    return _read(maps[:, list(PART_REGION)].flatten(0, 1), u.flatten(0, 1), v.flatten(0, 1)).unflatten(
        0, boxes.shape[:2]
    )


def blend_parts(layers: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Average overlapping layers by their weights: ([batch, c, h, w] scaled by coverage, coverage [batch, 1, h, w])."""
    total = weights.sum(dim=1, keepdim=True)
    blended = (layers * weights[:, :, None]).sum(dim=1) / total.clamp(min=1.0)
    return blended, total.clamp(max=1.0)


HARMONY = 0.7
"""How much a region's edge takes the colour of the picture under it; 1 is seamless cloning, which loses the region's own colours."""

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
    """Move each layer's colours HARMONY of the way to the picture under it at the edge of its box, and smoothly less towards its middle.

    The difference at the edge is continued inwards by Laplace's equation, as in seamless cloning (Perez et al., 2003, eq. 4):
    colour and light follow the host, texture stays. On its own picture nothing changes.
    """
    parts = boxes.shape[1]
    return _harmonized(layers.flatten(0, 1), boxes.flatten(0, 1), under.repeat_interleave(parts, 0)).view_as(layers)


def _harmonized(layers: Tensor, boxes: Tensor, under: Tensor) -> Tensor:
    """Harmonize layers [n, c, h, w], each by its box [n, 4] with its picture."""
    rim, inwards = _harmonic()
    at, size = _centres(RIM, layers), layers.shape[-1]
    places = _within(boxes, at, at)
    gap = (_read(under, *places) - _read(layers, *places)).flatten(2)[:, :, rim]
    with torch.autocast(layers.device.type, enabled=False):
        field = (gap.float() @ torch.from_numpy(inwards).to(layers.device).T).unflatten(2, (RIM, RIM))
    u, v = (at.clamp(0, 1) for at in _fractions(boxes, size))
    return layers + HARMONY * _read(field, u, v).to(layers.dtype)


HYBRID_SCALE = (1.2, 1.5, 1.25, 1.0, 1.15)
"""How much larger an animal's region is laid on a face than the human's own (eyes, nose, mouth, ears, forehead)."""

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
    box, source = boxes[rows, parts], donor_boxes[rows, parts]
    places = _within(source, *_fractions(box, size))
    laid = _harmonized(_pick(donors[rows], _grid(*places)), box, images[rows])
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
