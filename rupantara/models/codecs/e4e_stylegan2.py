"""e4e and StyleGAN2 as a codec (`002_…`, 3.2): a face aligned as FFHQ's to W+ and back, one token a layer."""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.errors import UserError
from rupantara.models import e4e, stylegan2_keys
from rupantara.models.codecs.protocol import CodeLayout, Moments
from rupantara.models.e4e import E4EEncoder
from rupantara.models.stylegan2 import StyleGAN2
from rupantara.tensors import Images, PartBoxes, Tokens

NAME = "e4e_stylegan2"
MIDDLE, FINE = 4, 8
"""First tokens of the middle and the fine level (ChildNet's levels: 0-3, 4-7, 8-17)."""

KEYPOINTS = ((0.375, 0.474), (0.625, 0.474), (0.5, 0.622), (0.389, 0.732), (0.611, 0.732))
"""Where FFHQ's alignment (eyes a quarter of the side apart) puts the five keypoints of a face of mean proportions."""


def layout_of(layers: int, dim: int) -> CodeLayout:
    """Return the layout of W+; small generators have fewer levels."""
    levels = {"coarse": (0, MIDDLE), "middle": (MIDDLE, FINE), "fine": (FINE, layers)}
    groups = {name: tuple(range(start, min(stop, layers))) for name, (start, stop) in levels.items() if start < layers}
    return CodeLayout(NAME, layers, dim, groups)


class E4EStyleGAN2Codec:
    """Tokens of W+; pictures of the generator's side."""

    keypoints: tuple[tuple[float, float], ...] = KEYPOINTS

    def __init__(
        self, encoder: E4EEncoder, generator: StyleGAN2, moments: Moments | None = None, sha256: str = ""
    ) -> None:
        """Take both networks in evaluation mode; without moments codes are standardized about the mean code, by 1.

        UserError where the encoder's styles are not the generator's.
        """
        layers, dim = generator.config.num_layers, generator.config.style_dim
        if encoder.latent_avg.shape != (layers, dim):
            found = list(encoder.latent_avg.shape)
            raise UserError(f"the encoder must have the generator's styles [{layers}, {dim}], got {found}")
        self.encoder, self.generator = encoder, generator
        self.sha256 = self.codes_sha256 = sha256
        self.layout, self.side = layout_of(layers, dim), generator.config.size
        self.moments = moments or Moments(encoder.latent_avg.cpu(), torch.ones(layers, dim))

    def to(self, device: torch.device) -> "E4EStyleGAN2Codec":
        """Move to a device."""
        self.encoder.to(device)
        self.generator.to(device)
        return self

    def encode(self, images: Images, boxes: PartBoxes) -> Tokens:
        """Encode pictures of any size, brought to e4e's 256."""
        small = F.interpolate(images, (e4e.SIDE, e4e.SIDE), mode="bilinear", antialias=True, align_corners=False)
        return self.moments.standardize(self.encoder(small))

    def decode(self, tokens: Tokens, boxes: PartBoxes) -> Images:
        """Decode with the stored noise."""
        dtype = torch.get_autocast_dtype(tokens.device.type) if torch.is_autocast_enabled(tokens.device.type) else None
        return self.generator(self.moments.restore(tokens), dtype=dtype)

    def surround(self, tokens: Tokens, place: Tokens) -> Tokens:
        """Take the fine level (colours, light, texture) from `place`; one generated picture has one background in any case."""
        out = tokens.clone()
        fine = list(self.layout.groups.get("fine", ()))
        out[:, fine] = place[:, fine]
        return out


def from_published(
    state: Mapping[str, Tensor], latent_avg: Tensor, moments: Moments | None = None, sha256: str = ""
) -> E4EStyleGAN2Codec:
    """Build the codec of `e4e_ffhq_encode.pt`: its encoder and the decoder inside it."""
    generator = stylegan2_keys.from_published(state, "decoder.")
    return E4EStyleGAN2Codec(e4e.from_published(state, latent_avg), generator, moments, sha256)


def random(size: int = 1024, seed: int = 0) -> E4EStyleGAN2Codec:
    """Build the published layouts with seeded random weights: what they cost, and that all is there, without their files."""
    from rupantara.models.stylegan2 import StyleGAN2Config

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        generator = StyleGAN2(StyleGAN2Config(size)).eval().requires_grad_(False)
        encoder = E4EEncoder(2 * int(math.log2(size)) - 2).eval().requires_grad_(False)
    return E4EStyleGAN2Codec(encoder, generator, sha256=f"random-{seed}")
