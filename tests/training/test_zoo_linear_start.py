"""A vanilla VAE begun as a linear model is that model; its codes are those of a PCA, white over the faces fitted on."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from rupantara.errors import UserError
from rupantara.models import zoo
from rupantara.models.zoo import SIDE, ZooConfig
from rupantara.models.zoo.vanilla import VanillaVAE
from rupantara.training import zoo_linear_start
from rupantara.training.zoo_linear_start import LinearFaces, begin, described, pyramid
from rupantara.training.zoo_start import OWN, check_linear, objective_of

CONFIG = ZooConfig("vanilla", 6, (32, 64, 128, 256))
VALUES = 3 * SIDE**2


def coarse(count: int, seed: int) -> np.ndarray:
    """Pictures [count, 3, 64, 64] of cells of 16 px, which a pyramid loses nothing of."""
    cells = np.random.default_rng(seed).standard_normal((count, 3, 4, 4))
    return np.kron(cells, np.ones((16, 16))).astype(np.float32)


class Stream:
    """Pictures as a stream that is laid out."""

    def __init__(self, pictures: np.ndarray) -> None:
        self._pictures = pictures

    def count(self) -> int:
        return len(self._pictures)

    def limit(self, limit: int) -> "Stream":
        return Stream(self._pictures[:limit])

    def select_columns(self, cols: list[str]) -> "Stream":
        assert cols == ["image"]
        return self

    def iter_batches(self, *, batch_size: int) -> Iterator[dict[str, Any]]:
        for start in range(0, len(self._pictures), batch_size):
            yield {"image": self._pictures[start : start + batch_size]}


def test_the_network_is_the_linear_model_that_it_was_begun_as() -> None:
    drawn = coarse(14, 0).reshape(14, VALUES) / 60
    variances = np.linspace(0.1, 0.5, 6).astype(np.float32)
    faces = LinearFaces(0.5 + drawn[0], drawn[1:7], 60 * drawn[7], 60 * drawn[8:], variances)
    torch.manual_seed(0)
    model = zoo.build(CONFIG).eval()
    assert isinstance(model, VanillaVAE)
    begin(model, faces)
    pixels = np.random.default_rng(1).random((5, VALUES)).astype(np.float32)
    with torch.inference_mode():
        found = model.encode(torch.from_numpy(pixels).view(5, 3, SIDE, SIDE) * 2 - 1)
        shown = (model.decode(found.mu) + 1) / 2
    codes = (pixels - faces.mean) @ faces.directions.T
    np.testing.assert_allclose(found.mu.numpy(), codes, atol=2e-4)
    # The heads of the variances still see a hundredth of what random weights would.
    np.testing.assert_allclose(found.logvar.exp().numpy(), np.tile(variances, (5, 1)), rtol=0.2)
    expected = 1 / (1 + np.exp(-(faces.logits + codes @ faces.changes)))
    np.testing.assert_allclose(shown.flatten(1).numpy(), expected, atol=2e-4)


def test_a_fit_has_white_codes_and_the_best_variances_and_pictures() -> None:
    rng = np.random.default_rng(2)
    levels = 128 + 40 * np.tensordot(rng.standard_normal((200, 9)), coarse(9, 3), 1) / 3
    pictures = levels.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    faces = zoo_linear_start.fit(Stream(pictures), CONFIG, alpha=2.0, beta=3.0)
    pixels = pictures.transpose(0, 3, 1, 2).reshape(200, VALUES) / 255
    codes = (pixels - faces.mean) @ faces.directions.T
    np.testing.assert_allclose(codes.mean(0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(codes.T, ddof=0), np.diag(1 - faces.variances), atol=2e-3)
    spread = np.linalg.svd(pixels - pixels.mean(0), compute_uv=False)[:6] ** 2 / 200
    np.testing.assert_allclose(faces.variances, 3 / (3 + 4 * spread), rtol=1e-3)
    kept = pixels.clip(zoo_linear_start.MARGIN, 1 - zoo_linear_start.MARGIN)
    wanted = np.log(kept / (1 - kept))
    design = np.c_[np.ones(200), codes / np.sqrt(1 - faces.variances)]
    best = np.linalg.lstsq(design, wanted, rcond=None)[0]
    np.testing.assert_allclose(faces.logits, best[0], atol=2e-3)
    np.testing.assert_allclose(faces.changes, best[1:] * np.sqrt(1 - faces.variances)[:, None], atol=2e-3)


def test_a_pyramid_keeps_the_energy_of_what_its_bases_span() -> None:
    pictures = coarse(5, 4)
    bases = pyramid(pictures, (12, 32, 64, 128))
    for basis in bases:
        np.testing.assert_allclose(basis @ basis.T, np.eye(len(basis)), atol=1e-5)
    kept = described(pictures, bases)
    assert kept.shape == (5, 128, 4, 4)
    np.testing.assert_allclose((kept**2).sum((1, 2, 3)), (pictures**2).sum((1, 2, 3)), rtol=1e-4)


def test_only_vanilla_can_begin_as_a_pca_and_weights_that_are_given_are_not_negative() -> None:
    vanilla = zoo.CONFIGS["vanilla"]
    check_linear(vanilla, "", 1.0, 0.5, vanilla.latent_dim + 1)
    for said, arguments in {
        "--linear is for vanilla, whose layers carry a linear map, got plain": (
            zoo.CONFIGS["plain"],
            "",
            1.0,
            0.5,
            999,
        ),
        "either --linear or --init": (vanilla, "s3://b/init", 1.0, 0.5, 999),
        "--alpha and --beta above 0": (vanilla, "", 1.0, 0.0, 999),
        "more faces than": (vanilla, "", 1.0, 0.5, vanilla.latent_dim),
    }.items():
        with pytest.raises(UserError, match=said):
            check_linear(*arguments)
    made = objective_of("dfc", {"alpha": 0.5, "beta": OWN, "gamma": OWN}, bfloat16=True)
    assert (made.alpha, made.beta, made.gamma, made.bfloat16) == (0.5, 1.0, 0.03, True)
    with pytest.raises(UserError, match=r"must not be negative .* got {'gamma': -0.5}"):
        objective_of("dfc", {"alpha": OWN, "gamma": -0.5})
