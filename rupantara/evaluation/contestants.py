"""What a comparison asks of a method, and the methods: VAEs of the zoo, region VAEs, a PCA and the mean face.

All answer with pictures of side 64; a region VAE works at its own size, and its pictures are averaged down.
"""

from typing import Protocol

import numpy as np
import pyarrow as pa
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.errors import UserError
from rupantara.faces.arrays import load
from rupantara.generation import loading, variation, zoo_loading
from rupantara.landmarks.regions import CANONICAL, REGIONS
from rupantara.models.region_vae import HUMAN
from rupantara.models.zoo import SIDE
from rupantara.storage import checkpoints, manifest, uris
from rupantara.tensors import Images
from rupantara.training.warm_start import Pca

MODEL_TYPES = (zoo_loading.MODEL_TYPE, loading.MODEL_TYPE)


class Contestant(Protocol):
    """A method that can be compared; `rows` are of `schema.FACES`, humans only."""

    latent_dim: int
    num_parameters: int

    @property
    def modes(self) -> tuple[variation.Mode, ...]:
        """Return how it can vary a face."""
        ...

    def reconstruct(self, rows: pa.Table) -> Images:
        """Reconstruct each face, deterministically."""
        ...

    def vary(self, row: pa.Table, count: int, mode: variation.Mode, seed: int, noise: float) -> Images:
        """Make variations of one face in one of `modes`."""
        ...

    def sample(self, seed: int) -> Images:
        """Make one face of nobody: [1, 3, SIDE, SIDE]."""
        ...


POSTERIOR_MODES: tuple[variation.Mode, ...] = ("posterior", "input_noise")


class ZooContestant:
    """A VAE of the zoo."""

    modes = POSTERIOR_MODES

    def __init__(self, uri: str) -> None:
        """Load a checkpoint."""
        self._model = zoo_loading.load(uri).model
        self.latent_dim = self._model.config.latent_dim
        self.num_parameters = sum(p.numel() for p in self._model.parameters())

    def reconstruct(self, rows: pa.Table) -> Images:
        """Decode the means."""
        return variation.reconstruct(self._model, load(rows, SIDE).images())

    def vary(self, row: pa.Table, count: int, mode: variation.Mode, seed: int, noise: float) -> Images:
        """Draw from the posterior, or add noise to the face."""
        return variation.vary(self._model, load(row, SIDE).images()[0], count, mode, seed, noise)

    def sample(self, seed: int) -> Images:
        """Draw from the prior."""
        return variation.from_prior(self._model, 1, seed)


class RegionContestant:
    """A region VAE."""

    modes = POSTERIOR_MODES

    def __init__(self, uri: str) -> None:
        """Load a checkpoint."""
        loaded = loading.load(uri)
        self._model, self._prior = loaded.model, loaded.prior
        config = self._model.config
        self.latent_dim = config.global_dim + len(REGIONS) * config.region_dim
        self.num_parameters = sum(p.numel() for p in self._model.parameters())

    @torch.inference_mode()
    def reconstruct(self, rows: pa.Table) -> Images:
        """Decode the means."""
        faces = load(rows, self._model.config.size)
        return self._means(faces.images(), torch.from_numpy(faces.boxes))

    @torch.inference_mode()
    def vary(self, row: pa.Table, count: int, mode: variation.Mode, seed: int, noise: float) -> Images:
        """Draw from the posterior, or add noise to the face."""
        faces, generator = load(row, self._model.config.size), torch.Generator().manual_seed(seed)
        images = faces.images().expand(count, -1, -1, -1)
        boxes = torch.from_numpy(faces.boxes).expand(count, -1, -1)
        if mode == "input_noise":
            noisy = images + 2 * noise * torch.randn(images.shape, generator=generator)
            return self._means(noisy.clamp(-1, 1), boxes)
        codes = self._model.encode(images, boxes, _humans(count)).sample(generator)
        return _small(self._model.decode(*codes, boxes, _humans(count)))

    @torch.inference_mode()
    def sample(self, seed: int) -> Images:
        """Draw from the prior: the one that it was packed with, else the standard normal, at the canonical boxes."""
        config, generator = self._model.config, torch.Generator().manual_seed(seed)
        boxes = np.array(CANONICAL[HUMAN], np.float32) if self._prior is None else self._prior.boxes
        shapes = ((1, config.global_dim), (1, len(REGIONS), config.region_dim))
        codes = tuple(torch.randn(shape, generator=generator) for shape in shapes)
        if self._prior is not None:
            codes = self._prior.sample(1, seed, config.global_dim)
        return _small(self._model.decode(*codes, torch.from_numpy(boxes)[None], _humans(1)))

    def _means(self, images: Images, boxes: Tensor) -> Images:
        found = self._model.encode(images, boxes, _humans(len(images)))
        return _small(self._model.decode(found.global_mu, found.regions_mu, boxes, _humans(len(images))))


def _humans(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.long)


def _small(images: Images) -> Images:
    return images if images.shape[-1] == SIDE else F.adaptive_avg_pool2d(images, SIDE)


class PcaContestant:
    """The first components of a PCA of faces at side 64; none of them: the mean face."""

    modes: tuple[variation.Mode, ...] = ()

    def __init__(self, pca: Pca, components: int) -> None:
        """Take as many components as there are, at most so many."""
        self._pca = Pca(pca.mean, pca.components[:components], pca.deviations[:components])
        self.latent_dim = len(self._pca.components)
        self.num_parameters = self._pca.mean.size + self._pca.components.size

    def reconstruct(self, rows: pa.Table) -> Images:
        """Project on the components."""
        return self._images(self._pca.reconstruct(load(rows, SIDE).images().flatten(1).numpy()))

    def vary(self, row: pa.Table, count: int, mode: variation.Mode, seed: int, noise: float) -> Images:
        """Refuse: there is no posterior."""
        raise NotImplementedError("a PCA has no posterior")

    def sample(self, seed: int) -> Images:
        """Draw scores from their Gaussian."""
        scores = np.random.default_rng(seed).standard_normal((1, self.latent_dim)) * self._pca.deviations
        return self._images(self._pca.mean + scores.astype(np.float32) @ self._pca.components)

    @staticmethod
    def _images(flat: np.ndarray) -> Images:
        return torch.from_numpy(np.ascontiguousarray(flat, np.float32)).view(-1, 3, SIDE, SIDE).clamp(-1, 1)


def model_type(uri: str) -> str:
    """Return the model type of a checkpoint or bare download; UserError for one that cannot be compared."""
    found = checkpoints.model_type(uri)
    if found not in MODEL_TYPES:
        raise UserError(f"{uri} must hold a complete {' or '.join(MODEL_TYPES)}, got {found or 'none'}")
    return found


def load_contestant(uri: str) -> ZooContestant | RegionContestant:
    """Load a checkpoint of either kind."""
    return (ZooContestant if model_type(uri) == zoo_loading.MODEL_TYPE else RegionContestant)(uri)


def expand(folders: tuple[str, ...]) -> dict[str, str]:
    """Return checkpoints by the name of their folder; a folder that is not itself a checkpoint stands for those directly inside it.

    UserError where there are none, or two of one name.
    """
    found: list[str] = []
    for uri in folders:
        if manifest.read(uri) is not None or checkpoints.of_hub(uri):
            found.append(uri)
            continue
        inside = [e.path.partition("/")[0] for e in uris.list_files(uri) if e.path.count("/") == 1]
        kept = [uris.join(uri, name) for name in sorted(set(inside))]
        kept = [one for one in kept if manifest.read(one) is not None or checkpoints.of_hub(one)]
        if not kept:
            raise UserError(f"{uri!r} must be a complete checkpoint or hold some, got neither")
        found += kept
    names = [uri.rstrip("/").rpartition("/")[2] for uri in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"checkpoints must lie in folders of different names, got {', '.join(twice)} twice")
    return dict(zip(names, found, strict=True))
