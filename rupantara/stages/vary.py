"""Rows of the faces table to variations, and numbers to faces of nobody."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pyarrow as pa
import torch

from rupantara.faces.choice import Choice
from rupantara.generation import rows
from rupantara.generation.protocol import Generated
from rupantara.generation.variation import VariationGenerator, VariationRequest
from rupantara.stages.generate import crops_of

SAMPLES = pa.schema([("number", pa.int64())])
"""Rows that ask for one face from the prior each."""


class VaryFaces:
    """Batch of `schema.FACES` -> `schema.GENERATED`, so many rows a chosen face as `asked` says; batch of SAMPLES -> one row a number."""

    def __init__(
        self,
        make_generator: Callable[[], VariationGenerator],
        ask: VariationRequest,
        choice: Choice | None = None,
        *,
        threads: int = 1,
    ) -> None:
        """Build the generator on the worker; `ask` is what is wanted of each face or number."""
        torch.set_num_threads(threads)
        self._generator, self._ask, self._choice = make_generator(), ask, choice or Choice()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Generate for the chosen faces, or for each number."""
        numbers = "number" in batch.column_names
        wanted = batch if numbers else self._choice(batch)
        return rows.table(self._made(self._samples(wanted) if numbers else self._faces(wanted)))

    def _made(self, requests: Iterator[VariationRequest]) -> Iterator[Generated]:
        for request in requests:
            yield from self._generator.generate([request])[0]

    def _samples(self, wanted: pa.Table) -> Iterator[VariationRequest]:
        yield from (replace(self._ask, count=1, first=number) for number in wanted["number"].to_pylist())

    def _faces(self, wanted: pa.Table) -> Iterator[VariationRequest]:
        for row in range(wanted.num_rows):
            yield replace(self._ask, face=crops_of(wanted.slice(row, 1))[0])
