"""Reconstructions of a region VAE on trial, beside two trivial baselines by domain: the mean face, and a PCA."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import safetensors.numpy
import torch

from rupantara import schema
from rupantara.evaluation.protocol import Held, Made, Method
from rupantara.faces.arrays import COLUMNS, FaceArrays, keypoints, load
from rupantara.faces.balance import draw
from rupantara.generation import loading
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.region_control import QUIET, changed_energy
from rupantara.models.placement import hybrid_boxes
from rupantara.models.region_vae import RegionPosterior
from rupantara.storage import tables, uris
from rupantara.tensors import Images, to_images
from rupantara.training.warm_start import Pca, fit_pca

BATCH = 32
FIELDS = ("mean", "components", "deviations")
READ = (*COLUMNS, "keypoints")
NUM_DONORS = 64
"""Train animals that lend a region to each held-out human, to see how much of the change stays in it."""


@dataclass(frozen=True)
class DomainBaselines:
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
            codes.append(_region_codes(loaded, load(lent, loaded.model.config.size)))
    stored, fitted = {"donors": np.concatenate(codes)}, {}
    for domain, parts in rows.items():
        pictures = np.concatenate(parts)
        pca = fit_pca(to_images(pictures).flatten(1).numpy(), num_components)
        stored |= {f"{domain}.{field}": getattr(pca, field).astype(np.float32) for field in FIELDS}
        fitted[domain] = len(pca.components)
    uris.write_bytes(uri, safetensors.numpy.save(stored))
    return fitted


def load_baselines(uri: str) -> DomainBaselines:
    """Read what `fit_baselines` wrote."""
    stored = safetensors.numpy.load(uris.read_bytes(uri))
    domains = {name.partition(".")[0] for name in stored} - {"donors"}
    return DomainBaselines({d: Pca(*(stored[f"{d}.{field}"] for field in FIELDS)) for d in domains}, stored["donors"])


def _region_codes(loaded: LoadedRegionVAE, faces: FaceArrays) -> np.ndarray:
    """Return the region codes of animals [n, 5, dim]."""
    species = torch.ones(len(faces.pictures), dtype=torch.long)
    with torch.inference_mode():
        return loaded.model.encode(faces.images(), torch.from_numpy(faces.boxes), species).regions_mu.numpy()


class ReconstructionTrial:
    """Held-out faces of both domains, reconstructed by a region VAE, a PCA and the mean face."""

    def __init__(self, checkpoint: str, baselines: str, chosen: Collection[str]) -> None:
        """Load the model and the baselines; `chosen` are the face ids."""
        self._loaded, self._chosen = loading.load(checkpoint), frozenset(chosen)
        fitted = load_baselines(baselines)
        self.methods: Mapping[str, Method] = {
            "model": RegionReconstruction(self._loaded, fitted.donors),
            "mean_face": DomainPca(fitted.pca, mean_only=True),
            "pca": DomainPca(fitted.pca),
        }

    def batches(self, rows: pa.Table) -> Iterator[Held]:
        """Yield the chosen faces of one domain after the other."""
        rows = schema.where_id(rows, self._chosen)
        for domain in ("human", "animal"):
            faces = load(schema.where(rows, domain=domain), self._loaded.model.config.size)
            for start in range(0, len(faces.pictures), BATCH):
                yield _held(faces.slice(start, BATCH), domain)


def _held(faces: FaceArrays, domain: str) -> Held:
    images = faces.images()
    points = torch.from_numpy(keypoints(faces.rows, images.shape[-1])) if domain == "human" else None
    return Held(faces.rows, images, points, boxes=torch.from_numpy(faces.boxes))


class DomainPca:
    """Projects faces on the components of their domain's PCA, or on none of them: the mean face."""

    def __init__(self, pca: Mapping[str, Pca], *, mean_only: bool = False) -> None:
        """Take the PCA of each domain."""
        self._pca, self._mean_only = pca, mean_only

    def make(self, held: Held) -> Iterator[Made]:
        """Reconstruct each face."""
        assert held.images is not None
        pca = self._pca[held.rows["domain"][0].as_py()]
        if self._mean_only:
            yield Made(torch.from_numpy(pca.mean).view(1, *held.images.shape[1:]).expand_as(held.images))
        else:
            flat = held.images.flatten(1).numpy()
            yield Made(torch.from_numpy(pca.reconstruct(flat)).view_as(held.images))


class RegionReconstruction:
    """Decodes the means of a region VAE's codes and, for humans, measures how much of a lent region's change stays inside it."""

    def __init__(self, loaded: LoadedRegionVAE, donors: np.ndarray) -> None:
        """Take the model and the region codes [n, 5, dim] of the animals that lend."""
        self._model, self._donors = loaded.model, donors

    def make(self, held: Held) -> Iterator[Made]:
        """Reconstruct each face."""
        assert held.images is not None and held.boxes is not None
        species = self._model.config.species_index(held.rows["species"].to_pylist())
        codes = self._model.encode(held.images, held.boxes, species)
        made = self._model.decode(codes.global_mu, codes.regions_mu, held.boxes, species)
        human = held.rows["domain"][0].as_py() == "human"
        yield Made(made, told={"region_control": self._control(held, codes, made, species)} if human else {})

    def _control(
        self, held: Held, codes: RegionPosterior, made: Images, species: torch.Tensor
    ) -> list[list[float | None]]:
        """Return the share of a lent region's change that stays inside it, by face and region; None where nothing changed."""
        boxes = held.boxes
        assert boxes is not None
        lent = torch.from_numpy(self._donors[[int(draw(i, 0) * len(self._donors)) for i in held.ids]])
        shares: list[list[float | None]] = [[] for _ in held.ids]
        for region in range(len(REGIONS)):
            mixed = codes.regions_mu.clone()
            mixed[:, region] = lent[:, region]
            moved = hybrid_boxes(boxes, torch.eye(len(REGIONS))[region].expand(len(boxes), -1))
            changed = self._model.decode(codes.global_mu, mixed, moved, species)
            inside, whole = changed_energy(made, changed, boxes, region, moved)
            for i, (part, total) in enumerate(zip(inside.tolist(), whole.tolist(), strict=True)):
                shares[i].append(part / total if total > QUIET * made[0].numel() else None)
        return shares
