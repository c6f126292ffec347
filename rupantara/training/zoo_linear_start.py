"""Start the vanilla VAE as a PCA of the train faces, in closed form: a short training then only has to sharpen it.

A pair of ReLU units that see x and -x carries x as it is, since x = relu(x) - relu(-x): half as many linear numbers as a layer has
channels go through a network of convolutions. A convolution of side 4 and stride 2 whose outer weights are zero turns 2 x 2 cells into
one, so that four of them describe blocks of 16 x 16 pixels by a pyramid of small PCAs, and transposed ones put them together again.
Before the sigmoid a picture is the logit of its pixels, and the decoder's map is a linear regression of these on the codes.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from rupantara.models.zoo import SIDE, ZooConfig
from rupantara.models.zoo.vanilla import VanillaVAE
from rupantara.training.streams import Laid
from rupantara.training.warm_start import fit_pca

MOST = 3000
"""Faces that are fitted on."""

MARGIN = 0.03
"""Pixels are kept this far from 0 and 1, whose logits are infinite."""


class LinearFaces(NamedTuple):
    """A linear model of faces, float32: pixels in [0, 1] to codes, and codes to logits of pixels; d = 3 * SIDE².

    mean [d] and directions [codes, d]: a code is directions @ (pixels - mean), of mean 0 and deviation below 1;
    logits [d] and changes [codes, d]: the picture of a code; variances [codes]: of the posterior.
    """

    mean: np.ndarray
    directions: np.ndarray
    logits: np.ndarray
    changes: np.ndarray
    variances: np.ndarray


def fit(stream: Laid, config: ZooConfig, alpha: float, beta: float) -> LinearFaces:
    """Fit on the first MOST faces of a stream of 64 x 64 pictures, for the losses' weights of the squared error and the divergence.

    The posterior's variance is the best one of a linear decoder: beta / (beta + 2 alpha |component|²), and the codes are shrunk
    by it, so that over faces they are N(0, I) (Tipping and Bishop, 1999; Lucas et al., 2019).
    """
    batches = stream.limit(MOST).select_columns(["image"]).iter_batches(batch_size=256)
    pixels = np.concatenate([_flat(batch["image"]) for batch in batches])
    pca = fit_pca(pixels, config.latent_dim)
    scores = (pixels - pca.mean) @ (pca.components / pca.deviations[:, None]).T
    clipped = pixels.clip(MARGIN, 1 - MARGIN)
    logits = np.log(clipped / (1 - clipped))
    mean = logits.mean(0)
    # The scores are white: a regression on them is a product.
    changes = scores.T @ (logits - mean) / len(scores)
    variances = beta / (beta + 2 * alpha * pca.deviations**2)
    shrunk = np.sqrt(1 - variances)[:, None]
    return LinearFaces(pca.mean, shrunk * pca.components / pca.deviations[:, None], mean, shrunk * changes, variances)


def _flat(pictures: np.ndarray) -> np.ndarray:
    """Turn uint8 pictures into float32 [n, 3 * SIDE²] in [0, 1], channel by channel."""
    return (np.ascontiguousarray(pictures).transpose(0, 3, 1, 2).reshape(len(pictures), -1) / 255).astype(np.float32)


def pyramid(pictures: np.ndarray, dims: Iterable[int]) -> list[np.ndarray]:
    """Fit orthonormal bases [dim, 4 * dim before] of ever larger blocks of pictures [n, 3, side, side], 2 x 2 blocks into one."""
    cells, bases = pictures, []
    for dim in dims:
        n, before, side, _ = cells.shape
        blocks = (
            cells.reshape(n, before, side // 2, 2, side // 2, 2).transpose(0, 2, 4, 1, 3, 5).reshape(-1, 4 * before)
        )
        _, axes = np.linalg.eigh(blocks.T.astype(np.float64) @ blocks)
        basis = axes[:, ::-1][:, :dim].T
        bases.append(basis.astype(np.float32))
        cells = (blocks @ basis.T).reshape(n, side // 2, side // 2, len(basis)).transpose(0, 3, 1, 2)
    return bases


def described(pictures: np.ndarray, bases: Iterable[np.ndarray]) -> np.ndarray:
    """Return what a pyramid keeps of pictures [n, 3, side, side]: [n, last dim, cells, cells]."""
    cells = pictures
    for basis in bases:
        n, before, side, _ = cells.shape
        blocks = cells.reshape(n, before, side // 2, 2, side // 2, 2)
        cells = np.einsum("okpq,nkipjq->noij", basis.reshape(-1, before, 2, 2), blocks, optimize=True)
    return cells


@torch.no_grad()
def begin(model: VanillaVAE, faces: LinearFaces) -> None:
    """Set the weights of a vanilla VAE so that it is the linear model, as far as its channels carry it."""
    dims = [min(channels // 2, 12 * 4**i) for i, channels in enumerate(model.config.channels)]
    sides = (-1, 3, SIDE, SIDE)
    seen = pyramid(faces.directions.reshape(sides), dims)
    drawn = np.concatenate([faces.logits[None], faces.changes])
    shown = pyramid(drawn.reshape(sides), dims)
    convolutions = [layer for layer in model.encoder.modules() if isinstance(layer, nn.Conv2d)]
    for i, (layer, basis) in enumerate(zip(convolutions, seen, strict=True)):
        _set(layer, basis, paired=i > 0)
    _set_heads(model, faces, described(faces.directions.reshape(sides), seen))
    told = described(drawn.reshape(sides), shown)
    first, *_ = (layer for layer in model.decoder.modules() if isinstance(layer, nn.Linear))
    first.bias.copy_(_both(torch.from_numpy(told[:1]))[0].flatten())
    first.weight.copy_(_both(torch.from_numpy(told[1:])).flatten(1).T)
    transposed = [layer for layer in model.decoder.modules() if isinstance(layer, nn.ConvTranspose2d)]
    for i, (layer, basis) in enumerate(zip(reversed(transposed), shown, strict=True)):
        _set(layer, basis, paired=i > 0)


def _set_heads(model: VanillaVAE, faces: LinearFaces, kept: np.ndarray) -> None:
    """Set the heads for the mean and the log variance of a code; `kept` is what the encoder's pyramid keeps of the directions."""
    model.to_mu.weight.copy_(_both(torch.from_numpy(kept)).flatten(1))
    model.to_mu.bias.copy_(-torch.from_numpy(faces.directions @ faces.mean))
    model.to_logvar.weight.mul_(0.01)
    model.to_logvar.bias.copy_(torch.from_numpy(np.log(faces.variances)))


def _both(cells: Tensor, axis: int = 1) -> Tensor:
    """Return x and -x in turn along an axis, which becomes twice as long."""
    return torch.stack([cells, -cells], axis + 1).flatten(axis, axis + 1)


def _set(layer: nn.Conv2d | nn.ConvTranspose2d, basis: np.ndarray, *, paired: bool) -> None:
    """Set the middle 2 x 2 weights to a basis [dim, 4 * before] in pairs, of pairs where `paired`.

    Channels that the basis does not need keep what they see, and nothing sees them yet.
    """
    middle = _both(torch.from_numpy(basis).unflatten(1, (-1, 2, 2)), 0)
    middle = _both(middle) if paired else middle
    # Of both kinds of layers the weight is [coarse, fine, 4, 4].
    coarse, fine = middle.shape[:2]
    drawn = layer.weight.clone()
    layer.weight.zero_()
    if isinstance(layer, nn.ConvTranspose2d):
        layer.weight[:, fine:] = drawn[:, fine:]
    else:
        layer.weight[coarse:] = drawn[coarse:]
    layer.weight[:coarse, :fine, 1:3, 1:3] = middle
    assert layer.bias is not None
    layer.bias.zero_()
