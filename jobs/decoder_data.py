"""What the training of decoders reads: rows of features tables, decoded once into the object store, and what a decoder starts from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray.data
import torch

from rupantara import schema
from rupantara.errors import UserError
from rupantara.models.kernel_features import KernelFeatures
from rupantara.models.landmark_decoder import Standardize
from rupantara.models.texture_decoder import TextureDecoderConfig
from rupantara.stages.decoder_rows import DecoderRows, usable
from rupantara.stages.faces import at_most
from rupantara.stages.train_decoder import STREAM, WarmStart
from rupantara.storage import manifest, tables
from rupantara.training.ridge import RidgeSums

log = logging.getLogger("jobs")
MOST_FITTED = 30_000
"""Rows at most that the linear path's regression is fitted on."""


@dataclass(frozen=True)
class Sets:
    """Face ids of the train and the validation set."""

    train: frozenset[str]
    val: frozenset[str]


def choose(uris: Sequence[str], rows: DecoderRows, most: dict[str, int], seed: int) -> Sets:
    """Choose faces that have all of the columns that `rows` reads; the first table is also the validation's.

    Says in the log how many of a split lack one; UserError where a set has fewer than two.
    """
    ids: dict[str, dict[str, str]] = {"train": {}, "val": {}}
    total = {"train": 0, "val": 0}
    vector = rows.columns[0]
    for number, uri in enumerate(uris):
        for part in tables.read_parts(uri, ("face_id", "domain", "split", vector, schema.LANDMARKS), schema="features"):
            for split in ("train", "val") if number == 0 else ("train",):
                people = schema.where(part, domain="human", split=split)
                total[split] += people.num_rows
                whole = usable(people, (vector, schema.LANDMARKS), "")
                ids[split] |= dict.fromkeys(whole["face_id"].to_pylist(), "human")
    for split, found in ids.items():
        if total[split] > len(found):
            log.info(
                "%d of %d %s rows lack a vector or landmarks, or are there twice",
                total[split] - len(found),
                total[split],
                split,
            )
        if len(found) < 2:
            raise UserError(
                f"{uris[0]} must have at least 2 {split} humans with vectors and landmarks, got {len(found)}"
            )
    return Sets(*(frozenset(at_most(ids[split], most[split], seed)) for split in ("train", "val")))


def datasets(uris: Sequence[str], rows: DecoderRows, chosen: Sets, seed: int) -> dict[str, ray.data.Dataset]:
    """Lay out the streams `face` and `val_face`."""
    # The order of rows decides what a seed means.
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    laid = {}
    for name, split in ((STREAM, "train"), (f"val_{STREAM}", "val")):
        own = uris if split == "train" else uris[:1]
        files = [{"table": uri, "path": f.path} for uri in own for f in manifest.require(uri, "features").data]
        stage: Any = rows.of(split, getattr(chosen, split))
        stream = ray.data.from_items(files, override_num_blocks=len(files)).map_batches(stage, batch_size=1)
        laid[name] = (stream.random_shuffle(seed=seed) if split == "train" else stream).materialize()
    return laid


def warm_start(
    streams: dict[str, ray.data.Dataset], mean_points: Sequence[float], dim: int, config: TextureDecoderConfig | None
) -> tuple[WarmStart, TextureDecoderConfig | None]:
    """Measure the train vectors and, for a linear path, fit its regression on pictures.

    Returns the config with as many kernel centers as there are rows, at most, and a rank of the path's inputs, at most.
    """
    stream, held = streams[STREAM].limit(MOST_FITTED), streams[f"val_{STREAM}"]
    moments = RidgeSums.empty(dim, 1)
    for batch in stream.iter_batches(batch_size=256):
        moments.update(batch["vector"], _targets(batch, 0))
    standardize = Standardize(dim)
    mean, deviations = moments.vectors / moments.count, moments.deviations
    standardize.fit(*(torch.from_numpy(x).float() for x in (mean, deviations)))
    warm = {
        "mean_points": np.asarray(mean_points, np.float64).reshape(68, 2),
        "mean": mean,
        "deviations": deviations,
    }
    if config and config.linear_rank:
        centers = min(config.kernel_centers, moments.count)
        config = replace(config, kernel_centers=centers, linear_rank=min(config.linear_rank, centers or dim))
        warm |= _linear_start(stream, held, standardize, config)
    return {name: np.asarray(value, np.float32) for name, value in warm.items()}, config


def _linear_start(
    stream: ray.data.Dataset, held: ray.data.Dataset, standardize: Standardize, config: TextureDecoderConfig
) -> dict[str, np.ndarray]:
    """Fit a linear path: the penalty of its ridge regression is that of the least error on the first of the held-out rows."""
    turn, found = np.eye(config.input_dim, dtype=np.float32), {}
    kernel = None
    if config.kernel_centers:
        # The rows are shuffled: the first are any.
        first = next(iter(stream.limit(config.kernel_centers).iter_batches(batch_size=config.kernel_centers)))
        centers = standardize(torch.from_numpy(np.array(first["vector"])))
        kernel = KernelFeatures(config.input_dim, config.kernel_centers)
        kernel.fit(centers)
        turn, found = kernel.whitening().numpy(), {"centers": centers.numpy()}

    def features(vectors: np.ndarray) -> np.ndarray:
        standard = standardize(torch.from_numpy(np.array(vectors)))
        return (standard if kernel is None else kernel(standard)).numpy() @ turn

    sums = RidgeSums.empty(len(turn), 3 * config.linear_side**2)
    for batch in stream.iter_batches(batch_size=256):
        sums.update(features(batch["vector"]), _targets(batch, config.linear_side))
    judged = next(iter(held.iter_batches(batch_size=512)))
    factors, penalty = sums.fit(features(judged["vector"]), _targets(judged, config.linear_side), config.linear_rank)
    of = f"{config.kernel_centers} kernel features" if config.kernel_centers else "the vectors"
    log.info("linear path of %s: rank %d, fitted on %d faces, penalty %g", of, config.linear_rank, sums.count, penalty)
    picture = factors.mean_target - (factors.mean_vector @ factors.down) @ factors.up
    return found | {"down": turn @ factors.down, "up": factors.up, "picture": picture}


def _targets(batch: Any, side: int) -> np.ndarray:
    """Return pictures as rows, channel by channel, in [-1, 1], at a side; one zero each for side 0."""
    if not side:
        return np.zeros((len(batch["vector"]), 1), np.float32)
    pictures = batch["image"]
    factor = pictures.shape[1] // side
    if factor > 1:
        pictures = pictures.reshape(len(pictures), side, factor, side, factor, 3).mean((2, 4))
    return (pictures.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2).reshape(len(pictures), -1)
