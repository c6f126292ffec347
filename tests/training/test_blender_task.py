"""Pairs by rule, the total loss by hand, and a child's network that learns through a decoder and through codes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.errors import MissingError
from rupantara.losses.kinship import kinship_distance
from rupantara.losses.normality import normality
from rupantara.losses.smoothness import departure
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.training.blender import BlenderLosses, BlenderObjective, CodeReader, Parents, vectors_of
from rupantara.training.blender_task import STREAM, BlenderNetworks, BlenderTask
from rupantara.training.pairs import RULES, UNKNOWN, allowed, draw_pairs
from tests import small_codecs


def _embed(faces: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(faces - 127.5, 28).flatten(1)


def _rows(n: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    boxes = np.repeat(small_codecs.BOXES[None], n, 0)
    return {
        "tokens": rng.standard_normal((n, 9, 128)).astype(np.float32),
        "boxes": boxes,
        "vector": rng.standard_normal((n, 48)).astype(np.float32),
        "person": np.arange(n) // 2,
        "sex": rng.integers(-1, 2, n),
        "age": rng.integers(-1, 80, n).astype(np.float32),
        "group": rng.integers(-1, 3, n),
    }


@settings(deadline=None, max_examples=30)
@given(rule=st.sampled_from(RULES), seed=st.integers(0, 999), n=st.integers(6, 30))
def test_pairs_keep_their_rule_and_are_never_one_person(rule: str, seed: int, n: int) -> None:
    rows = {name: torch.from_numpy(value) for name, value in _rows(n, seed).items()}
    fits = allowed(rule, rows["person"], rows["sex"], rows["age"], rows["group"])  # ty: ignore[invalid-argument-type]
    assert (fits == fits.T).all()
    if not fits.any():
        with pytest.raises(ValueError, match="two faces that may be paired"):
            draw_pairs(fits, 4)
        return
    generator = torch.Generator().manual_seed(seed)
    first, second = draw_pairs(fits, 2 * n, generator)
    assert len(first) == len(second) == 2 * n
    for a, b in zip(first.tolist(), second.tolist(), strict=True):
        assert rows["person"][a] != rows["person"][b]
        if rule == "opposite_sex":
            assert {int(rows["sex"][a]), int(rows["sex"][b])} == {0, 1}
        if rule == "like_age":
            assert min(rows["age"][a], rows["age"][b]) >= 0 and abs(rows["age"][a] - rows["age"][b]) <= 10
        if rule == "like_group":
            assert rows["group"][a] == rows["group"][b] != UNKNOWN
    possible = int(fits.any(1).sum())
    assert len(set(first[:possible].tolist())) == possible
    again = draw_pairs(fits, 2 * n, torch.Generator().manual_seed(seed))
    assert torch.equal(first, again[0]) and torch.equal(second, again[1])


def _parents(n: int = 6) -> Parents:
    rows = {name: torch.from_numpy(value) for name, value in _rows(2 * n).items()}
    halves = [{name: value[i::2] for name, value in rows.items()} for i in (0, 1)]
    tokens, boxes, vectors = ((halves[0][k], halves[1][k]) for k in ("tokens", "boxes", "vector"))
    return Parents(tokens, boxes, vectors)


def test_the_total_is_the_weighted_sum_of_the_three_and_each_can_be_left_out() -> None:
    loaded, parents = small_codecs.blender(kind="linear"), _parents()
    weights = {"identity_weight": 0.7, "kl_weight": 0.003, "smooth_weight": 0.05}
    net, codec = loaded.net, loaded.codec
    found = BlenderLosses(net, codec, BlenderObjective(**weights), _embed)(parents)
    child = net(*parents.tokens)
    boxes = (parents.boxes[0] + parents.boxes[1]) / 2
    wanted = [vectors_of(codec, _embed, z, b) for z, b in zip(parents.tokens, parents.boxes, strict=True)]
    parts = {
        "identity": kinship_distance(vectors_of(codec, _embed, child, boxes), *wanted).mean(),
        "kl": normality(child, codec.moments.live),
        "smooth": departure(child, *parents.tokens, 0.5).mean(),
    }
    total = sum(weights[f"{name}_weight"] * value for name, value in parts.items())
    for name, value in parts.items():
        torch.testing.assert_close(found[name], value, rtol=1e-4, atol=1e-5)
        less = BlenderLosses(net, codec, BlenderObjective(**weights | {f"{name}_weight": 0.0}), _embed)(parents)
        assert name not in less
        torch.testing.assert_close(less["loss"], total - weights[f"{name}_weight"] * value, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found["loss"], torch.as_tensor(total), rtol=1e-4, atol=1e-5)
    with pytest.raises(MissingError, match="identity loss needs its network"):
        BlenderLosses(net, codec, BlenderObjective(), None)


def test_a_drawn_alpha_is_told_to_the_network() -> None:
    """An average that leans where alpha does departs from the way between its parents nowhere."""
    loaded, parents = small_codecs.blender(kind="average", refined=False), _parents()
    objective = BlenderObjective(identity_weight=0, kl_weight=0, smooth_weight=1.0, alpha="drawn")
    assert BlenderLosses(loaded.net, loaded.codec, objective, None)(parents)["smooth"].item() < 1e-4


def test_codes_are_read_as_a_regression_says() -> None:
    rng = np.random.default_rng(0)
    tokens = rng.standard_normal((400, 3, 4)).astype(np.float32)
    matrix = rng.standard_normal((12, 5))
    reader = CodeReader.fit(tokens, tokens.reshape(400, 12) @ matrix + 2, penalty=1e-6)
    found = reader(torch.from_numpy(tokens[:7]))
    np.testing.assert_allclose(found.numpy(), tokens[:7].reshape(7, 12) @ matrix + 2, atol=1e-3)


@pytest.mark.parametrize("through", ["decoder", "codes"])
def test_it_overfits_one_batch_and_its_validation_is_the_same_each_time(through: str) -> None:
    torch.manual_seed(0)
    loaded = small_codecs.blender()
    net = ChildNet(ChildNetConfig("mlp", spread=8, feedforward=32, dropout=0.0))
    rows = _rows(12)
    reader = CodeReader.fit(loaded.codec.moments.standardize(torch.from_numpy(rows["tokens"])).numpy(), rows["vector"])
    objective = BlenderObjective(identity_through=through, learning_rate=3e-3, bfloat16=False, ema_decay=0.5)  # ty: ignore[invalid-argument-type]
    judging = BlenderNetworks(_embed, None, reader)
    task = BlenderTask(net, objective, loaded.codec, judging, "any", torch.device("cpu"))
    modules, seen = task.modules(), []
    for _ in range(25):
        torch.manual_seed(1)
        seen.append(task.step(modules, {STREAM: rows}, 10**9)["loss"].item())
    assert seen[-1] < seen[0] - 0.05
    before = task.validate({STREAM: [_rows(8, 1), _rows(8, 2)]})
    after = task.validate({STREAM: [_rows(8, 1), _rows(8, 2)]})
    assert before.metrics == after.metrics
    assert {"val_face_identity_worse", "val_face_identity_permuted", "val_face_kl"} <= set(before.metrics)
    assert len(before.pictures) == 3


def test_a_training_goes_on_from_its_saved_state_to_the_bit(tmp_path: Path) -> None:
    """With dropout, drawn pairs and drawn alphas: nothing but the state and the epoch's seed decides a step."""
    loaded, rows = small_codecs.blender(), _rows(16)
    reader = CodeReader.fit(loaded.codec.moments.standardize(torch.from_numpy(rows["tokens"])).numpy(), rows["vector"])
    objective = BlenderObjective(identity_through="codes", alpha="drawn", parents="photograph", bfloat16=False)

    def begun() -> BlenderTask:
        torch.manual_seed(0)
        net = ChildNet(ChildNetConfig("mlp", spread=8, feedforward=32, dropout=0.1))
        return BlenderTask(
            net, objective, loaded.codec, BlenderNetworks(None, None, reader), "any", torch.device("cpu")
        )

    def epoch(task: BlenderTask, number: int) -> list[float]:
        torch.manual_seed(1000 * number)
        modules = task.modules()
        return [task.step(modules, {STREAM: rows}, 10**4)["loss"].item() for _ in range(3)]

    unbroken = begun()
    epoch(unbroken, 1)
    torch.save(unbroken.state.state_dict(), tmp_path / "state.pt")
    wanted = epoch(unbroken, 2)
    again = begun()
    again.state.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert epoch(again, 2) == wanted
    assert len(set(wanted)) == 3
    for part in ("model", "average"):
        one, other = (getattr(task.state, part).state_dict() for task in (unbroken, again))
        assert all(torch.equal(one[name], other[name]) for name in one), part
    assert again.state.seen == unbroken.state.seen
    fresh = begun()
    assert epoch(fresh, 2) != wanted, "the state matters"
