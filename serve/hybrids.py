"""The hybrid generator behind the endpoint: photograph bytes in, rows of the generated table out."""

import json
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from actors.sharded_bank import ShardedBank
from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.generation import hybrid, rows
from rupantara.generation.donors import NEAREST
from rupantara.generation.hybrid import HybridGenerator
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.curate import CuratePhotos, CurateRules
from rupantara.stages.generate import crops_of


@dataclass(frozen=True)
class HybridRequest:
    """One request: the photograph's bytes, the species (or `nearest`), regions and weight; known keypoints as JSON or ""."""

    photo: bytes
    species: str = NEAREST
    regions: tuple[str, ...] = REGIONS
    weight: float = 1.0
    keypoints: str = ""


class HybridMaker:
    """Curates a photograph, encodes it, mixes it with the bank's features and decodes the hybrid."""

    def __init__(self, checkpoint: str, bank: ShardedBank, weights: str, threads: int) -> None:
        """Load the model and, where `weights` names their folder, the detector and landmark networks."""
        torch.set_num_threads(threads)
        self._bank = bank
        self._curate = CuratePhotos("", CurateRules(), weights or None)
        self._generator = HybridGenerator(checkpoint, bank)
        # The networks behind OpenCV keep their input between calls.
        self._one_at_a_time = threading.Lock()

    def make(self, request: HybridRequest) -> dict[str, Any]:
        """Return the hybrid's row; raise UserError for wrong parameters, Rejected when the picture has no usable face."""
        check(request, self._bank.species)
        keypoints = parse_keypoints(request.keypoints)
        with self._one_at_a_time:
            face = self._curate.one(request.photo, keypoints)
        if face["reject"]:
            raise Rejected(**face["reject"])
        (crop,) = crops_of(pa.Table.from_pylist([face], schema=schema.FACES))
        amounts = dict.fromkeys(request.regions, request.weight)
        ((made,),) = self._generator.generate([hybrid.HybridRequest(crop, (request.species,), amounts)])
        return rows.row(made)


def check(request: HybridRequest, species: tuple[str, ...]) -> None:
    """Raise UserError for parameters that can not be, with these species in the bank."""
    if request.species not in (*species, NEAREST):
        raise UserError(f"species must be one of {', '.join((*species, NEAREST))}, got {request.species!r}")
    unknown = [r for r in request.regions if r not in REGIONS]
    if unknown or not request.regions:
        raise UserError(f"regions must be of {', '.join(REGIONS)}, got {', '.join(unknown) or 'none'}")
    if not 0 <= request.weight <= 1:
        raise UserError(f"weight must be in [0, 1], got {request.weight}")


def parse_keypoints(text: str) -> np.ndarray | None:
    """Read known keypoints: JSON [[x, y], …] with 3, 5 or 68 points in pixels of the photograph; None for ""."""
    if not text:
        return None
    try:
        points = np.array(json.loads(text), np.float32)
    except (ValueError, TypeError) as error:
        raise UserError(f"keypoints must be JSON [[x, y], …], got {text[:60]!r}") from error
    if points.shape not in ((3, 2), (5, 2), (68, 2)):
        raise UserError(f"keypoints must be 3, 5 or 68 points [x, y], got shape {list(points.shape)}")
    if not np.isfinite(points).all():
        raise UserError(f"keypoints must be finite numbers, got {text[:60]!r}")
    return points
