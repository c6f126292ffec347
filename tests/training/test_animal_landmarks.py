"""The animals' landmark network learns: marks become maps that read back as the marks, and one batch overfits."""

import numpy as np
import pytest
import torch

from rupantara.errors import UserError
from rupantara.faces.animal_heads import NetworkView, heads_of, locate, vertex
from rupantara.faces.animal_network import fuse, load_network, save_network
from rupantara.models.animal_landmarks import MIRRORED, SIDE, UNIT_PX, AnimalLandmarks, Maps
from rupantara.training.animal_landmarks import centre_of, targets_of
from rupantara.training.animal_landmarks_task import STREAM, AnimalLandmarksObjective, LandmarksTask, marks_of
from rupantara.training.animal_views import Marked, nothing, vary, view_of, warp

POINTS = np.array([[80, 90], [130, 92], [104, 130], [103, 146], [52, 40], [165, 44]], np.float32)
AS_SHOWN = NetworkView(np.eye(2, 3), (SIDE, SIDE))


def head(points: np.ndarray = POINTS, picture: np.ndarray | None = None) -> Marked:
    shown = np.full((SIDE, SIDE, 3), 90, np.uint8) if picture is None else picture
    return Marked(shown, points.astype(np.float32), np.ones(6, bool), view=0)


def maps_that_say(marks: list[Marked]) -> Maps:
    """The maps of a network that has learnt its targets to the letter."""
    goal = targets_of(marks)
    logit = {name: torch.logit(getattr(goal, name), eps=1e-4).numpy() for name in ("points", "centre", "visible")}
    view = np.zeros((4, *goal.view.shape), np.float32)
    view[0] = 5
    return Maps(logit["points"], logit["centre"], goal.box.numpy(), goal.offsets.numpy(), logit["visible"], view)


def test_targets_read_back_as_the_marks() -> None:
    found = heads_of(maps_that_say([head()]), AS_SHOWN)
    assert len(found) == 1
    assert np.abs(found[0].points - POINTS).max() < 0.3
    assert (found[0].visible > 0.5).all() and found[0].looks == "front"
    low, high = POINTS.min(0), POINTS.max(0)
    grow = 0.18 * (high - low).max()
    np.testing.assert_allclose(found[0].box, [*(low - grow), *(high - low + 2 * grow)], atol=0.5)


def test_two_heads_in_one_picture_keep_their_own_points() -> None:
    small = (POINTS - POINTS.mean(0)) * 0.35
    both = [head(small + np.array([60, 60])), head(small + np.array([160, 150]))]
    found = heads_of(maps_that_say(both), AS_SHOWN)
    assert len(found) == 2
    by_place = sorted(found, key=lambda one: one.box[0])
    for one, mark in zip(by_place, both, strict=True):
        assert np.abs(one.points - mark.points).max() < 0.8


def test_a_hidden_point_is_said_to_be_hidden_and_no_other() -> None:
    points = POINTS.copy()
    points[5] = np.nan
    found = heads_of(maps_that_say([head(points)]), AS_SHOWN)[0]
    assert (found.visible > 0.5).tolist() == [True] * 5 + [False]
    assert found.named()["right_ear"] is None and found.named()["nose"] is not None


def test_a_look_carries_points_back_to_the_photograph() -> None:
    look = NetworkView(np.array([[2.0, 0, 5], [0, 2.0, -7]]), (SIDE, SIDE))
    found = heads_of(maps_that_say([head()]), look)[0]
    np.testing.assert_allclose(found.points, (POINTS - np.array([5, -7])) / 2, atol=0.2)


def test_the_vertex_of_a_gaussian_is_found_to_the_hundredth() -> None:
    line = np.exp(-((np.arange(9) - 4.3) ** 2) / (2 * 1.5**2))
    assert vertex(line, 4) == pytest.approx(0.3, abs=1e-3)
    assert vertex(np.ones(9), 4) == 0


def test_the_coarse_place_decides_between_two_like_spots() -> None:
    heat = np.full((56, 56), 1e-3)
    heat[20, 10] = heat[20, 40] = 0.9
    for x in (10, 40):
        place, peak = locate(heat, np.array([(x + 1) * 4.0, 80.0]), 12.0)
        assert abs(place[0] - (x * 4 + 1.5)) < 2 and peak == pytest.approx(0.9)
    place, peak = locate(np.zeros((56, 56)), np.array([33.0, 44.0]), 12.0)
    assert place.tolist() == [33.0, 44.0]


def test_points_follow_the_pixels_through_a_warp_and_names_through_a_mirror() -> None:
    """A white spot at each point of a black picture: after any view the spots lie at the points."""
    picture = np.zeros((SIDE, SIDE, 3), np.uint8)
    for x, y in POINTS.astype(int):
        picture[y - 3 : y + 4, x - 3 : x + 4] = 255
    mark, mirrored = head(picture=picture), 0
    for seed in range(12):
        random = np.random.default_rng(seed)
        transform = view_of(mark, random)
        seen = warp(mark, transform, SIDE, random)
        mirrored += np.linalg.det(transform[:, :2]) < 0
        for x, y in seen.points[np.isfinite(seen.points).all(1)]:
            assert seen.picture[round(float(y)), round(float(x))].max() > 60
        if np.linalg.det(transform[:, :2]) < 0:
            back = (mark.points @ transform[:, :2].T + transform[:, 2])[list(MIRRORED)]
            shown = np.isfinite(seen.points)
            np.testing.assert_allclose(seen.points[shown], back[shown], atol=1e-3)
    assert 0 < mirrored < 12


def test_views_are_pictures_of_the_side_with_points_inside() -> None:
    for seed in range(20):
        for one in vary(head(), [head(), nothing(np.zeros((50, 60, 3), np.uint8))], np.random.default_rng(seed)):
            assert one.picture.shape == (SIDE, SIDE, 3) and one.picture.dtype == np.uint8
            inside = one.points[np.isfinite(one.points)]
            assert (inside >= 0).all() and (inside < SIDE).all()


def test_a_picture_of_nothing_asks_for_nothing() -> None:
    goal = targets_of([nothing(np.zeros((9, 9, 3), np.uint8))])
    assert not goal.points.any() and not goal.centre.any() and not goal.box_weight.any()


def test_the_centre_is_that_of_eyes_and_nose_as_far_as_they_are_seen() -> None:
    np.testing.assert_allclose(centre_of(POINTS), ((80 + 130) / 4 + 104 / 2, (90 + 92) / 4 + 130 / 2))
    assert centre_of(np.where(np.arange(6)[:, None] == 2, np.nan, POINTS)).tolist() == [105.0, 91.0]


def test_folding_the_normalisations_and_half_precision_change_no_answer() -> None:
    torch.manual_seed(0)
    network = AnimalLandmarks().train()
    with torch.no_grad():
        network(torch.rand(4, 3, 64, 64))
    network.eval()
    images = torch.rand(1, 3, 96, 64) * 2 - 1
    with torch.no_grad():
        expected = network(images)
        read = load_network(save_network(network))(images)
        fused = fuse(network)(images)
    for a, b, c in zip(expected, fused, read, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
        assert float((a - c).abs().max()) < 0.02 * max(float(a.abs().max()), 1.0)
    with pytest.raises(UserError, match="must be its safetensors file"):
        load_network(b"no tensors")


def test_one_batch_overfits() -> None:
    """Two drawn heads, shown as they are: after 30 steps the network finds their points."""
    torch.manual_seed(0)
    task = LandmarksTask(
        AnimalLandmarksObjective(learning_rate=4e-3, body_rate=1.0, ema_decay=0.5), torch.device("cpu")
    )
    rng = np.random.default_rng(1)
    image = np.full((2, SIDE, SIDE, 3), 128, np.uint8)
    points = np.stack([POINTS, POINTS * 0.6 + 40]).astype(np.float32)
    for i in range(2):
        for k, (x, y) in enumerate(points[i].astype(int)):
            image[i, y - 5 : y + 6, x - 5 : x + 6] = np.eye(3, dtype=np.uint8)[k % 3] * 127 * (k // 3 + 1)
    rows = {"image": image, "size": np.full((2, 2), SIDE), "points": points, "known": np.ones((2, 6), bool)}
    rows |= {"view": np.zeros(2, np.int64), "has_head": np.ones(2, bool)}
    first = last = 0.0
    batch = task._batch([[mark] for mark in marks_of(rows)])
    module = task.modules()["network"]
    for step in range(30):
        loss = module(*batch)["loss"]
        task.state.set_rate(4e-3)
        task.state.descend(loss, clip=5.0, decay=0.5, images=2)
        first, last = (float(loss.detach()), last) if step == 0 else (first, float(loss.detach()))
    assert last < 0.35 * first
    metrics = task.validate({STREAM: [rows]}).metrics
    assert np.isfinite(metrics["val_loss"]) and UNIT_PX > 0
    shown = task.step({"network": module}, {STREAM: rows}, 1000)
    assert np.isfinite(float(shown["loss"]))
    del rng
