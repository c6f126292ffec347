"""Kernel features: ranges, scale, and that a ridge regression on them, whitened, is kernel ridge regression."""

import numpy as np
import pytest
import torch

from rupantara.models.kernel_features import KernelFeatures
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.training.ridge import RidgeSums

CONCENTRATION = 1.5


def vectors(count: int, seed: int) -> torch.Tensor:
    return torch.randn(count, 5, generator=torch.Generator().manual_seed(seed))


def fitted(centers: torch.Tensor) -> KernelFeatures:
    kernel = KernelFeatures(centers.shape[1], len(centers), CONCENTRATION)
    kernel.fit(centers)
    return kernel


def test_a_center_is_like_itself_and_length_does_not_count() -> None:
    centers = vectors(7, 0)
    kernel = fitted(centers)
    with torch.autocast("cpu", torch.bfloat16):
        found = kernel(3 * centers)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.diagonal(), torch.ones(7))
    assert float(found.min()) >= np.exp(-2 * CONCENTRATION) - 1e-6 and float(found.max()) <= 1 + 1e-6
    torch.testing.assert_close(kernel(centers), found)


def test_a_ridge_on_whitened_features_is_kernel_ridge_regression() -> None:
    x, y, asked = vectors(30, 1), vectors(30, 2).numpy().astype(np.float64), vectors(8, 3)
    kernel = fitted(x)
    whiten = kernel.whitening().numpy()
    sums = RidgeSums.empty(30, 5)
    features = kernel(x).numpy() @ whiten
    sums.update(features, y.astype(np.float32))
    penalty = 0.2
    found = sums.solve(penalty).predict(kernel(asked).numpy() @ whiten)
    # min |y - b - K a|² + l a'Ka, with b free: (K H K + l K) a = K H y.
    gram, tell = kernel(x).numpy().astype(np.float64), kernel(asked).numpy().astype(np.float64)
    absolute = penalty * sums.basis().values.mean() * 30
    centre = np.eye(30) - 1 / 30
    a = np.linalg.solve(gram @ centre @ gram + absolute * gram, gram @ centre @ y)
    wanted = tell @ a + (y - gram @ a).mean(0)
    np.testing.assert_allclose(found, wanted, atol=2e-3)
    assert np.abs(found - y.mean(0)).max() > 0.05


def test_centers_that_are_there_twice_do_not_spoil_the_whitening() -> None:
    x = vectors(12, 7).repeat(2, 1)
    kernel = fitted(x).eval()
    features = kernel(x) @ kernel.whitening()
    torch.testing.assert_close(features @ features.T, kernel(x), atol=1e-3, rtol=0)


def regressed(x: torch.Tensor, y: np.ndarray, absolute: float) -> tuple[KernelFeatures, np.ndarray, RidgeSums, float]:
    """Return features of centers `x`, their whitening, sums, and the penalty in units of theirs that is `absolute` a row."""
    kernel = fitted(x).eval()
    whiten = kernel.whitening().numpy()
    sums = RidgeSums.empty(len(x), y.shape[1])
    sums.update(kernel(x).numpy() @ whiten, y)
    return kernel, whiten, sums, absolute / len(x) / float(sums.basis().values.mean())


@pytest.mark.parametrize("absolute", [0.003, 0.3])
def test_in_training_a_center_is_predicted_as_by_a_regression_without_it(absolute: float) -> None:
    x = vectors(40, 4)
    y = torch.sin(x @ vectors(3, 5).T).numpy()
    kernel, whiten, sums, penalty = regressed(x, y, absolute)
    excess = sums.basis().excess(kernel(x).numpy() @ whiten, penalty)
    kernel.fit(x, torch.from_numpy(excess).float())
    fit = sums.solve(penalty)
    known = fit.predict(kernel(x).numpy() @ whiten)
    unknown = fit.predict(kernel.train()(x).numpy() @ whiten)
    asked = vectors(5, 6)
    torch.testing.assert_close(kernel(asked), kernel.eval()(asked))
    apart = []
    for i in range(len(x)):
        others = np.arange(len(x)) != i
        one, own, sums, penalty = regressed(x[others], y[others], absolute)
        apart.append(sums.solve(penalty).predict(one(x[i : i + 1]).numpy() @ own)[0])
    np.testing.assert_allclose(unknown, np.stack(apart), atol=2e-3)
    assert np.abs(known - np.stack(apart)).max() > 0.1


def test_a_decoder_s_path_reads_the_features_and_needs_a_rank() -> None:
    sizes = {"input_dim": 5, "start_channels": 4, "channels": (4,), "convolutions": (0,)}
    decoder = TextureDecoder(
        TextureDecoderConfig(**sizes, linear_rank=3, linear_side=14, kernel_centers=6)  # ty: ignore[invalid-argument-type]
    ).eval()
    assert decoder.kernel is not None and decoder.linear is not None
    decoder.kernel.fit(vectors(6, 0))
    decoder.standardize.fit(torch.full((5,), 0.5), torch.full((5,), 3.0))
    down, up, shift = torch.randn(6, 3), torch.randn(3, 3 * 14 * 14), torch.randn(3)
    decoder.linear.fit({"down": down, "shift": shift, "up": up, "picture": torch.full((3 * 14 * 14,), 0.25)})
    asked = vectors(2, 1)
    coordinates = decoder.kernel((asked - 0.5) / 3) @ down + shift
    wanted = (coordinates @ up + 0.25).unflatten(1, (3, 14, 14))
    torch.testing.assert_close(decoder(asked), wanted)
    seen: list[torch.Tensor] = []
    decoder.dense.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    decoder(asked)
    torch.testing.assert_close(seen[0], torch.cat([(asked - 0.5) / 3, coordinates], dim=1))
    with pytest.raises(ValueError, match="kernel_centers needs linear_rank"):
        TextureDecoder(TextureDecoderConfig(**sizes, kernel_centers=6))  # ty: ignore[invalid-argument-type]
