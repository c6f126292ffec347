"""Checkpoints of untrained networks, in the layout of a bare download: enough for routes, whose pictures nobody looks at."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from rupantara.generation import child_loading, decoder_loading, loading, zoo_loading
from rupantara.generation.face import sample_people
from rupantara.models import face_decoder, zoo
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs.region_vae import NAME, join
from rupantara.models.face_decoder import FaceDecoderConfig
from rupantara.models.texture_decoder import TextureDecoderConfig
from rupantara.storage import checkpoints
from rupantara.synthetic import draw_face

VECTOR = 16


def write(folder: Path, config: dict[str, Any], net: nn.Module) -> str:
    checkpoints.write(str(folder), config, net.state_dict(), "untrained")
    return str(folder)


def variations(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    config = zoo.CONFIGS["beta"]
    return write(folder, zoo_loading.config_dict(config), zoo.build(config))


def inversions(folder: Path) -> str:
    torch.manual_seed(0)
    points = torch.from_numpy(draw_face("human", 1, size=224).landmarks)
    sizes = TextureDecoderConfig(VECTOR, 8, (8, 8, 8), (1, 1, 1))
    for part in ("landmarks", "texture"):
        config = FaceDecoderConfig(part, "arcface", hidden=(8,), texture=sizes)
        net = face_decoder.build(config, points)
        for name, value in net.named_parameters():
            # Small changes of the mean face, so that it can be warped.
            value.data.mul_(0.05 if "weight" in name and part == "landmarks" else 1)
        write(folder / part, decoder_loading.config_dict(config), net)
    return str(folder)


def children(folder: Path, checkpoint: str) -> str:
    torch.manual_seed(0)
    loaded = loading.load(checkpoint)
    people = sample_people(loaded, range(12), 0, 1.0)
    codes = (torch.from_numpy(rows) for rows in (stack(people, "global_mu"), stack(people, "regions_mu")))
    config = ChildNetConfig(spread=4, feedforward=32)
    net = ChildNet(config)
    net.fit(join(*codes))
    return write(folder, child_loading.config_dict(config, NAME, loaded.sha256), net)


def stack(people: list[Any], name: str) -> Any:
    return np.stack([getattr(one, name) for one in people])
