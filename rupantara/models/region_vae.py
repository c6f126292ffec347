"""The region-aware VAE of *Rupantara* (III.B): a global code and five region codes, a human and an animal decoder.

What differs from the paper: the encoders are shared by both domains, so that a cosine between a human nose and a fox nose
compares like with like, and domain and species enter the decoders only; region codes see their region's pixels alone, and the
decoder places them back at the region's box; GroupNorm in place of BatchNorm (small batches, and no running statistics to
average). A linear path beside the convolutions carries the coarse picture and coarse regions: warm-started from PCAs it
gives a face before the first step, and the convolutions learn what is finer and how regions meet.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.landmarks.regions import REGIONS
from rupantara.models import placement
from rupantara.models.blocks import ResBlock, SelfAttention, Upsample, downsample, reparameterize
from rupantara.models.linear_path import Components, set_linear_path, start_certain
from rupantara.tensors import GlobalCodes, Images, PartBoxes, RegionCodes, SpeciesIndex


@dataclass(frozen=True)
class RegionVAEConfig:
    """Sizes of the network; `channels` holds one entry a stage, finest first, and `size` is divisible by 2 to their number."""

    size: int = 128
    channels: tuple[int, ...] = (64, 128, 192, 256, 256)
    global_dim: int = 512
    region_dim: int = 128
    region_side: int = 48
    region_channels: int = 64
    species: tuple[str, ...] = field(default_factory=tuple)
    species_dim: int = 32
    base_side: int = 32
    region_base_side: int = 24


class Posterior(NamedTuple):
    """Means and log variances of the codes: global [batch, global_dim], regions [batch, 5, region_dim]."""

    global_mu: GlobalCodes
    global_logvar: Tensor
    regions_mu: RegionCodes
    regions_logvar: Tensor

    def sample(self, generator: torch.Generator | None = None) -> tuple[GlobalCodes, RegionCodes]:
        """Draw codes by the reparameterization trick."""
        noise = [torch.randn(m.shape, generator=generator, device=m.device) for m in (self.global_mu, self.regions_mu)]
        return (
            reparameterize(self.global_mu, self.global_logvar, noise[0]),
            reparameterize(self.regions_mu, self.regions_logvar, noise[1]),
        )


class Encoder(nn.Module):
    """Strided stages of residual blocks, then one linear layer to means and log variances."""

    def __init__(self, size: int, channels: tuple[int, ...], outputs: int, heads: int, attention: bool) -> None:
        """Build for square inputs of side `size`; `heads` linear layers of `outputs` each."""
        super().__init__()
        layers: list[nn.Module] = []
        previous = 3
        for depth, width in enumerate(channels):
            layers += [downsample(previous, width), ResBlock(width)]
            if attention and size // 2 ** (depth + 1) == 16:
                layers.append(SelfAttention(width))
            previous = width
        self.stages = nn.Sequential(*layers, nn.GroupNorm(8, previous), nn.SiLU(), nn.Flatten())
        side = -(-size // 2 ** len(channels))
        self.heads = nn.ModuleList(nn.Linear(previous * side * side, outputs) for _ in range(heads))

    def forward(self, x: Tensor) -> Tensor:
        """Encode [batch, 3, size, size] with the first head."""
        return self.heads[0](self.stages(x))


class RegionEncoder(Encoder):
    """One stack for all regions and both domains, one linear head a region."""

    def forward(self, x: Tensor) -> Tensor:
        """Encode crops [batch, 5, 3, side, side] to [batch, 5, outputs]."""
        batch = len(x)
        seen = self.stages(x.flatten(0, 1)).unflatten(0, (batch, len(REGIONS)))
        return torch.stack([head(seen[:, i]) for i, head in enumerate(self.heads)], dim=1)


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """Let a last layer start by adding nothing."""
    nn.init.zeros_(layer.weight)
    return layer


def _step(before: int, after: int, side: int) -> nn.Sequential:
    """Build one decoder stage that ends at `side`, with attention at 16."""
    attention = [SelfAttention(after)] if side == 16 else []
    return nn.Sequential(Upsample(before, after), ResBlock(after), *attention)


class Decoder(nn.Module):
    """Global code up through the stages; region codes join at a quarter of the output's size, each at its box."""

    def __init__(self, config: RegionVAEConfig, condition_dim: int) -> None:
        """Build; `condition_dim` numbers (a species embedding) are joined to every code."""
        super().__init__()
        c, self.size, self.quarter = config.channels, config.size, config.size // 4
        self.coarse = config.size // 2 ** len(c)
        self.region_channels, self.base_side = config.region_channels, config.base_side
        self.region_base_side = config.region_base_side
        self.base = nn.Linear(config.global_dim, 3 * config.base_side**2)
        self.region_bases = nn.ModuleList(nn.Linear(config.region_dim, 3 * config.region_base_side**2) for _ in REGIONS)
        self.from_global = nn.Linear(config.global_dim + condition_dim, c[-1] * self.coarse**2)
        self.from_regions = nn.ModuleList(
            nn.Linear(config.region_dim + condition_dim, config.region_channels * 64) for _ in REGIONS
        )
        self.region_up = nn.Sequential(
            ResBlock(config.region_channels), Upsample(config.region_channels, config.region_channels)
        )
        widths = tuple(reversed(c))
        steps = [_step(widths[i], widths[i + 1], self.coarse * 2 ** (i + 1)) for i in range(len(c) - 1)]
        joined = c[1]
        self.low = nn.Sequential(*steps[:-1])
        self.join = nn.Conv2d(joined + config.region_channels + 4, joined, 1)
        self.high = nn.Sequential(ResBlock(joined), ResBlock(joined), steps[-1], ResBlock(c[0]))
        # The last stage is a pixel shuffle: convolutions at full size would cost half of the whole step.
        self.out = nn.Sequential(
            nn.GroupNorm(8, c[0]), nn.SiLU(), _zeroed(nn.Conv2d(c[0], 16, 3, padding=1)), nn.PixelShuffle(2)
        )

    def forward(self, global_z: Tensor, region_z: Tensor, boxes: PartBoxes, condition: Tensor) -> Images:
        """Decode codes to images [batch, 3, size, size]."""
        h = self.from_global(torch.cat([global_z, condition], dim=1)).unflatten(1, (-1, self.coarse, self.coarse))
        maps = torch.stack(
            [layer(torch.cat([region_z[:, i], condition], dim=1)) for i, layer in enumerate(self.from_regions)], dim=1
        )
        maps = self.region_up(maps.reshape(-1, self.region_channels, 8, 8)).unflatten(0, (-1, len(REGIONS)))
        weights = placement.part_weights(boxes, self.quarter).to(maps.dtype)
        placed, coverage = placement.blend_parts(placement.place_parts(maps, boxes, self.quarter), weights)
        base = self._paint_base(global_z, region_z, boxes)
        at_join = F.avg_pool2d(base, self.size // self.quarter).to(placed.dtype)
        h = self.join(torch.cat([self.low(h), placed, coverage.to(placed.dtype), at_join], dim=1))
        painted = self.out(self.high(h)).float()
        gate = torch.sigmoid(painted[:, 3:] - GATE_BIAS)
        return base * (1 - gate) + painted[:, :3]

    def _paint_base(self, global_z: Tensor, region_z: Tensor, boxes: Tensor) -> Tensor:
        """Paint the linear path's picture: the global code's, and over it the regions' at their boxes."""
        side = self.region_base_side
        base = self.base(global_z).float().unflatten(1, (3, self.base_side, self.base_side))
        base = F.interpolate(base, size=(self.size, self.size), mode="bilinear", align_corners=False)
        patches = [
            layer(region_z[:, i]).float().unflatten(1, (3, side, side)) for i, layer in enumerate(self.region_bases)
        ]
        layers = placement.place_parts(torch.stack(patches, dim=1), boxes, self.size)
        weights = placement.part_weights(boxes, self.size)
        placed, coverage = placement.blend_parts(placement.harmonize(layers, weights, base), weights)
        return base * (1 - coverage) + placed


GATE_BIAS = 3.0
"""The gate that lets the convolutions paint over the coarse picture starts at sigmoid(-3): almost closed."""


class RegionVAE(nn.Module):
    """Shared encoders; a human decoder and a species-conditional animal decoder."""

    def __init__(self, config: RegionVAEConfig) -> None:
        """Build with random weights."""
        super().__init__()
        if config.size % 2 ** len(config.channels) or len(config.channels) < 4:
            raise ValueError(
                f"size must be divisible by 2**stages, stages at least 4, got {config.size}, {config.channels}"
            )
        self.config = config
        self.base_encoder = nn.Linear(3 * config.base_side**2, config.global_dim)
        self.region_base_encoders = nn.ModuleList(
            nn.Linear(3 * config.region_base_side**2, config.region_dim) for _ in REGIONS
        )
        self.global_encoder = Encoder(config.size, config.channels, 2 * config.global_dim, 1, attention=True)
        self.region_encoder = RegionEncoder(
            config.region_side, (48, 96, 160), 2 * config.region_dim, len(REGIONS), attention=False
        )
        self.human_decoder = Decoder(config, 0)
        self.animal_decoder = Decoder(config, config.species_dim)
        self.species_embedding = nn.Embedding(max(1, len(config.species)), config.species_dim)
        for head in (*self.global_encoder.heads, *self.region_encoder.heads):
            start_certain(head)

    def encode(self, images: Images, boxes: PartBoxes) -> Posterior:
        """Encode aligned images with their part boxes; log variances are kept within [-10, 4]."""
        global_mu, global_logvar = self.global_encoder(images).float().chunk(2, dim=1)
        small = F.adaptive_avg_pool2d(images, self.config.base_side).flatten(1)
        global_mu = global_mu + self.base_encoder(small).float()
        crops = placement.cut_regions(images, boxes, self.config.region_side)
        regions_mu, regions_logvar = self.region_encoder(crops).float().chunk(2, dim=2)
        small = placement.cut_regions(images, boxes, self.config.region_base_side).flatten(2)
        linear = [layer(small[:, i]).float() for i, layer in enumerate(self.region_base_encoders)]
        regions_mu = regions_mu + torch.stack(linear, dim=1)
        return Posterior(global_mu, global_logvar.clamp(-10, 4), regions_mu, regions_logvar.clamp(-10, 4))

    def warm_start(self, whole: Components, regions: Sequence[Components]) -> None:
        """Set the linear path to PCAs of small pictures and of each region's small crops: codes are whitened scores.

        Pictures have side `base_side` and crops `region_base_side`, flattened from [3, side, side].
        """
        decoders = (self.human_decoder, self.animal_decoder)
        set_linear_path(self.base_encoder, [d.base for d in decoders], whole)
        for i, components in enumerate(regions):
            set_linear_path(self.region_base_encoders[i], [d.region_bases[i] for d in decoders], components)

    def linear_path_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that `warm_start` sets."""
        decoders = (self.human_decoder, self.animal_decoder)
        for module in (
            self.base_encoder,
            self.region_base_encoders,
            *(m for d in decoders for m in (d.base, d.region_bases)),
        ):
            yield from module.parameters()

    def decode_human(self, global_z: GlobalCodes, region_z: RegionCodes, boxes: PartBoxes) -> Images:
        """Decode with the human decoder; hybrids are human codes with some region codes of animals."""
        return self.human_decoder(global_z, region_z, boxes, global_z.new_zeros(len(global_z), 0))

    def decode_animal(
        self, global_z: GlobalCodes, region_z: RegionCodes, boxes: PartBoxes, species: SpeciesIndex
    ) -> Images:
        """Decode with the animal decoder, conditioned on species."""
        return self.animal_decoder(global_z, region_z, boxes, self.species_embedding(species))
