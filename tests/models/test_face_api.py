"""The ports of face-api's networks compute what numpy computes from the same tensors; the shipped ones judge faces as published."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from rupantara.models import age_sex, dense_face, dlib_identity
from rupantara.models.separable import pad_same
from rupantara.schema import EXPRESSIONS
from rupantara.storage import eight_bits, weights
from tests.models import published_tf as reference

NAMES = ("face_landmark_68", "face_expression", "age_gender", "face_recognition")
BLOCKS = [name for name, _, _ in dlib_identity.BLOCKS]


def drawn(name: str, seed: int) -> dict[str, np.ndarray]:
    """Random tensors of a network's names and shapes, small enough that activations keep their size."""
    rng, out = np.random.default_rng(seed), {}
    for key, value in weights.arrays("", name).items():
        spread = 0.1 if value.ndim < 2 else (1.2 / max(np.prod(value.shape[:-1]), 1)) ** 0.5
        spread = 0.4 if "depthwise" in key else spread
        out[key] = rng.normal(1.0 if key.endswith("scale/weights") else 0, spread, value.shape).astype(np.float32)
    return out


def faces(side: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 255, (2, side, side, 3)).astype(np.float32)


def tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2)


def close(found: np.ndarray, expected: list) -> None:
    expected = np.array(expected, np.float64).reshape(found.shape)
    assert np.abs(expected[0] - expected[1]).max() > 1e-4, "the two pictures must be told apart"
    np.testing.assert_allclose(found, expected, rtol=2e-4, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "build"), [(NAMES[0], dense_face.landmarks_from), (NAMES[1], dense_face.expression_from)]
)
@pytest.mark.parametrize("shipped", [True, False])
def test_the_dense_networks_are_numpys(name: str, build: Callable, shipped: bool) -> None:
    tensors, shown = weights.arrays("", name) if shipped else drawn(name, 1), faces(112)
    close(build(tensors)(tensor(shown)).numpy(), [reference.dense_face(picture, tensors) for picture in shown])


@pytest.mark.parametrize("shipped", [True, False])
def test_age_and_sex_are_numpys(shipped: bool) -> None:
    tensors, shown = weights.arrays("", NAMES[2]) if shipped else drawn(NAMES[2], 2), faces(112)
    age, sex = age_sex.from_published(tensors)(tensor(shown))
    expected = [reference.age_sex(picture, tensors) for picture in shown]
    close(age.numpy(), [one[0] for one in expected])
    close(sex.numpy(), [one[1] for one in expected])


def test_identity_is_numpys() -> None:
    tensors, shown = drawn(NAMES[3], 3), faces(150)
    found = dlib_identity.from_published(tensors)(tensor(shown)).numpy()
    close(found, [reference.dlib_identity(picture, tensors, BLOCKS) for picture in shown])


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_that_lacks_is_refused(name: str) -> None:
    tensors = weights.arrays("", name)
    tensors.pop(next(iter(tensors)))
    build = {
        NAMES[0]: dense_face.landmarks_from,
        NAMES[1]: dense_face.expression_from,
        NAMES[2]: age_sex.from_published,
    }
    with pytest.raises(RuntimeError, match="Missing key"):
        build.get(name, dlib_identity.from_published)(tensors)


@pytest.mark.parametrize(("side", "size", "stride"), [(7, 3, 2), (8, 3, 2), (8, 3, 1), (5, 1, 2), (9, 7, 2)])
def test_an_odd_row_of_padding_goes_to_the_end(side: int, size: int, stride: int) -> None:
    x = np.random.default_rng(0).normal(size=(side, side, 2)).astype(np.float32)
    padded = pad_same(torch.from_numpy(x).permute(2, 0, 1)[None], size, stride)[0].permute(1, 2, 0)
    np.testing.assert_array_equal(padded.numpy(), reference.same(x, size, stride))
    assert (padded.shape[0] - size) // stride + 1 == -(-side // stride)


def test_eight_bits_keep_what_came_in_them_and_leave_the_rest() -> None:
    rng = np.random.default_rng(0)
    coarse = (rng.integers(3, 250, (20, 20)) * 0.0123 - 1.7).astype(np.float32)
    tensors = {
        "coarse": coarse,
        "fine": rng.normal(size=(40, 20)).astype(np.float16),
        "bias": rng.normal(size=9).astype(np.float32),
    }
    packed = eight_bits.pack(tensors)
    assert (
        packed["coarse"].dtype == np.uint8 and packed["fine"] is tensors["fine"] and packed["bias"] is tensors["bias"]
    )
    read = eight_bits.unpack(packed)
    np.testing.assert_allclose(read["coarse"], coarse, atol=1e-6)
    np.testing.assert_array_equal(read["fine"], tensors["fine"].astype(np.float32))
    assert read["fine"].dtype == np.float32
    again = eight_bits.pack(read)
    np.testing.assert_array_equal(again["coarse"], packed["coarse"])


def test_expressions_have_their_published_order() -> None:
    assert EXPRESSIONS == ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
    assert age_sex.SEXES[0] == "male"
