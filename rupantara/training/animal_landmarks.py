"""The task of `models.animal_landmarks`: targets of marked pictures, and the losses that compare the network's maps with them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.models.animal_landmarks import CENTRE_STRIDE, POINT_STRIDE, SIDE, UNIT_PX, Maps
from rupantara.training.animal_views import Marked

POINT_SIGMA, CENTRE_SIGMA = 1.5, 1.2
"""Widths of the Gaussians in cells of their maps."""
NEAR = 0.45
"""Cells whose Gaussian is at least this learn the box, the offsets, the visibility and the view."""
MARGIN = 0.18
"""The head's box is the hull of its six points and this share of its longer side on each side."""
POSITIVE = 20.0
"""A cell's cross-entropy weighs 1 + POSITIVE t, since nearly all cells are empty."""
HIDDEN = 8.0
"""Weight of a hidden point against a visible one: of marked eyes one in thirty is hidden."""
VIEWS = (0.5, 1.0, 1.0, 8.0)
"""Weights of the views front, left, right, profile; of the marked heads 66, 15, 15 and 4 % are such."""
WEIGHTS = {"points": 12.0, "centre": 3.0, "box": 0.3, "offsets": 0.6, "visible": 0.4, "view": 0.25}


class MarkTargets(NamedTuple):
    """What the maps should say; weights are 0 where a mark does not tell."""

    points: Tensor
    points_weight: Tensor
    centre: Tensor
    box: Tensor
    box_weight: Tensor
    offsets: Tensor
    offsets_weight: Tensor
    visible: Tensor
    visible_weight: Tensor
    view: Tensor


def gaussian(at: np.ndarray, cells: int, stride: int, sigma: float) -> np.ndarray:
    """Draw a Gaussian [cells, cells] around a point in pixels of the picture, 1 at its middle."""
    grid = np.arange(cells, dtype=np.float32)
    x, y = (at + 0.5) / stride - 0.5
    return np.exp(-((grid - x) ** 2)[None, :] / (2 * sigma**2) - ((grid - y) ** 2)[:, None] / (2 * sigma**2))


def centre_of(points: np.ndarray) -> np.ndarray:
    """Return the middle of the eyes' middle and the nose, of those that are seen."""
    eyes = points[:2][np.isfinite(points[:2]).all(1)]
    parts = [*([eyes.mean(0)] if len(eyes) else []), *([points[2]] if np.isfinite(points[2]).all() else [])]
    return np.mean(parts, axis=0)


def targets_of(seen: Sequence[Marked]) -> MarkTargets:
    """Lay out the targets of one picture (no batch axis) from the marks that are seen in it."""
    fine, coarse = SIDE // POINT_STRIDE, SIDE // CENTRE_STRIDE
    made = _empty(fine, coarse)
    best = np.zeros((coarse, coarse), np.float32)
    for mark in (m for m in seen if m.has_head):
        made["points_weight"][~mark.known] = 0
        for k in np.flatnonzero(_shown(mark)):
            spot = gaussian(mark.points[k], fine, POINT_STRIDE, POINT_SIGMA)
            made["points"][k] = np.maximum(made["points"][k], spot)
        here = gaussian(centre_of(mark.points), coarse, CENTRE_STRIDE, CENTRE_SIGMA)
        made["centre"] = np.maximum(made["centre"], here)
        _describe(made, mark, *np.nonzero((here >= NEAR) & (here > best)))
        best = np.maximum(best, here)
    return MarkTargets(**{name: torch.from_numpy(values) for name, values in made.items()})


def _empty(fine: int, coarse: int) -> dict[str, np.ndarray]:
    floats = {"centre": (), "box": (4,), "box_weight": (), "offsets": (6, 2), "offsets_weight": (6,)}
    floats |= {"visible": (6,), "visible_weight": (6,)}
    made = {name: np.zeros((*shape, coarse, coarse), np.float32) for name, shape in floats.items()}
    made |= {"points": np.zeros((6, fine, fine), np.float32), "points_weight": np.ones((6, 1, 1), np.float32)}
    return made | {"view": np.full((coarse, coarse), -1, np.int64)}


def _shown(mark: Marked) -> np.ndarray:
    return np.asarray(np.isfinite(mark.points).all(axis=1))


def _describe(made: dict[str, np.ndarray], mark: Marked, rows: np.ndarray, columns: np.ndarray) -> None:
    """Say at some cells what their head is like: box, places and visibility of its points, view."""
    shown = _shown(mark).astype(np.float32)
    at = (np.stack([columns, rows]) + 0.5) * CENTRE_STRIDE - 0.5
    low, high = np.nanmin(mark.points, 0), np.nanmax(mark.points, 0)
    grow = MARGIN * float((high - low).max())
    sides = np.concatenate([at - (low - grow)[:, None], (high + grow)[:, None] - at])
    made["box"][:, rows, columns] = np.maximum(sides / UNIT_PX, 0)
    made["box_weight"][rows, columns] = shown.all()
    away = np.nan_to_num(mark.points[:, :, None] - at[None]) / UNIT_PX
    made["offsets"][:, :, rows, columns] = away
    made["offsets_weight"][:, rows, columns] = shown[:, None]
    made["visible"][:, rows, columns] = shown[:, None]
    made["visible_weight"][:, rows, columns] = mark.known[:, None]
    made["view"][rows, columns] = mark.view


def stack(targets: Sequence[MarkTargets]) -> MarkTargets:
    """Batch targets."""
    return MarkTargets(*(torch.stack(column) for column in zip(*targets, strict=True)))


def losses(maps: Maps, goal: MarkTargets) -> dict[str, Tensor]:
    """Compare maps with targets: each part's mean, and `loss`, their weighted sum."""
    found = {
        "points": _heat(maps.points, goal.points, goal.points_weight),
        "centre": _heat(maps.centre, goal.centre, torch.ones_like(goal.centre)),
        "box": _mean((maps.box - goal.box).abs().mean(1), goal.box_weight),
        "offsets": _mean((maps.offsets - goal.offsets).abs().mean(2), goal.offsets_weight),
        "visible": _mean(
            F.binary_cross_entropy_with_logits(maps.visible, goal.visible, reduction="none"),
            goal.visible_weight * (1 + (HIDDEN - 1) * (1 - goal.visible)),
        ),
        "view": _view(maps.view, goal.view),
    }
    total = torch.stack([WEIGHTS[name] * value for name, value in found.items()]).sum()
    return {"loss": total, **found}


def _heat(logits: Tensor, goal: Tensor, weight: Tensor) -> Tensor:
    each = F.binary_cross_entropy_with_logits(logits, goal, reduction="none")
    return (each * (1 + POSITIVE * goal) * weight).mean()


def _view(logits: Tensor, goal: Tensor) -> Tensor:
    named = goal.clamp(min=0)
    weight = logits.new_tensor(VIEWS)[named] * (goal >= 0)
    return _mean(F.cross_entropy(logits, named, reduction="none"), weight)


def _mean(each: Tensor, weight: Tensor) -> Tensor:
    return (each * weight).sum() / weight.sum().clamp(min=1.0)
