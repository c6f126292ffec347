"""An animal's part boxes follow its points: in place, size and turn, and mirrored with it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rupantara.landmarks.align import TEMPLATES
from rupantara.landmarks.animal_regions import Frame, boxes_from_six
from rupantara.landmarks.regions import CANONICAL, MIRRORED_PARTS, PARTS, part_boxes

CAT = np.array([[0.392, 0.52], [0.608, 0.52], [0.5, 0.675], [0.5, 0.735], [0.22, 0.12], [0.78, 0.12]])
"""A cat's points as fractions of the crop: the median of 140 marked from the front."""
MIRRORED = (1, 0, 2, 3, 5, 4)


def inside(box: np.ndarray, point: np.ndarray) -> bool:
    return bool((box[:2] < point).all() and (point < box[2:]).all())


@given(st.floats(0.3, 3.0), st.floats(-100, 100), st.floats(-100, 100))
def test_boxes_move_and_grow_with_the_points(scale: float, x: float, y: float) -> None:
    moved = boxes_from_six(CAT * scale + (x, y))
    np.testing.assert_allclose(moved, boxes_from_six(CAT) * scale + (x, y, x, y), atol=1e-3)


@given(st.floats(-0.04, 0.04), st.floats(-0.04, 0.04))
def test_a_mirrored_head_has_the_mirrored_boxes(dx: float, dy: float) -> None:
    head = CAT + np.array([[dx, dy], [0, 0], [dy, dx], [dx, 0], [0, dx], [dy, dy]])
    mirrored = ((1, 0) + head * (-1, 1))[list(MIRRORED)]
    boxes = boxes_from_six(head)
    expected = np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], 1)[list(MIRRORED_PARTS)]
    np.testing.assert_allclose(boxes_from_six(mirrored), expected, atol=1e-5)


def test_each_box_holds_what_it_is_named_after() -> None:
    boxes = dict(zip(PARTS, boxes_from_six(CAT), strict=True))
    for part, points in {
        "eyes": CAT[:2],
        "nose": CAT[2:3],
        "mouth": CAT[3:4],
        "left_ear": CAT[4:5],
        "right_ear": CAT[5:],
    }.items():
        assert all(inside(boxes[part], point) for point in points), part
    brow = (CAT[0] + CAT[1]) / 2 - (0, 0.12)
    assert inside(boxes["forehead"], brow) and not inside(boxes["forehead"], CAT[2])
    assert not inside(boxes["eyes"], CAT[2]) and not inside(boxes["mouth"], CAT[2] - (0, 0.03))


def test_a_turned_head_has_boxes_around_the_turned_regions() -> None:
    angle = np.radians(20)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    head = (CAT - 0.5) @ turn.T + 0.5
    for upright, turned in zip(boxes_from_six(CAT), boxes_from_six(head), strict=True):
        corners = np.array([[upright[i], upright[j]] for i in (0, 2) for j in (1, 3)])
        expected = (corners - 0.5) @ turn.T + 0.5
        np.testing.assert_allclose(turned, [*expected.min(0), *expected.max(0)], atol=1e-5)


def test_hidden_points_are_filled_from_the_others() -> None:
    whole = boxes_from_six(CAT)
    for hidden, part in ((4, "left_ear"), (5, "right_ear")):
        found = boxes_from_six(np.where(np.arange(6)[:, None] == hidden, np.nan, CAT))
        np.testing.assert_allclose(found[PARTS.index(part)], whole[PARTS.index(part)], atol=1e-6)
    none = boxes_from_six(np.where(np.arange(6)[:, None] >= 3, np.nan, CAT))
    assert np.isfinite(none).all() and np.abs(none - whole).max() < 0.13


def test_a_hanging_ear_is_beside_the_eye_and_a_standing_one_above_it() -> None:
    hanging = CAT.copy()
    hanging[4] = (0.25, 0.68)
    box = boxes_from_six(hanging)[PARTS.index("left_ear")]
    assert inside(box, hanging[4]) and box[1] < CAT[0, 1] < box[3] and box[2] < CAT[0, 0]
    assert boxes_from_six(CAT)[PARTS.index("left_ear")][3] < CAT[0, 1]


def test_a_long_muzzle_with_close_eyes_gets_regions_of_like_size() -> None:
    wolf = CAT * 1.0
    wolf[:2, 0] = (0.42, 0.58)
    wolf[2:4, 1] += 0.03
    assert Frame(wolf).unit == pytest.approx(Frame(CAT).unit, rel=0.08)


def test_regions_take_an_animals_points_and_else_the_canonical_boxes() -> None:
    assert not np.allclose(part_boxes(None, "animal", 256, (CAT * 256).astype(np.float32)), CANONICAL["animal"])
    hidden = np.full((6, 2), np.nan, np.float32)
    for points in (None, hidden):
        np.testing.assert_array_equal(part_boxes(None, "animal", 256, points), np.float32(CANONICAL["animal"]))
    template = np.concatenate([np.array(TEMPLATES["animal"]), np.full((3, 2), np.nan)])
    near = part_boxes(None, "animal", 256, (template * 256).astype(np.float32))
    assert np.abs(near - np.float32(CANONICAL["animal"])).max() < 0.12
