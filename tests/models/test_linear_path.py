"""The linear path is its PCA: codes are whitened scores, pictures their reconstruction, one matrix both ways."""

import numpy as np
import torch

from rupantara.models.linear_path import START_LOGVAR, Components, LinearAutoencoder, start_certain

RANK, DIM, PIXELS = 5, 9, 30


def data(rows: int = 60) -> np.ndarray:
    rng = np.random.default_rng(0)
    return (rng.normal(size=(rows, PIXELS)) * np.linspace(3, 0.1, PIXELS) + rng.normal(size=PIXELS)).astype(np.float32)


def by_svd(rows: np.ndarray, k: int) -> tuple[Components, np.ndarray]:
    """Return a PCA and what it keeps of the rows, by singular values."""
    mean = rows.mean(0)
    left, values, right = np.linalg.svd(rows - mean, full_matrices=False)
    parts = (mean, right[:k], values[:k] / np.sqrt(len(rows)))
    kept = mean + (left[:, :k] * values[:k]) @ right[:k]
    return Components(*(torch.from_numpy(x.astype(np.float32)) for x in parts)), kept


@torch.no_grad()
def test_warm_started_it_is_the_pca_s_reconstruction_by_whitened_scores() -> None:
    rows = data()
    pca, kept = by_svd(rows, RANK)
    path = LinearAutoencoder(PIXELS, RANK, DIM)
    path.warm_start(pca)
    codes = path.encode(torch.from_numpy(rows))
    np.testing.assert_allclose(path.decode(codes), kept, atol=1e-4)
    np.testing.assert_allclose(codes[:, :RANK].mean(0), np.zeros(RANK), atol=1e-5)
    np.testing.assert_allclose(codes[:, :RANK].T @ codes[:, :RANK] / len(rows), np.eye(RANK), atol=1e-4)
    assert (codes[:, RANK:] == 0).all()
    # Codes of pictures in its own plane come back, whatever lies in the numbers that it does not use.
    drawn = torch.randn(7, DIM)
    np.testing.assert_allclose(path.encode(path.decode(drawn))[:, :RANK], drawn[:, :RANK], atol=1e-4)


@torch.no_grad()
def test_a_pca_of_fewer_or_more_components_fills_or_is_cut() -> None:
    rows = data()
    for rank in (3, 8):
        path = LinearAutoencoder(PIXELS, RANK, DIM)
        path.warm_start(by_svd(rows, rank)[0])
        np.testing.assert_allclose(
            path.decode(path.encode(torch.from_numpy(rows))), by_svd(rows, min(rank, RANK))[1], atol=1e-4
        )


def test_one_matrix_serves_both_ways() -> None:
    path = LinearAutoencoder(PIXELS, RANK, DIM)
    path.warm_start(by_svd(data(), RANK)[0])
    assert {name for name, _ in path.named_parameters()} == {"mean", "components"}
    with torch.no_grad():
        path.components[0].mul_(2)
    pixels = torch.randn(1, PIXELS)
    before, after = LinearAutoencoder(PIXELS, RANK, DIM), path
    before.warm_start(by_svd(data(), RANK)[0])
    torch.testing.assert_close(after.encode(pixels)[:, 0], 2 * before.encode(pixels)[:, 0])
    one = torch.eye(DIM)[:1]
    torch.testing.assert_close(after.decode(one) - after.mean, 2 * (before.decode(one) - before.mean))


def test_a_head_starts_certain_with_small_means() -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(6, 8)
    before = head.weight.detach().clone()
    start_certain(head)
    mu, logvar = head(torch.randn(3, 6)).chunk(2, dim=1)
    assert (logvar == START_LOGVAR).all()
    assert mu.std() > 0
    torch.testing.assert_close(head.weight[:4], 0.3 * before[:4])
