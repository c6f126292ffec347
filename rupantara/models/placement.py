"""Cut regions out of an image and put region maps back where they belong, differentiably.

A region is one box except `ears`, which is two: its crop holds the left ear in its left half and the right ear in its right
half. All grids are separable, so a cut is exact bilinear sampling and a box outside an image reads its border.
"""

import torch
from torch import Tensor

from rupantara.landmarks.regions import PART_REGION, PARTS
from rupantara.tensors import Crops, Images, PartBoxes

# Columns of the region's crop that each part fills, as fractions.
_SPAN = {"left_ear": (0.0, 0.5), "right_ear": (0.5, 1.0)}
SPANS = tuple(_SPAN.get(part, (0.0, 1.0)) for part in PARTS)
FEATHER = 0.3
"""Share of a box's side over which a placed region fades in at each edge."""


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
    """Return soft masks [batch, 6, size, size]: 1 inside a box, 0 outside, fading over FEATHER of its side within."""
    at = _centres(size, boxes)

    def ramp(low: Tensor, high: Tensor) -> Tensor:
        inside = torch.minimum(at - low[..., None], high[..., None] - at) / (high - low)[..., None]
        risen = (inside / FEATHER).clamp(0, 1)
        return risen * risen * (3 - 2 * risen)

    across, down = ramp(boxes[..., 0], boxes[..., 2]), ramp(boxes[..., 1], boxes[..., 3])
    return down[..., :, None] * across[..., None, :]


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


HARMONY = 0.5
"""How far a region's mean colour is drawn towards what it is laid on: at 0 a dark muzzle on a fair face looks pasted."""


def harmonize(layers: Tensor, weights: Tensor, under: Images) -> Tensor:
    """Shift each layer's mean colour HARMONY of the way to that of the picture under it; on its own picture a no-op."""
    total = weights.sum(dim=(2, 3)).clamp(min=1e-6)[:, :, None]
    over = torch.einsum("bpchw,bphw->bpc", layers, weights) / total
    below = torch.einsum("bchw,bphw->bpc", under, weights) / total
    return layers + (HARMONY * (below - over))[..., None, None]


def transplant(images: Images, boxes: PartBoxes, donors: Images, donor_boxes: PartBoxes, chosen: Tensor) -> Images:
    """Lay donors' regions over images, feathered and harmonized: the picture that a hybrid of swapped codes should show.

    `chosen` [batch, 5] is 1 where a region comes from the donor, else 0.
    """
    size = images.shape[-1]
    at = _centres(size, images).expand(len(images), size)
    layers = []
    for part in range(len(PARTS)):
        box, source = boxes[:, part], donor_boxes[:, part]
        u = (at - box[:, None, 0]) / (box[:, None, 2] - box[:, None, 0])
        v = (at - box[:, None, 1]) / (box[:, None, 3] - box[:, None, 1])
        x = source[:, None, 0] + (source[:, None, 2] - source[:, None, 0]) * u
        y = source[:, None, 1] + (source[:, None, 3] - source[:, None, 1]) * v
        layers.append(_read(donors, x, y))
    weights = part_weights(boxes, size) * chosen[:, list(PART_REGION)][:, :, None, None]
    pasted, coverage = blend_parts(harmonize(torch.stack(layers, dim=1), weights, images), weights)
    return images * (1 - coverage) + pasted


def mirror(boxes: PartBoxes) -> PartBoxes:
    """Mirror boxes left to right, ears exchanged."""
    flipped = torch.stack([1 - boxes[..., 2], boxes[..., 1], 1 - boxes[..., 0], boxes[..., 3]], dim=-1)
    left, right = PARTS.index("left_ear"), PARTS.index("right_ear")
    order = list(range(len(PARTS)))
    order[left], order[right] = right, left
    return flipped[:, order]
