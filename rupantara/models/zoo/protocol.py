"""What the four VAEs of `003_…` share: encode to a Gaussian, decode to pictures, deterministic and stochastic modes.

Pictures come and go as `Images` in [-1, 1] like everywhere in this project; inside, networks and losses work on the paper's
scale, [0, 1].
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rupantara.models.blocks import reparameterize
from rupantara.tensors import Images

SIDE = 64
"""Side of the paper's pictures, px."""

VALUES = 3 * SIDE**2
"""Numbers in a picture."""

LEAK = 0.2
"""Slope of LeakyReLU below zero; the paper names none, this is DCGAN's (Radford et al., 2016)."""

Codes = Float[Tensor, "batch latent_dim"]
"""Latent codes z."""


@dataclass(frozen=True)
class ZooConfig:
    """Which of the zoo's networks, and its sizes; `channels` are the encoder's, finest first."""

    name: str
    latent_dim: int
    channels: tuple[int, int, int, int]


class Posterior(NamedTuple):
    """The Gaussian q(z|x): mean and log variance of each code, [batch, latent_dim]."""

    mu: Codes
    logvar: Codes

    def sample(self, generator: torch.Generator | None = None) -> Codes:
        """Draw z = mu + sigma * epsilon."""
        return reparameterize(self.mu, self.logvar, torch.randn(self.mu.shape, generator=generator).to(self.mu))


class ZooVAE(nn.Module):
    """A VAE out of an encoder to `hidden` numbers, two linear heads, and a decoder that ends in a sigmoid."""

    def __init__(self, config: ZooConfig, encoder: nn.Module, hidden: int, decoder: nn.Module) -> None:
        """Take pictures in [0, 1] to `hidden` numbers by `encoder`, and codes to pictures in [0, 1] by `decoder`."""
        super().__init__()
        self.config, self.encoder, self.decoder = config, encoder, decoder
        self.to_mu, self.to_logvar = (nn.Linear(hidden, config.latent_dim) for _ in range(2))

    def encode(self, images: Images) -> Posterior:
        """Encode pictures of side SIDE; log variances are kept within [-10, 4]."""
        found = self.encoder((images + 1) / 2)
        return Posterior(self.to_mu(found).float(), self.to_logvar(found).float().clamp(-10, 4))

    def decode(self, codes: Codes) -> Images:
        """Decode codes."""
        return self.decoder(codes).float() * 2 - 1

    def forward(
        self, images: Images, *, deterministic: bool = False, generator: torch.Generator | None = None
    ) -> tuple[Images, Posterior]:
        """Reconstruct from z = mu in deterministic mode, else from a draw of the posterior (`003_…`, 4.1)."""
        found = self.encode(images)
        return self.decode(found.mu if deterministic else found.sample(generator)), found


def leaky_encoder(channels: tuple[int, int, int, int]) -> nn.Sequential:
    """Build four convolutions of stride 2, each with batch normalisation and LeakyReLU: SIDE to SIDE / 16, flattened."""
    layers: list[nn.Module] = []
    for before, after in zip((3, *channels), channels, strict=False):
        layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, nn.Flatten())


def leaky_decoder(config: ZooConfig, mode: str) -> nn.Sequential:
    """Build the mirror of `leaky_encoder`: four times interpolate and convolve, the last to RGB by a sigmoid."""
    widths = tuple(reversed(config.channels))
    layers: list[nn.Module] = [nn.Linear(config.latent_dim, widths[0] * 16), nn.Unflatten(1, (widths[0], 4, 4))]
    for before, after in pairwise(widths):
        layers += [nn.Upsample(scale_factor=2, mode=mode), _same(before, after, bias=False)]
        layers += [nn.BatchNorm2d(after), nn.LeakyReLU(LEAK)]
    return nn.Sequential(*layers, nn.Upsample(scale_factor=2, mode=mode), _same(widths[-1], 3), nn.Sigmoid())


def _same(before: int, after: int, *, bias: bool = True) -> nn.Conv2d:
    """Build a 3 x 3 convolution that keeps the size; borders repeat, as in Hou et al. (2017), so that none shows."""
    return nn.Conv2d(before, after, 3, padding=1, padding_mode="replicate", bias=bias)
