"""What the training of decoders reads: rows of features tables, decoded once into the object store, and what a decoder starts from."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import ray.data

from rupantara import schema
from rupantara.errors import UserError
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
    """Measure the train vectors and, for a linear path, fit its regression on pictures; the path's rank is at most the vectors' length."""
    rank = min(config.linear_rank, dim) if config else 0
    side = config.linear_side if config else 0
    sums = RidgeSums.empty(dim, 3 * side**2 if rank else 1)
    for batch in streams[STREAM].limit(MOST_FITTED).iter_batches(batch_size=256):
        sums.update(batch["vector"], _targets(batch, side if rank else 0))
    warm = {
        "mean_points": np.asarray(mean_points, np.float64).reshape(68, 2),
        "mean": sums.vectors / sums.count,
        "deviations": sums.deviations,
    }
    if not config or not rank:
        return warm, config
    held = next(iter(streams[f"val_{STREAM}"].iter_batches(batch_size=512)))
    found, penalty = sums.fit(held["vector"], _targets(held, side), rank)
    log.info("linear path: rank %d, fitted on %d faces, penalty %g", rank, sums.count, penalty)
    warm |= {"down": found.down, "up": found.up, "picture": found.mean_target}
    return {name: np.asarray(value, np.float32) for name, value in warm.items()}, replace(config, linear_rank=rank)


def _targets(batch: Any, side: int) -> np.ndarray:
    """Return pictures as rows, channel by channel, in [-1, 1], at a side; one zero each for side 0."""
    if not side:
        return np.zeros((len(batch["vector"]), 1), np.float32)
    pictures = batch["image"]
    factor = pictures.shape[1] // side
    if factor > 1:
        pictures = pictures.reshape(len(pictures), side, factor, side, factor, 3).mean((2, 4))
    return (pictures.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2).reshape(len(pictures), -1)
