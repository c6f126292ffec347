"""Pictures out of a VAE of the zoo: reconstructions, variations of one face, and faces from nowhere (`003_…`, 4.1 and 4.4).

Every draw comes from a seed and, for a face, from the face alone, so that neither a batch nor a worker changes a picture.
"""

import hashlib
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rupantara.models.zoo import ZooVAE
from rupantara.tensors import Images

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
