"""A small region VAE with a linear path of grey pixels, and a network of children over its codes."""

import numpy as np
import torch

from rupantara.generation.child_loading import LoadedBlender
from rupantara.landmarks.regions import CANONICAL
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs.region_vae import RegionVAECodec, join
from rupantara.models.linear_path import Components
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig

BOXES = np.array(CANONICAL["human"], np.float32)

SIZES = RegionVAEConfig(
    size=64,
    channels=(8,) * 4,
    decoder_channels=(8,) * 4,
    region_side=24,
    region_encoder_channels=(8, 8),
    base_side=16,
    base_rank=256,
)


def region_vae(seed: int = 0) -> RegionVAE:
    """Build one with random weights, whose linear path shows a grey pixel a number."""
    torch.manual_seed(seed)
    model = RegionVAE(SIZES)
    net = model.domain_nets()[0]
    axes = torch.eye(net.base.rank).repeat(1, 3) / 3**0.5
    net.base.warm_start(Components(torch.zeros(axes.shape[1]), axes, torch.linspace(2, 0.5, net.base.rank)))
    torch.nn.init.normal_(net.decoder.out[2].weight, std=0.1)  # It starts by adding nothing.
    return model.eval().requires_grad_(False)


def blender(model: RegionVAE | None = None, sha256: str = "vae", **config: object) -> LoadedBlender:
    """Build an untrained network of children over the codes of random people."""
    model = model or region_vae()
    net = ChildNet(ChildNetConfig(spread=8, feedforward=32, **config))  # ty: ignore[invalid-argument-type]
    generator = torch.Generator().manual_seed(1)
    raw = join(torch.randn(40, 512, generator=generator), torch.randn(40, 5, 128, generator=generator))
    raw[:, 3] = 0.0  # Beyond the linear path's rank, as in the shipped model.
    net.fit(raw)
    net = net.eval().requires_grad_(False)
    return LoadedBlender(net, RegionVAECodec(model, net.moments, sha256), "net")
