"""How a worker builds the task of a child's network."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rupantara.generation import codecs
from rupantara.models import pretrained
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.squeezenet import SqueezeNet
from rupantara.storage import weights
from rupantara.training.blender import BlenderObjective, CodeReader
from rupantara.training.blender_task import BlenderNetworks, BlenderTask
from rupantara.training.pairs import Rule

IDENTITY, FEATURES = "mobilefacenet", "squeezenet"


@dataclass(frozen=True)
class BlenderStart:
    """Builds the task on a worker; `known` are the tensors `mean`, `deviation`, `spread` of the codes, `reader` those of a CodeReader."""

    config: ChildNetConfig
    objective: BlenderObjective
    codec: str
    weights: str
    rule: Rule
    known: dict[str, np.ndarray]
    reader: tuple[np.ndarray, np.ndarray] | None = None

    def __call__(self, device: torch.device) -> BlenderTask:
        """Load the codec and the networks of losses and measures, and build the network from torch's seed."""
        model = ChildNet(self.config)
        for name, value in self.known.items():
            model.get_buffer(name).copy_(torch.from_numpy(value))
        codec = codecs.load(self.codec, model.moments)
        embed = pretrained.load_embed(self.weights).to(device) if weights.has(self.weights, IDENTITY) else None
        seen = pretrained.load_features(self.weights, FEATURES) if weights.has(self.weights, FEATURES) else None
        squeezenet = seen.to(device) if isinstance(seen, SqueezeNet) else None
        reader = CodeReader(*(torch.from_numpy(a).to(device) for a in self.reader)) if self.reader else None
        return BlenderTask(
            model, self.objective, codec.to(device), BlenderNetworks(embed, squeezenet, reader), self.rule, device
        )


def measure(
    rows: Any, config: ChildNetConfig, *, reading: bool
) -> tuple[dict[str, np.ndarray], tuple[np.ndarray, np.ndarray] | None]:
    """Measure laid-out rows: the moments and spread of their codes, and, if wanted, what reads identity off them."""
    wanted = ["tokens", *(["vector"] if reading else [])]
    parts = list(rows.select_columns(wanted).iter_batches(batch_size=1024))
    net = ChildNet(config)
    tokens = torch.from_numpy(np.concatenate([part["tokens"] for part in parts]))
    net.fit(tokens)
    known = {name: net.get_buffer(name).numpy() for name in ("mean", "deviation", "spread")}
    if not reading:
        return known, None
    vectors = np.concatenate([part["vector"] for part in parts])
    reader = CodeReader.fit(net.moments.standardize(tokens).numpy(), vectors)
    return known, (reader.weights.numpy(), reader.bias.numpy())
