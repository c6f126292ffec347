"""The start of a texture decoder: what it makes before any step is the regression, in the vector or in kernel features, of no morph."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from rupantara.errors import UserError
from rupantara.models.texture_decoder import TextureDecoder, TextureDecoderConfig
from rupantara.training import decoder_start
from rupantara.training.decoder_start import warm_start
from rupantara.training.decoder_task import begin

DIM, SIDE, ROWS = 5, 14, 40
SIZES: dict[str, Any] = {
    "input_dim": DIM,
    "start_channels": 4,
    "channels": (4,),
    "convolutions": (0,),
    "linear_side": SIDE,
}


def rows(count: int, seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(2.0, [0.5, 0.5, 1, 3, 3], (count, DIM)).astype(np.float32)
    shade = 127 + 90 * np.sin(vectors[:, :3])[:, None, None]
    pictures = np.broadcast_to(shade, (count, SIDE, SIDE, 3)) + rng.normal(0, 2, (count, SIDE, SIDE, 3))
    return [{"vector": v, "image": p} for v, p in zip(vectors, pictures.round().astype(np.uint8), strict=True)]


class Memory:
    """A stream that lies in memory."""

    def __init__(self, rows: list[dict]) -> None:
        self._rows = rows

    def count(self) -> int:
        return len(self._rows)

    def limit(self, limit: int) -> "Memory":
        return Memory(self._rows[:limit])

    def select_columns(self, cols: list[str]) -> "Memory":
        return Memory([{name: row[name] for name in cols} for row in self._rows])

    def iter_batches(self, *, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, len(self._rows), batch_size):
            part = self._rows[start : start + batch_size]
            yield {name: np.stack([row[name] for row in part]) for name in part[0]}


def started(config: TextureDecoderConfig | None, count: int = ROWS) -> tuple[Any, TextureDecoderConfig | None]:
    streams = {"face": Memory(rows(count, 0)), "val_face": Memory(rows(30, 1))}
    return warm_start(streams, [0.0] * 136, config)


def test_before_any_step_it_makes_what_a_kernel_ridge_regression_does(monkeypatch: Any) -> None:
    monkeypatch.setattr(decoder_start, "PENALTIES", (0.03,))
    warm, config = started(TextureDecoderConfig(**SIZES, linear_rank=64, kernel_centers=64))
    assert config is not None and config.kernel_centers == ROWS and config.linear_rank == ROWS
    decoder = TextureDecoder(config).eval()
    begin(decoder, warm)
    asked = np.stack([row["vector"] for row in rows(8, 2)])
    with torch.inference_mode():
        made = decoder(torch.from_numpy(asked)).flatten(1).numpy()
    x, y = (np.stack([row[k] for row in rows(ROWS, 0)]).astype(np.float64) for k in ("vector", "image"))
    y = (y / 127.5 - 1).transpose(0, 3, 1, 2).reshape(ROWS, -1)

    def unit(v: np.ndarray) -> np.ndarray:
        standard = (v - x.mean(0)) / x.std(0)
        return standard / np.linalg.norm(standard, axis=1, keepdims=True)

    def likeness(v: np.ndarray) -> np.ndarray:
        return np.exp(config.kernel_concentration * (unit(v) @ unit(x).T - 1))

    gram, centre = likeness(x), np.eye(ROWS) - 1 / ROWS
    values, axes = np.linalg.eigh(gram)
    root = (axes * np.sqrt(np.maximum(values, 0))) @ axes.T
    penalty = 0.03 * np.trace(root @ centre @ root) / ROWS
    a = np.linalg.solve(gram @ centre @ gram + penalty * gram + 1e-9 * np.eye(ROWS), gram @ centre @ y)
    wanted = likeness(asked) @ a + (y - gram @ a).mean(0)
    np.testing.assert_allclose(made, wanted, atol=0.01)
    assert np.abs(wanted - y.mean(0)).max() > 0.3
    # In training each of the faces fitted on is predicted by the others.
    with torch.inference_mode():
        unknown = decoder.train()(torch.from_numpy(x).float()).flatten(1).numpy()
    for i in range(0, ROWS, 7):
        kept = np.arange(ROWS) != i
        some, middle = gram[np.ix_(kept, kept)], np.eye(ROWS - 1) - 1 / (ROWS - 1)
        system = some @ middle @ some + penalty * some + 1e-9 * np.eye(ROWS - 1)
        a = np.linalg.solve(system, some @ middle @ y[kept])
        wanted = gram[i, kept] @ a + (y[kept] - some @ a).mean(0)
        np.testing.assert_allclose(unknown[i], wanted, atol=0.02)
        assert np.abs(wanted - y[i]).max() > 0.02


def test_coordinates_have_mean_0_and_deviation_1_over_the_faces_fitted_on() -> None:
    warm, config = started(TextureDecoderConfig(**SIZES, linear_rank=3, kernel_centers=64))
    assert config is not None
    decoder = TextureDecoder(config).eval()
    begin(decoder, warm)
    assert decoder.kernel is not None and decoder.linear is not None
    fitted = torch.from_numpy(np.stack([row["vector"] for row in rows(ROWS, 0)]))
    with torch.inference_mode():
        found = decoder.linear.coordinates(decoder.kernel(decoder.standardize(fitted)))
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(3), atol=1e-2, rtol=0)


@pytest.mark.parametrize("centers", [ROWS, ROWS // 2])
def test_in_training_only_faces_that_are_centers_are_left_out(centers: int) -> None:
    warm, config = started(TextureDecoderConfig(**SIZES, linear_rank=8, kernel_centers=centers))
    assert config is not None and ("excess" in warm) == (centers == ROWS)
    decoder = TextureDecoder(config)
    begin(decoder, warm)
    assert decoder.kernel is not None
    own, others = (
        decoder.standardize(torch.from_numpy(np.stack([row["vector"] for row in rows(8, seed)]))) for seed in (0, 2)
    )
    torch.testing.assert_close(decoder.kernel(others), decoder.kernel.eval()(others))
    known, unknown = decoder.kernel(own), decoder.kernel.train()(own)
    assert bool((known != unknown).any()) == (centers == ROWS)


def test_without_centers_it_is_linear_in_the_vector() -> None:
    warm, config = started(TextureDecoderConfig(**SIZES, linear_rank=8))
    assert config is not None and config.linear_rank == DIM and "centers" not in warm
    decoder = TextureDecoder(config).eval()
    begin(decoder, warm)
    v = torch.from_numpy(np.stack([row["vector"] for row in rows(3, 2)]))
    with torch.inference_mode():
        a, b, middle = decoder(v[:1]), decoder(v[1:2]), decoder(v[:2].mean(0, keepdim=True))
    torch.testing.assert_close(middle, (a + b) / 2, atol=1e-4, rtol=0)
    assert float((a - b).abs().max()) > 0.05


def test_landmarks_are_measured_alone_and_one_face_is_too_few() -> None:
    warm, config = started(None)
    assert config is None and set(warm) == {"mean", "deviations", "mean_points"}
    with pytest.raises(
        UserError, match=r"at least 2 of the faces trained on must be of --features and no morphs, got 1"
    ):
        started(None, count=1)
