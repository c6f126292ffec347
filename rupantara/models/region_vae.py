"""The region-aware VAE of *Rupantara* (III.B): a global code and five region codes, conditioned on species.

What differs from the paper: one network serves both domains, so that a cosine between a human nose and a fox nose compares
like with like; domain and species enter the decoder only, as an embedding (`separate_domains` gives the paper's two networks).
Region codes see only their region's pixels, and the decoder places them back at the region's box. GroupNorm replaces
BatchNorm (batches are small, and there are no running statistics to average). A linear path beside the convolutions carries the coarse
picture and coarse regions: initialized by PCAs, it gives a face before the first step, and the convolutions learn finer detail and how
regions meet.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rupantara.landmarks.regions import REGIONS
from rupantara.models import placement
from rupantara.models.blocks import (
    PixelShuffle,
    PixelUnshuffle,
    ResBlock,
    SelfAttention,
    Upsample,
    downsample,
    reparameterize,
)
from rupantara.models.linear_path import START_LOGVAR, Components, LinearAutoencoder, start_certain
from rupantara.models.norm_silu import NormSiLU
from rupantara.tensors import GlobalCodes, Images, PartBoxes, RegionCodes, SpeciesIndex

HUMAN = "human"
GATE_BIAS = 3.0
"""The gate that lets the convolutions paint over the coarse picture starts at sigmoid(-3): almost closed."""

PAINT_SIDE = 96
"""Side at which the linear path's picture is composed: its regions are 24 px wide, so more holds nothing more."""


@dataclass(frozen=True)
class RegionVAEConfig:
    """Sizes of the network; `channels` hold one entry a stage, finest first.

    The first stage divides the side by `stem`, each later one by 2; `size` is divisible by all of them.
    """

    size: int = 128
    channels: tuple[int, ...] = (32, 64, 128, 192, 224)
    decoder_channels: tuple[int, ...] = (48, 96, 160, 224, 224)
    stem: int = 2
    global_dim: int = 512
    region_dim: int = 128
    region_side: int = 48
    region_encoder_channels: tuple[int, ...] = (32, 64, 128, 160)
    region_channels: int = 64
    species: tuple[str, ...] = field(default_factory=tuple)
    species_dim: int = 32
    base_side: int = 32
    base_rank: int = 384
    region_base_side: int = 24
    region_base_rank: int = 112
    separate_domains: bool = False
    region_context: bool = False
    """Whether the region codes also reach the decoder's coarsest maps, and so the whole face; else each reaches its own place alone."""
    variances: bool = True
    """Whether the encoder predicts variances for each face; a model packed for generation keeps only their means."""

    @property
    def coarse(self) -> int:
        """Return the side of the maps between encoder and decoder."""
        return self.size // (self.stem * 2 ** (len(self.channels) - 1))

    def species_index(self, names: Sequence[str]) -> Tensor:
        """Return the index of each species, 0 for humans; ValueError for one that the network does not know."""
        known = (HUMAN, *self.species)
        unknown = sorted(set(names) - set(known))
        if unknown:
            raise ValueError(f"species must be one of {', '.join(known)}, got {', '.join(map(repr, unknown))}")
        return torch.tensor([known.index(name) for name in names], dtype=torch.long)

    def domain_index(self, domains: Sequence[str]) -> Tensor:
        """Return what encoders need of the species: 0 for humans, else 1."""
        return torch.tensor([int(domain != HUMAN) for domain in domains], dtype=torch.long)


class RegionPosterior(NamedTuple):
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


L = TypeVar("L", nn.Conv2d, nn.Linear)

NECK = 64
"""Channels of the maps where the linear layers to and from codes meet the convolutions: they hold most of the parameters."""


class Encoder(nn.Module):
    """Strided stages of residual blocks, then linear layers to means and log variances."""

    def __init__(self, size: int, channels: tuple[int, ...], outputs: int, heads: int, stem: int = 2) -> None:
        """Build for square inputs of side `size`; `heads` linear layers of `outputs` each; attention where the side is 16."""
        super().__init__()
        fold = stem // 2
        layers: list[nn.Module] = [PixelUnshuffle(fold)] if fold > 1 else []
        previous, side = 3 * fold**2, size // fold
        for width in channels:
            side = -(-side // 2)
            layers += [downsample(previous, width), ResBlock(width)]
            if heads == 1 and side == 16:
                layers.append(SelfAttention(width))
            previous = width
        self.stages = nn.Sequential(
            *layers, NormSiLU(previous), nn.Identity(), nn.Conv2d(previous, NECK, 1), nn.Flatten()
        )
        self.heads = nn.ModuleList(nn.Linear(NECK * side * side, outputs) for _ in range(heads))

    def forward(self, x: Tensor) -> Tensor:
        """Encode [batch, 3, size, size] with the first head."""
        return self.heads[0](self.stages(x))


class RegionEncoder(Encoder):
    """One convolutional stack for all regions, and one linear head for each region."""

    def forward(self, x: Tensor) -> Tensor:
        """Encode crops [batch, 5, 3, side, side] to [batch, 5, outputs]."""
        batch = len(x)
        seen = self.stages(x.flatten(0, 1)).unflatten(0, (batch, len(REGIONS)))
        return torch.stack([head(seen[:, i]) for i, head in enumerate(self.heads)], dim=1)


def _zeroed(layer: L) -> L:
    """Initialize a layer to zero, so that it adds nothing at first."""
    nn.init.zeros_(layer.weight)
    return layer


def _step(before: int, after: int, side: int) -> nn.Sequential:
    """Build one decoder stage that ends at `side`, with attention at 16."""
    attention = [SelfAttention(after)] if side == 16 else []
    return nn.Sequential(Upsample(before, after), ResBlock(after), *attention)


class Decoder(nn.Module):
    """Global code up through the stages; region codes join at twice the stem's scale, each at its box."""

    def __init__(self, config: RegionVAEConfig) -> None:
        """Build; a species embedding is joined to every code."""
        super().__init__()
        c, self.coarse, self.region_channels = config.decoder_channels, config.coarse, config.region_channels
        self.join_side = config.size // (2 * config.stem)
        self.from_global = nn.Linear(config.global_dim + config.species_dim, NECK * self.coarse**2)
        self.from_context: nn.Linear | None = None
        if config.region_context:
            joined = len(REGIONS) * config.region_dim
            self.from_context = _zeroed(nn.Linear(joined, NECK * self.coarse**2, bias=False))
        self.widen = nn.Conv2d(NECK, c[-1], 1)
        self.from_regions = nn.ModuleList(
            nn.Linear(config.region_dim + config.species_dim, config.region_channels * 16) for _ in REGIONS
        )
        self.region_up = nn.Sequential(
            Upsample(config.region_channels, config.region_channels), ResBlock(config.region_channels)
        )
        widths = tuple(reversed(c))
        steps = [_step(widths[i], widths[i + 1], self.coarse * 2 ** (i + 1)) for i in range(len(c) - 1)]
        self.low = nn.Sequential(*steps[:-1])
        self.join = nn.Conv2d(c[1] + config.region_channels + 4, c[1], 1)
        self.high = nn.Sequential(ResBlock(c[1]), steps[-1])
        # The last stage is a pixel shuffle: convolutions at full size would cost half of the whole step.
        out = _zeroed(nn.Conv2d(c[0], 4 * config.stem**2, 3, padding=1))
        self.out = nn.Sequential(NormSiLU(c[0]), nn.Identity(), out, PixelShuffle(config.stem))

    def forward(self, global_z: Tensor, region_z: Tensor, boxes: PartBoxes, condition: Tensor, base: Images) -> Images:
        """Paint codes over the linear path's picture `base`: [batch, 3, size, size]."""
        coarsest = self.from_global(torch.cat([global_z, condition], dim=1))
        if self.from_context is not None:
            coarsest = coarsest + self.from_context(region_z.flatten(1))
        h = self.widen(coarsest.unflatten(1, (-1, self.coarse, self.coarse)))
        maps = torch.stack(
            [layer(torch.cat([region_z[:, i], condition], dim=1)) for i, layer in enumerate(self.from_regions)], dim=1
        )
        maps = self.region_up(maps.reshape(-1, self.region_channels, 4, 4)).unflatten(0, (-1, len(REGIONS)))
        weights = placement.part_weights(boxes, self.join_side).to(maps.dtype)
        placed, coverage = placement.blend_parts(placement.place_parts(maps, boxes, self.join_side), weights)
        at_join = F.adaptive_avg_pool2d(base, self.join_side).to(placed.dtype)
        h = self.join(torch.cat([self.low(h), placed, coverage.to(placed.dtype), at_join], dim=1))
        painted, gate = self.out(self.high(h)).split([3, 1], dim=1)
        coarse = placement.resize(base, painted.shape[-1])
        return coarse * (1 - torch.sigmoid(gate - GATE_BIAS)) + painted


class DomainNet(nn.Module):
    """Linear path, encoders and decoder of one domain, or of both."""

    def __init__(self, config: RegionVAEConfig) -> None:
        """Build with random weights."""
        super().__init__()
        self.config = config
        pixels, region_pixels = 3 * config.base_side**2, 3 * config.region_base_side**2
        self.base = LinearAutoencoder(pixels, config.base_rank, config.global_dim)
        self.region_bases = nn.ModuleList(
            LinearAutoencoder(region_pixels, config.region_base_rank, config.region_dim) for _ in REGIONS
        )
        outputs = 1 + config.variances
        self.global_encoder = Encoder(config.size, config.channels, outputs * config.global_dim, 1, config.stem)
        self.region_encoder = RegionEncoder(
            config.region_side, config.region_encoder_channels, outputs * config.region_dim, len(REGIONS)
        )
        self.decoder = Decoder(config)
        if config.variances:
            for head in (*self.global_encoder.heads, *self.region_encoder.heads):
                start_certain(head)
        else:
            self.register_buffer("global_logvar", torch.full((config.global_dim,), START_LOGVAR))
            self.register_buffer("regions_logvar", torch.full((len(REGIONS), config.region_dim), START_LOGVAR))

    def encode(self, images: Images, boxes: PartBoxes) -> RegionPosterior:
        """Encode aligned images with their part boxes; log variances are kept within [-10, 4]."""
        global_mu, global_logvar = self._split(self.global_encoder(images).float(), "global_logvar")
        global_mu = global_mu + self.base.encode(F.adaptive_avg_pool2d(images, self.config.base_side).flatten(1))
        crops = placement.cut_regions(images, boxes, self.config.region_side)
        regions_mu, regions_logvar = self._split(self.region_encoder(crops).float(), "regions_logvar")
        small = placement.cut_regions(images, boxes, self.config.region_base_side).flatten(2)
        linear = [path.encode(small[:, i]) for i, path in enumerate(self.region_paths())]
        regions_mu = regions_mu + torch.stack(linear, dim=1)
        return RegionPosterior(global_mu, global_logvar.clamp(-10, 4), regions_mu, regions_logvar.clamp(-10, 4))

    def _split(self, found: Tensor, fixed: str) -> tuple[Tensor, Tensor]:
        """Return means and log variances out of what a head says."""
        if not self.config.variances:
            return found, self.get_buffer(fixed).expand_as(found)
        mu, logvar = found.chunk(2, dim=-1)
        return mu, logvar

    def decode(self, global_z: GlobalCodes, region_z: RegionCodes, boxes: PartBoxes, condition: Tensor) -> Images:
        """Decode codes, conditioned on a species embedding."""
        return self.decoder(global_z, region_z, boxes, condition, self.paint(global_z, region_z, boxes))

    def paint(self, global_z: GlobalCodes, region_z: RegionCodes, boxes: PartBoxes) -> Images:
        """Paint the linear path's picture: the global code's, and over it the regions' at their boxes."""
        side, size = self.config.region_base_side, min(PAINT_SIDE, self.config.size)
        base = self.base.decode(global_z).unflatten(1, (3, self.config.base_side, self.config.base_side))
        base = placement.resize(base, size)
        patches = [
            path.decode(region_z[:, i]).unflatten(1, (3, side, side)) for i, path in enumerate(self.region_paths())
        ]
        layers = placement.place_parts(torch.stack(patches, dim=1), boxes, size)
        weights = placement.part_weights(boxes, size)
        placed, coverage = placement.blend_parts(placement.harmonize(layers, boxes, base), weights)
        return base * (1 - coverage) + placed

    def region_paths(self) -> Iterator[LinearAutoencoder]:
        """Yield the linear paths of the regions."""
        for path in self.region_bases:
            assert isinstance(path, LinearAutoencoder)
            yield path

    def warm_start(self, whole: Components, regions: Sequence[Components]) -> None:
        """Set the linear path to PCAs of small pictures and of each region's small crops: codes are whitened scores.

        Pictures have side `base_side` and crops `region_base_side`, flattened from [3, side, side].
        """
        self.base.warm_start(whole)
        for path, components in zip(self.region_paths(), regions, strict=True):
            path.warm_start(components)

    def linear_path_parameters(self) -> Iterator[nn.Parameter]:
        """Yield the parameters that `warm_start` sets."""
        yield from self.base.parameters()
        yield from self.region_bases.parameters()


class RegionVAE(nn.Module):
    """One network for both domains, or one each; the decoder is conditioned on species, humans being one of them."""

    def __init__(self, config: RegionVAEConfig) -> None:
        """Build with random weights; ValueError for sizes that do not fit."""
        super().__init__()
        check_sizes(config)
        self.config = config
        self.nets = nn.ModuleList(DomainNet(config) for _ in range(1 + config.separate_domains))
        self.species_embedding = nn.Embedding(1 + len(config.species), config.species_dim)

    def domain_nets(self) -> list[DomainNet]:
        """Return the networks: [both] or [human, animal]."""
        return [net for net in self.nets if isinstance(net, DomainNet)]

    def compilable(self) -> list[nn.Module]:
        """Return the blocks that `torch.compile` takes one by one: the whole network with its attention it does not."""
        return [block for block in self.modules() if isinstance(block, ResBlock | Upsample)]

    def encode(self, images: Images, boxes: PartBoxes, species: SpeciesIndex) -> RegionPosterior:
        """Encode aligned images; of the species, only the domain matters, and only with separate networks."""
        return RegionPosterior(*self._each(species, lambda net, rows: net.encode(images[rows], boxes[rows])))

    def decode(self, global_z: GlobalCodes, region_z: RegionCodes, boxes: PartBoxes, species: SpeciesIndex) -> Images:
        """Decode codes as a species: hybrids are human codes, with some region codes of animals, decoded as human (0)."""
        condition = self.species_embedding(species)
        return self._each(
            species, lambda net, rows: (net.decode(global_z[rows], region_z[rows], boxes[rows], condition[rows]),)
        )[0]

    def _each(
        self, species: SpeciesIndex, run: Callable[[DomainNet, Tensor | slice], Sequence[Tensor]]
    ) -> list[Tensor]:
        """Run each domain's network on its rows and put the answers back in order."""
        nets = self.domain_nets()
        if len(nets) == 1:
            return list(run(nets[0], slice(None)))
        rows = [torch.nonzero(species == 0)[:, 0], torch.nonzero(species > 0)[:, 0]]
        found = [run(net, chosen) for net, chosen in zip(nets, rows, strict=True) if len(chosen)]
        order = torch.argsort(torch.cat(rows))
        return [torch.cat(parts)[order] for parts in zip(*found, strict=True)]


def check_sizes(config: RegionVAEConfig) -> None:
    """Raise ValueError for sizes that do not fit."""
    stages, least = len(config.channels), 4
    if stages < least or len(config.decoder_channels) != stages:
        raise ValueError(
            f"encoder and decoder must have as many stages, at least {least}, got {config.channels} and"
            f" {config.decoder_channels}"
        )
    if config.stem not in (2, 4) or config.size % (config.stem * 2 ** (stages - 1)) or config.size < 32:
        raise ValueError(
            f"size must be at least 32 and divisible by stem * 2**(stages - 1), stem 2 or 4, got size {config.size},"
            f" stem {config.stem} and {stages} stages"
        )
