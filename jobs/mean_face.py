"""The mean landmarks of a faces table's train split, by an aggregate of Ray Data."""

from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data.aggregate import AggregateFnV2

from jobs.runtime import cli
from rupantara.errors import UserError
from rupantara.features.textures import MEAN, MEAN_COLUMNS, scaled_landmarks
from rupantara.storage import manifest, tables

SUMS = "sums"

UNIT_PX = 2.0**-16
"""Landmarks are counted in whole numbers of this."""


class MeanLandmarks(AggregateFnV2):
    """Sums of landmarks and their number, exact, so that the order of blocks changes no bit of the mean."""

    def __init__(self) -> None:
        """Name the result."""
        super().__init__(MEAN, zero_factory=lambda: [0] * 137, on=None, ignore_nulls=False)

    def aggregate_block(self, block: Any) -> list[int]:
        """Add the sums of one block's files."""
        sums = np.stack(pa.table(block)[SUMS].to_numpy()).astype(np.int64)
        return sums.sum(0).tolist()

    def combine(self, current_accumulator: list[int], new: list[int]) -> list[int]:
        """Add two sums."""
        return [a + b for a, b in zip(current_accumulator, new, strict=True)]

    def finalize(self, accumulator: list[int]) -> list[float]:
        """Divide; nothing where there was no face."""
        *sums, count = accumulator
        return [value / count * UNIT_PX for value in sums] if count else []


class SumFile:
    """Row with the `path` of a file of the faces table -> its sums and count, so that no picture leaves the worker."""

    def __init__(self, faces: str) -> None:
        """Read files of one table."""
        self._faces = faces

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Sum the files of the batch."""
        rows = []
        for path in batch["path"]:
            points = scaled_landmarks(tables.read_file(self._faces, str(path), MEAN_COLUMNS))
            whole = np.rint(points / UNIT_PX).astype(np.int64)
            rows.append(np.append(whole.sum(0).ravel(), len(whole)))
        return {SUMS: np.stack(rows)}


def mean_landmarks(faces: str) -> tuple[float, ...]:
    """Return 68 x 2 numbers, px of `landmarks.texture.SIDE`; UserError where the train split has no human with landmarks."""
    cli.connect()
    files = [{"path": file.path} for file in manifest.require(faces, "faces").data]
    stage: Any = SumFile(faces)
    rows = ray.data.from_items(files, override_num_blocks=len(files))
    cli.quieten()
    found = rows.map_batches(stage, batch_format="numpy", batch_size=1).aggregate(MeanLandmarks())
    mean = np.asarray(found[MEAN] if isinstance(found, dict) else [], np.float64)
    if len(mean) != 136:
        raise UserError(f"{faces} must hold accepted train humans with 68 landmarks, got none")
    return tuple(mean.tolist())
