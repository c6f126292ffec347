"""Faces to metrics: each held-out face by the model and by two trivial baselines, the mean face and a PCA."""

from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch

from rupantara import schema
from rupantara.generation import loading
from rupantara.metrics.image import image_errors
from rupantara.stages.extract import BATCH
from rupantara.stages.faces import FaceArrays, load, to_images
from rupantara.storage import tables, uris
from rupantara.training.warm_start import Pca, fit_pca

FIELDS = ("mean", "components", "deviations")


def fit_baselines(
    faces: str, train: dict[str, dict[str, str]], size: int, num_components: int, uri: str
) -> dict[str, int]:
    """Fit mean face and PCA on the train faces of each domain, write them as safetensors, and return the components fitted."""
    columns = ("face_id", "domain", "image", "landmarks", "reject")
    rows: dict[str, list[np.ndarray]] = {domain: [] for domain in train}
    for part in tables.read_parts(faces, columns, schema="faces"):
        for domain, ids in train.items():
            chosen = schema.where_id(part, ids)
            rows[domain].append(load(chosen, size).pictures)
    stored, fitted = {}, {}
    for domain, parts in rows.items():
        pictures = np.concatenate(parts)
        pca = fit_pca(_flat(pictures), num_components)
        stored |= {f"{domain}.{field}": getattr(pca, field).astype(np.float32) for field in FIELDS}
        fitted[domain] = len(pca.components)
    uris.write_bytes(uri, safetensors.numpy.save(stored))
    return fitted


def load_baselines(uri: str) -> dict[str, Pca]:
    """Read what `fit_baselines` wrote."""
    stored = safetensors.numpy.load(uris.read_bytes(uri))
    domains = {name.partition(".")[0] for name in stored}
    return {d: Pca(*(stored[f"{d}.{field}"] for field in FIELDS)) for d in domains}


def _flat(pictures: np.ndarray) -> np.ndarray:
    return to_images(pictures).flatten(1).numpy()


class MeasureFaces:
    """Batch of `schema.FACES` -> batch of `schema.METRICS`, one row a chosen face and method."""

    def __init__(self, checkpoint: str, baselines: str, chosen: frozenset[str], threads: int = 1) -> None:
        """Load the model and the baselines."""
        torch.set_num_threads(threads)
        self._loaded, self._baselines = loading.load(checkpoint), load_baselines(baselines)
        self._chosen = chosen

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure the chosen faces of the batch."""
        rows = schema.where_id(batch, self._chosen)
        out: list[dict[str, Any]] = []
        for domain in ("human", "animal"):
            part = schema.where(rows, domain=domain)
            faces = load(part, self._loaded.model.config.size)
            for start in range(0, part.num_rows, BATCH):
                out += self._measure(faces.slice(start, BATCH), domain)
        return pa.Table.from_pylist(out, schema=schema.METRICS)

    def _measure(self, faces: FaceArrays, domain: str) -> list[dict[str, Any]]:
        images, pca = faces.images(), self._baselines[domain]
        flat = images.flatten(1).numpy()
        outputs = {
            "model": self._reconstruct(faces),
            "mean_face": torch.from_numpy(pca.mean).view(1, *images.shape[1:]).expand_as(images),
            "pca": torch.from_numpy(pca.reconstruct(flat)).view_as(images),
        }
        out = []
        ids, species = faces.rows["face_id"].to_pylist(), faces.rows["species"].to_pylist()
        for method, pictures in outputs.items():
            errors = {name: value.tolist() for name, value in image_errors(pictures, images).items()}
            out += [
                {"face_id": ids[i], "domain": domain, "species": species[i], "method": method}
                | {name: values[i] for name, values in errors.items()}
                for i in range(len(ids))
            ]
        return out

    def _reconstruct(self, faces: FaceArrays) -> torch.Tensor:
        model, boxes = self._loaded.model, torch.from_numpy(faces.boxes)
        species = model.config.species_index(faces.rows["species"].to_pylist())
        with torch.inference_mode():
            posterior = model.encode(faces.images(), boxes, species)
            return model.decode(posterior.global_mu, posterior.regions_mu, boxes, species)
