"""Edit paths: they find the way that was put in, leave alone what was held equal, and come back from their checkpoint."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import edits
from rupantara.landmarks.regions import CANONICAL
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import Recipe
from rupantara.training.edits import Labelled, fit, fit_means, hats, identity_axes, measure, orthogonal

KNOTS = (0.0, 20.0, 80.0)


def _people(n: int = 600, seed: int = 0) -> tuple[Labelled, np.ndarray]:
    """Draw codes that bend with age along two directions and with sex along a third; women are older here."""
    rng = np.random.default_rng(seed)
    sex = rng.integers(0, 2, n).astype(float)
    age = np.clip(rng.uniform(0, 60, n) + 20 * sex, 0, 80)
    axes = np.linalg.qr(np.random.default_rng(9).standard_normal((24, 3)))[0].T
    way = hats(age, KNOTS) @ np.array([[-4.0, 0], [0, 2], [3, 0]])
    codes = rng.standard_normal((n, 24)) * 0.3 + way @ axes[:2] + 5 * sex[:, None] * axes[2]
    boxes = np.repeat(np.array(CANONICAL["human"])[None], n, 0) + 0.001 * age[:, None, None]
    return Labelled(codes.reshape(n, 4, 6), boxes, age, sex[:, None]), axes


def test_hats_are_the_shares_of_straight_interpolation() -> None:
    found = hats(np.array([-5.0, 0, 10, 20, 50, 99]), KNOTS)
    wanted = [[1, 0, 0], [1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(found, wanted)


def test_a_path_bends_as_the_codes_do_and_not_with_what_is_held_equal() -> None:
    data, axes = _people()
    codes = fit_means(data.tokens, data, KNOTS).reshape(3, 24)
    change = codes - codes[1]
    np.testing.assert_allclose(change[0] @ axes.T, [-4, -2, 0], atol=0.25)
    np.testing.assert_allclose(change[2] @ axes.T, [3, -2, 0], atol=0.25)
    careless = dataclasses.replace(data, others=np.zeros((len(data.values), 0)))
    loose = fit_means(careless.tokens, careless, KNOTS).reshape(3, 24)
    assert abs((loose[2] - loose[0]) @ axes[2]) > 1


def test_an_edit_moves_faces_to_the_age_that_was_asked_and_keeps_the_rest() -> None:
    train, axes = _people()
    held, _ = _people(200, 1)
    path = fit("age", train, held, KNOTS)
    said = measure(path, held)
    assert said["error"] < 0.5 * said["error_of_median"]
    assert said["correlation"] > 0.9
    tokens = torch.from_numpy(held.tokens).float()
    boxes = torch.from_numpy(held.boxes).float()
    start = torch.from_numpy(held.values).float()
    moved, places = path.move(tokens, boxes, start, path.goal(start, None, 10.0))
    np.testing.assert_allclose((moved - tokens).flatten(1).numpy() @ axes[2], 0, atol=0.3)
    assert abs(float(path.read(moved).mean()) - 10) < 6
    wanted = boxes + 0.001 * (10 - start).view(-1, 1, 1)
    assert (places - wanted).abs().max() < 0.01
    still, same = path.move(tokens, boxes, start, start)
    torch.testing.assert_close(still, tokens)
    torch.testing.assert_close(same, boxes)
    there, _ = path.move(tokens, boxes, start, start + 5)
    back, _ = path.move(there, boxes, start + 5, start)
    torch.testing.assert_close(back, tokens, atol=1e-4, rtol=0)
    assert path.goal(start, 1000.0, None).max() == 80
    with pytest.raises(UserError, match="age must be from 0 to 80, got 90"):
        path.goal(start, None, 90.0)


def test_emphasis_multiplies_the_change_of_codes() -> None:
    train, _ = _people()
    path = fit("age", train, train, KNOTS, emphasis=2.0)
    tokens, boxes = torch.zeros(1, 4, 6), torch.from_numpy(train.boxes[:1]).float()
    ends = torch.tensor([10.0]), torch.tensor([50.0])
    twice, _ = path.move(tokens, boxes, *ends)
    once, _ = path.move(tokens, boxes, *ends, 1.0)
    torch.testing.assert_close(twice, 2 * once)


def test_directions_of_identity_can_be_left_alone() -> None:
    rng = np.random.default_rng(3)
    tokens = rng.standard_normal((500, 4, 6))
    matrix = rng.standard_normal((24, 4))
    axes = identity_axes(tokens, tokens.reshape(500, 24) @ matrix, rank=4)
    np.testing.assert_allclose(axes @ axes.T, np.eye(4), atol=1e-4)
    span = np.linalg.qr(matrix)[0]
    np.testing.assert_allclose(np.linalg.svd(axes @ span)[1], 1, atol=1e-2)
    codes = rng.standard_normal((3, 4, 6))
    free = orthogonal(codes, axes, 1.0).reshape(3, 24)
    np.testing.assert_allclose((free - free.mean(0)) @ axes.T, 0, atol=1e-4)
    np.testing.assert_allclose(orthogonal(codes, axes, 0.0), codes)


def test_a_checkpoint_of_edits_comes_back(tmp_path: Path) -> None:
    train, _ = _people()
    path = fit("age", train, train, KNOTS, emphasis=2.0)
    uri, recipe = str(tmp_path / "edits"), Recipe("test", 1)
    running = manifest.begin(uri, edits.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=False)
    assert running is not None
    config = edits.config_dict("region_vae", "abc", {"age": measure(path, train)})
    files, sha256 = checkpoints.write(uri, config, edits.tensors_of({"age": path}), "card")
    done = dataclasses.replace(running, state="complete", files=tuple(files), extra={"model_sha256": sha256})
    manifest.commit(uri, done, running)
    found = edits.load(uri)
    assert (found.codec, found.codec_sha256, found.sha256) == ("region_vae", "abc", sha256)
    again = found.path("age")
    assert (again.emphasis, again.ends) == (2.0, (0.0, 80.0))
    torch.testing.assert_close(again.codes, path.codes, atol=5e-3, rtol=1e-3)
    with pytest.raises(UserError, match="edits must be of age, got 'smile'"):
        found.path("smile")


@pytest.mark.parametrize(("text", "wanted"), [("age=-20", ("age", -20.0)), (" sex = 1", ("sex", 1.0))])
def test_edits_are_read_as_they_are_written(text: str, wanted: tuple[str, float]) -> None:
    assert edits.parse(text) == wanted
