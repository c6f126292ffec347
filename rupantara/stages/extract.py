"""Faces to features: each face decoded once and shown to every extractor."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.arrays import FaceArrays
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, Spec, decode
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS

BATCH = 32
CHUNK_ROWS = 256
"""Faces held decoded at a time: 50 MB at 256 x 256."""

COLUMNS = ("face_id", "domain", "species", "split", "image", "keypoints", "landmarks", "points", "reject")
KEPT = ("face_id", "domain", "species", "split")
REJECT = pa.field("reject", schema.REJECT)
NOT_FINITE = Rejected("extract", "not_finite", "a vector of the face holds NaN or infinity")


def encode(model: loading.LoadedRegionVAE, faces: FaceArrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means of the codes of faces: global [n, global_dim], regions [n, 5, region_dim]; float32."""
    global_mu, regions_mu = [], []
    with torch.inference_mode():
        for start in range(0, len(faces.pictures), BATCH):
            part = faces.slice(start, BATCH)
            species = model.model.config.domain_index(part.rows["domain"].to_pylist())
            posterior = model.model.encode(part.images(), torch.from_numpy(part.boxes), species)
            global_mu.append(posterior.global_mu)
            regions_mu.append(posterior.regions_mu)
    config = model.model.config
    if not global_mu:
        return torch.zeros(0, config.global_dim), torch.zeros(0, len(REGIONS), config.region_dim)
    return torch.cat(global_mu), torch.cat(regions_mu)


class ExtractFeatures:
    """Batch of `schema.FACES` -> batch of features, one row an accepted face; rejected faces have no features.

    A face that an extractor makes a vector of which is not finite becomes a reject without vectors (`not_finite`).
    """

    def __init__(self, specs: Sequence[Spec], source: ExtractorNetworks, threads: int = 1) -> None:
        """Load every extractor."""
        torch.set_num_threads(threads)
        # fp32 is fp32 on a GPU too, so that a run begun on CPUs may be finished there.
        torch.backends.cudnn.allow_tf32 = False
        self._extractors = extractors.make(specs, source)
        self._schema = schema.features([*(field for one, _ in self._extractors for field in one.columns), REJECT])

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Extract every accepted face."""
        rows = schema.accepted(batch)
        counted = {schema.ROWS_IN: str(rows.num_rows).encode()}
        chunks = [self._chunk(rows.slice(start, CHUNK_ROWS)) for start in range(0, rows.num_rows, CHUNK_ROWS)]
        made = pa.concat_tables(chunks) if chunks else self._schema.empty_table()
        return made.replace_schema_metadata(counted)

    def _chunk(self, rows: pa.Table) -> pa.Table:
        faces = decode(rows)
        odd = np.zeros(rows.num_rows, bool)
        made: list[pa.Array] = []
        for extractor, batch_size in self._extractors:
            found = extractors.run(extractor, batch_size, faces)
            odd |= extractors.not_finite(extractor, found, faces.domains)
            made += found
        if odd.any():
            kept = pa.array(np.arange(rows.num_rows), mask=odd)
            made = [column.take(kept) for column in made]
        rejects = pa.array([NOT_FINITE.as_row() if bad else None for bad in odd], schema.REJECT)
        return pa.table([*(rows[name].combine_chunks() for name in KEPT), *made, rejects], schema=self._schema)
