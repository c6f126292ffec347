"""Checkpoints of untrained networks, in the layout of a bare download: enough for routes, whose pictures nobody looks at."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from rupantara import schema
from rupantara.features.extractor import ExtractorNetworks, Spec
from rupantara.features.region_features import RegionFeatures
from rupantara.generation import child_loading, loading, zoo_loading
from rupantara.generation.face import sample_people
from rupantara.models import zoo
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs.region_vae import NAME, join
from rupantara.storage import checkpoints
from tests.banks import bank_job, write_features


def write(folder: Path, config: dict[str, Any], net: nn.Module) -> str:
    checkpoints.write(str(folder), config, net.state_dict(), "untrained")
    return str(folder)


def variations(folder: Path, seed: int) -> str:
    torch.manual_seed(seed)
    config = zoo.CONFIGS["beta"]
    return write(folder, zoo_loading.config_dict(config), zoo.build(config))


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


def likeness(folder: Path) -> str:
    """A bank of random region features, as the shipped network would make them."""
    rng = np.random.default_rng(0)
    source, spec = ExtractorNetworks(), Spec("region_features")
    made = RegionFeatures(spec, source).columns[0]
    names = [f"{i:032x}-0" for i in range(48)]
    domains = ["animal"] * 24 + ["human"] * 24
    species = [("cat", "dog", "fox")[i % 3] for i in range(24)] + ["human"] * 24
    codes = np.abs(rng.standard_normal((48, made.type.list_size))).astype(np.float32)
    rows = pa.table(
        [names, domains, species, ["train"] * 48, schema.vector_array(codes)], schema=schema.features([made])
    )
    features = write_features(folder / "features", rows)
    found = bank_job(folder / "bank", features=features, vectors="region_features", alignment="auto")
    return found.uri
