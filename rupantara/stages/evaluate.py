"""Faces to metrics: each held-out face by the model and by two trivial baselines, the mean face and a PCA."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch

from rupantara import schema
from rupantara.evaluation.judges import Judges
from rupantara.faces.arrays import COLUMNS, FaceArrays, keypoints, load, to_images
from rupantara.faces.balance import draw
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.image import image_errors
from rupantara.metrics.region_control import QUIET, changed_energy
from rupantara.models.placement import hybrid_boxes
from rupantara.stages.extract import BATCH, encode
from rupantara.storage import tables, uris
from rupantara.storage.weights import has
from rupantara.tensors import Images
from rupantara.training.warm_start import Pca, fit_pca

FIELDS = ("mean", "components", "deviations")
READ = (*COLUMNS, "keypoints")
NUM_DONORS = 64
"""Train animals that lend a region to each held-out human, to see how much of the change stays in it."""


@dataclass(frozen=True)
class Baselines:
    """PCA by domain, and the region codes of the donors [n, 5, dim]."""

    pca: dict[str, Pca]
    donors: np.ndarray


def fit_baselines(
    faces: str, checkpoint: str, train: dict[str, dict[str, str]], num_components: int, uri: str
) -> dict[str, int]:
    """Fit mean face and PCA on the train faces of each domain, encode the donors, write all as safetensors.

    Returns the components fitted.
    """
    loaded = loading.load(checkpoint)
    donors = list(train["animal"])[:NUM_DONORS]
    rows: dict[str, list[np.ndarray]] = {domain: [] for domain in train}
    codes = []
    for part in tables.read_parts(faces, (*COLUMNS,), schema="faces"):
        for domain, ids in train.items():
            chosen = load(schema.where_id(part, ids), loaded.model.config.size)
            rows[domain].append(chosen.pictures)
        lent = schema.where_id(part, donors)
        if lent.num_rows:
            codes.append(encode(loaded, load(lent, loaded.model.config.size))[1].numpy())
    stored, fitted = {"donors": np.concatenate(codes)}, {}
    for domain, parts in rows.items():
        pictures = np.concatenate(parts)
        pca = fit_pca(to_images(pictures).flatten(1).numpy(), num_components)
        stored |= {f"{domain}.{field}": getattr(pca, field).astype(np.float32) for field in FIELDS}
        fitted[domain] = len(pca.components)
    uris.write_bytes(uri, safetensors.numpy.save(stored))
    return fitted


def load_baselines(uri: str) -> Baselines:
    """Read what `fit_baselines` wrote."""
    stored = safetensors.numpy.load(uris.read_bytes(uri))
    domains = {name.partition(".")[0] for name in stored} - {"donors"}
    return Baselines({d: Pca(*(stored[f"{d}.{field}"] for field in FIELDS)) for d in domains}, stored["donors"])


class MeasureFaces:
    """Batch of `schema.FACES` -> batch of `schema.METRICS`, one row a chosen face and method."""

    def __init__(
        self, checkpoint: str, baselines: str, chosen: frozenset[str], weights: str = "", threads: int = 1
    ) -> None:
        """Load the model, the baselines and, where `weights` names their folder, the networks that judge."""
        torch.set_num_threads(threads)
        self._loaded, self._baselines = loading.load(checkpoint), load_baselines(baselines)
        self._chosen = chosen
        heads = has(weights, "lpips_squeeze")
        self._judges = Judges(weights, heads=heads, identity=True) if weights else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Measure the chosen faces of the batch."""
        rows = schema.where_id(batch, self._chosen)
        out: list[dict[str, Any]] = []
        for domain in ("human", "animal"):
            part = schema.where(rows, domain=domain)
            faces = load(part, self._loaded.model.config.size)
            for start in range(0, part.num_rows, BATCH):
                with torch.inference_mode():
                    out += self._measure(faces.slice(start, BATCH), domain)
        return pa.Table.from_pylist(out, schema=schema.METRICS)

    def _measure(self, faces: FaceArrays, domain: str) -> list[dict[str, Any]]:
        images, pca = faces.images(), self._baselines.pca[domain]
        flat = images.flatten(1).numpy()
        made, control = self._reconstruct(faces, domain)
        outputs = {
            "model": made,
            "mean_face": torch.from_numpy(pca.mean).view(1, *images.shape[1:]).expand_as(images),
            "pca": torch.from_numpy(pca.reconstruct(flat)).view_as(images),
        }
        ids, species = faces.rows["face_id"].to_pylist(), faces.rows["species"].to_pylist()
        who = [{"face_id": i, "domain": domain, "species": s} for i, s in zip(ids, species, strict=True)]
        out = self._judged(who, "source", images, {})
        for method, pictures in outputs.items():
            values = {name: value.tolist() for name, value in image_errors(pictures, images).items()}
            if self._judges:
                values["lpips_caffe_squeezenet"] = self._judges.distance(pictures, images).tolist()
                if domain == "human":
                    points = torch.from_numpy(keypoints(faces.rows, images.shape[-1]))
                    values["identity"] = self._judges.identity(pictures, images, points).tolist()
            if method == "model" and control:
                values["region_control"] = control
            out += self._judged(who, method, pictures, values)
        return out

    def _judged(
        self, who: list[dict[str, Any]], method: str, pictures: Images, values: dict[str, list[Any]]
    ) -> list[dict[str, Any]]:
        if self._judges:
            values = {**values, "squeezenet": list(self._judges.features(pictures).numpy().astype(np.float16))}
        return [
            row | {"method": method} | {name: column[i] for name, column in values.items()} for i, row in enumerate(who)
        ]

    def _reconstruct(self, faces: FaceArrays, domain: str) -> tuple[Images, list[list[float | None]]]:
        """Return reconstructions and, for humans, the share of a lent region's change that stays inside it, by region."""
        model, boxes = self._loaded.model, torch.from_numpy(faces.boxes)
        species = model.config.species_index(faces.rows["species"].to_pylist())
        codes = model.encode(faces.images(), boxes, species)
        made = model.decode(codes.global_mu, codes.regions_mu, boxes, species)
        if domain != "human":
            return made, []
        num = len(self._baselines.donors)
        rows = [int(draw(i, 0) * num) for i in faces.rows["face_id"].to_pylist()]
        lent = torch.from_numpy(self._baselines.donors[rows])
        shares: list[list[float | None]] = [[] for _ in rows]
        for region in range(len(REGIONS)):
            mixed = codes.regions_mu.clone()
            mixed[:, region] = lent[:, region]
            moved = hybrid_boxes(boxes, torch.eye(len(REGIONS))[region].expand(len(boxes), -1))
            changed = model.decode(codes.global_mu, mixed, moved, species)
            inside, whole = changed_energy(made, changed, boxes, region, moved)
            for i, (part, total) in enumerate(zip(inside.tolist(), whole.tolist(), strict=True)):
                shares[i].append(part / total if total > QUIET * made[0].numel() else None)
        return made, shares
