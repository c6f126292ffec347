"""Faces to features: the codes of the region VAE."""

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.faces import FaceArrays, load

BATCH = 32


def encode(model: loading.Loaded, faces: FaceArrays) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means of the codes of faces: global [n, global_dim], regions [n, 5, region_dim]; float32."""
    global_mu, regions_mu = [], []
    with torch.inference_mode():
        for start in range(0, len(faces.pictures), BATCH):
            part = FaceArrays(faces.rows, faces.pictures[start : start + BATCH], faces.boxes[start : start + BATCH])
            posterior = model.model.encode(part.images(), torch.from_numpy(part.boxes))
            global_mu.append(posterior.global_mu)
            regions_mu.append(posterior.regions_mu)
    config = model.model.config
    if not global_mu:
        return torch.zeros(0, config.global_dim), torch.zeros(0, len(REGIONS), config.region_dim)
    return torch.cat(global_mu), torch.cat(regions_mu)


class ExtractCodes:
    """Batch of `schema.FACES` -> batch of `schema.features`; rejected faces have no features."""

    def __init__(self, checkpoint: str, threads: int = 1) -> None:
        """Load the model."""
        torch.set_num_threads(threads)
        self._loaded = loading.load(checkpoint)
        config = self._loaded.model.config
        self._schema = schema.features(config.global_dim, len(REGIONS), config.region_dim, self._loaded.sha256)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Encode every accepted face."""
        rows = schema.accepted(batch)
        global_mu, regions_mu = encode(self._loaded, load(rows, self._loaded.model.config.size))
        columns = {name: rows[name] for name in ("face_id", "domain", "species", "split")}
        columns["global_mu"] = schema.vector_array(np.asarray(global_mu))
        columns["regions_mu"] = schema.vector_array(np.asarray(regions_mu))
        return pa.table(columns, schema=self._schema)
