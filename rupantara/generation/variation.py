"""Pictures out of a VAE of the zoo: reconstructions, variations of one face, and faces from nowhere (`003_…`, 4.1 and 4.4).

Every draw comes from a seed and, for a face, from the face alone, so that neither a batch nor a worker changes a picture.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rupantara.errors import UserError
from rupantara.generation import provenance, zoo_loading
from rupantara.generation.face import FaceCrop
from rupantara.generation.protocol import Generated, Record
from rupantara.generation.zoo_loading import LoadedZooVAE
from rupantara.imaging import codec
from rupantara.models.zoo import SIDE, ZooVAE
from rupantara.tensors import Images, device_of, to_images, to_pictures

Mode = Literal["posterior", "input_noise", "prior"]
Image = Float[Tensor, "3 height width"]

NOISE = 0.1
"""Standard deviation of the input's noise on the scale [0, 1]; the paper says "small"."""


def seed_of(seed: int, *parts: str) -> int:
    """Mix a seed with names (a face id, a mode) into one of 63 bits."""
    text = "/".join((str(seed), *parts))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def _normal(shape: tuple[int, ...], seed: int, like: Tensor) -> Tensor:
    """Draw row after row: the first of many rows are those of few (torch's own draws depend on how many there are)."""
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape, np.float32)).to(like)


@torch.inference_mode()
def reconstruct(model: ZooVAE, images: Images) -> Images:
    """Decode the posterior's means: deterministic mode."""
    return model.decode(model.encode(images).mu)


@torch.inference_mode()
def from_posterior(model: ZooVAE, image: Image, count: int, seed: int) -> Images:
    """Decode `count` draws of one face's posterior."""
    mu, logvar = model.encode(image[None])
    return model.decode(mu + torch.exp(0.5 * logvar) * _normal((count, mu.shape[1]), seed, mu))


@torch.inference_mode()
def from_input_noise(model: ZooVAE, image: Image, count: int, seed: int, noise: float = NOISE) -> Images:
    """Add noise to one face `count` times and decode the means: what differs comes from the noise alone."""
    # A span of 1 on the scale [0, 1] is 2 on [-1, 1].
    noisy = image + 2 * noise * _normal((count, *image.shape), seed, image)
    return reconstruct(model, noisy.clamp(-1, 1))


@torch.inference_mode()
def from_prior(model: ZooVAE, count: int, seed: int) -> Images:
    """Decode `count` draws of N(0, I): faces of nobody."""
    return model.decode(_normal((count, model.config.latent_dim), seed, next(model.parameters())))


def vary(model: ZooVAE, image: Image, count: int, mode: Mode, seed: int, noise: float = NOISE) -> Images:
    """Make `count` variations of one face; in mode `prior` the face plays no part."""
    if mode == "posterior":
        return from_posterior(model, image, count, seed)
    if mode == "input_noise":
        return from_input_noise(model, image, count, seed, noise)
    return from_prior(model, count, seed)


@dataclass(frozen=True)
class VariationRequest:
    """A face and how many variations of it are wanted; in mode `prior` no face, and the faces of nobody from `first` on."""

    face: FaceCrop | None = None
    count: int = 10
    mode: Mode = "posterior"
    noise: float = NOISE
    seed: int = 0
    first: int = 0

    def check(self) -> None:
        """Raise UserError for what could never be met."""
        if self.mode not in get_args(Mode):
            raise UserError(f"mode must be one of {', '.join(get_args(Mode))}, got {self.mode!r}")
        if self.count < 1 or not 0 <= self.noise < math.inf:
            raise UserError(f"count must be at least 1 and noise not negative, got {self.count}, {self.noise}")
        if (self.face is None) != (self.mode == "prior"):
            raise UserError("a face must be given, but in mode prior, where it plays no part")


class VariationGenerator:
    """Varies faces with a VAE of the zoo; its pictures are 64 x 64."""

    kind = "variation"

    def __init__(self, checkpoint: str | LoadedZooVAE, device: str = "cpu") -> None:
        """Load the network."""
        self._loaded = zoo_loading.load(checkpoint) if isinstance(checkpoint, str) else checkpoint
        self._loaded.model.to(device)

    def generate(self, requests: Sequence[VariationRequest]) -> list[list[Generated]]:
        """Return the variations of each request's face: number i depends on the seed and the face, not on the batch."""
        for request in requests:
            request.check()
        return [self._samples(request) if request.face is None else self._varied(request) for request in requests]

    def _samples(self, request: VariationRequest) -> list[Generated]:
        """Draw faces of nobody, each from its own number's seed."""
        out = []
        for number in range(request.first, request.first + request.count):
            seed = seed_of(request.seed, request.mode, str(number))
            (picture,) = to_pictures(from_prior(self._loaded.model, 1, seed))
            out.append(Generated(self._record("sample", [], request.mode, seed, {"number": number}), picture))
        return out

    def _varied(self, request: VariationRequest) -> list[Generated]:
        assert request.face is not None
        face_id, small = request.face.face_id, codec.resize(request.face.picture, SIDE)
        seed = seed_of(request.seed, request.mode, face_id)
        image = to_images(small[None])[0].to(device_of(self._loaded.model))
        made = vary(self._loaded.model, image, request.count, request.mode, seed, request.noise)
        about = {"count": request.count} | ({"noise": request.noise} if request.mode == "input_noise" else {})
        return [
            Generated(self._record("variation", [face_id], request.mode, seed, about | {"number": number}), picture)
            for number, picture in enumerate(to_pictures(made))
        ]

    def _record(self, kind: str, face_ids: list[str], mode: Mode, seed: int, about: dict[str, Any]) -> Record:
        about = about | {"mode": mode, "model": self._loaded.model.config.name}
        return provenance.record(kind, face_ids, about, seed=seed, model_sha256=[self._loaded.sha256])
