"""Where the training of a face decoder starts: moments of the train vectors, and a ridge regression for the linear path."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch

from rupantara.errors import UserError
from rupantara.models.kernel_features import KernelFeatures
from rupantara.models.landmark_decoder import Standardize
from rupantara.models.texture_decoder import TextureDecoderConfig
from rupantara.training.decoder_task import STREAM, WarmStart
from rupantara.training.ridge import PENALTIES, RidgeSums
from rupantara.training.streams import Laid

log = logging.getLogger(__name__)
MOST_FITTED = 30_000
"""Most rows that the linear path's regression is fitted on."""
TOLERANCE = 0.01
"""Kernel features take the smallest penalty whose error is within this share of the lowest error: it keeps more of what tells people
apart (decision 8)."""


def warm_start(
    streams: Mapping[str, Laid], mean_points: Sequence[float], config: TextureDecoderConfig | None
) -> tuple[WarmStart, TextureDecoderConfig | None]:
    """Measure the faces of `face`, which holds no morphs: these blur what the linear path has to tell apart.

    `val_face` judges the regression's penalty. `config` is None for a landmark decoder. The config that is returned has at most as many
    kernel centers as there are rows, and at most the rank of the path's inputs. UserError where there are fewer than two rows.
    """
    stream, held = streams[STREAM].limit(MOST_FITTED), streams[f"val_{STREAM}"]
    moments: RidgeSums | None = None
    for batch in stream.select_columns(["vector"]).iter_batches(batch_size=256):
        moments = moments or RidgeSums.empty(batch["vector"].shape[1], 1)
        moments.update(batch["vector"], np.zeros((len(batch["vector"]), 1), np.float32))
    if moments is None or moments.count < 2:
        count = moments.count if moments else 0
        raise UserError(f"at least 2 of the faces trained on must be of --features and no morphs, got {count}")
    mean, deviations = moments.vectors / moments.count, moments.deviations
    standardize = Standardize(len(mean))
    standardize.fit(*(torch.from_numpy(x).float() for x in (mean, deviations)))
    points = np.asarray(mean_points, np.float64).reshape(68, 2)
    warm = {"mean_points": points, "mean": mean, "deviations": deviations}
    if config and config.linear_rank:
        centers = min(config.kernel_centers, moments.count)
        if centers < config.kernel_centers:
            log.info("all of the %d faces are kernel centers (at most %d)", centers, config.kernel_centers)
        config = replace(config, kernel_centers=centers, linear_rank=min(config.linear_rank, centers or len(mean)))
        warm |= linear_start(stream, held, standardize, config)
    return {name: np.asarray(value, np.float32) for name, value in warm.items()}, config


def linear_start(
    stream: Laid, held: Laid, standardize: Standardize, config: TextureDecoderConfig
) -> dict[str, np.ndarray]:
    """Fit a linear path to pictures; the first 512 held-out rows choose the penalty of its ridge regression."""
    features, centers = _features(stream, standardize, config)
    sums = RidgeSums.empty(config.kernel_centers or config.input_dim, 3 * config.linear_side**2)
    for batch in stream.iter_batches(batch_size=256):
        sums.update(features(batch["vector"]), _targets(batch, config.linear_side))
    judged = next(iter(held.iter_batches(batch_size=512)))
    basis, tolerance = sums.basis(), TOLERANCE if config.kernel_centers else 0.0
    penalty = basis.choose(features(judged["vector"]), _targets(judged, config.linear_side), PENALTIES, tolerance)
    factors = basis.reduced(penalty, config.linear_rank)
    of = f"{config.kernel_centers} kernel features" if config.kernel_centers else "the vectors"
    log.info("linear path of %s: rank %d, fitted on %d faces, penalty %g", of, config.linear_rank, sums.count, penalty)
    shift = -factors.mean_vector @ factors.down
    start = {"down": factors.down, "shift": shift, "up": factors.up, "picture": factors.mean_target}
    if centers:
        start |= {"down": centers.whitening @ factors.down, "centers": centers.vectors}
        if config.kernel_centers == sums.count:
            start["excess"] = basis.excess(centers.features, penalty)
        else:
            log.info(
                "%d of %d faces are kernel centers: none is left out of its own fit", config.kernel_centers, sums.count
            )
    return start


class _Centers(NamedTuple):
    """Standardized centers [count, dim], their whitened features [count, count], and the matrix that whitens [count, count]."""

    vectors: np.ndarray
    features: np.ndarray
    whitening: np.ndarray


def _features(
    stream: Laid, standardize: Standardize, config: TextureDecoderConfig
) -> tuple[Callable[[np.ndarray], np.ndarray], _Centers | None]:
    """Return the map from vectors to the regression's inputs, and the kernel centers if there are any."""

    def standard(vectors: np.ndarray) -> torch.Tensor:
        return standardize(torch.from_numpy(np.array(vectors)))

    if not config.kernel_centers:
        return lambda vectors: standard(vectors).numpy(), None
    # The rows are shuffled, so the first ones are a random sample.
    first = stream.limit(config.kernel_centers).select_columns(["vector"])
    centers = standard(next(iter(first.iter_batches(batch_size=config.kernel_centers)))["vector"])
    kernel = KernelFeatures(config.input_dim, config.kernel_centers, config.kernel_concentration).eval()
    kernel.fit(centers)
    whitening = kernel.whitening().numpy()

    def features(vectors: np.ndarray) -> np.ndarray:
        return kernel(standard(vectors)).numpy() @ whitening

    return features, _Centers(centers.numpy(), kernel(centers).numpy() @ whitening, whitening)


def _targets(batch: Any, side: int) -> np.ndarray:
    """Return pictures scaled to a side as flat rows [n, 3 * side²], channel first, in [-1, 1]."""
    pictures = batch["image"]
    factor = pictures.shape[1] // side
    if factor > 1:
        pictures = pictures.reshape(len(pictures), side, factor, side, factor, 3).mean((2, 4))
    return (pictures.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2).reshape(len(pictures), -1)
