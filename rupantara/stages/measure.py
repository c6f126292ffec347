"""Held-out faces, or generated pictures, to metrics: rows of `schema.METRICS`."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import torch

from rupantara import schema
from rupantara.evaluation.judges import Judges
from rupantara.evaluation.measure import Measurer
from rupantara.evaluation.protocol import PictureMeasure, Trial


@dataclass(frozen=True)
class JudgeNetworks:
    """The folder of the networks that judge ("" = none), whether LPIPS's heads are among them, and the network of identity."""

    weights: str = ""
    heads: bool = False
    identity: bool = True

    def load(self) -> Judges | None:
        """Load them."""
        return Judges(self.weights, heads=self.heads, identity=self.identity) if self.weights else None


class MeasureMethods:
    """Batch of a trial's table -> `schema.METRICS`: the face itself, and what each method makes of it."""

    def __init__(
        self,
        make_trial: Callable[[], Trial],
        judges: JudgeNetworks,
        shown: Collection[str] = (),
        make_measures: Callable[[], Sequence[PictureMeasure]] = tuple,
        *,
        threads: int = 1,
    ) -> None:
        """Load the methods and the networks that judge; the pictures of the faces `shown` are kept."""
        torch.set_num_threads(threads)
        self._trial = make_trial()
        self._measurer = Measurer(judges.load(), shown, make_measures())

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure the chosen faces of the batch."""
        out: list[dict[str, Any]] = []
        for held in self._trial.batches(batch):
            with torch.inference_mode():
                out += self._measurer.source(held)
                for name, method in self._trial.methods.items():
                    for made in method.make(held):
                        out += self._measurer.made(held, name, made)
        return pa.Table.from_pylist(out, schema=schema.METRICS)
