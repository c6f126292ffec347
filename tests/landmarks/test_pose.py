"""The pose is the one that the points were projected with; the mouth's measure knows no place, size or turn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rupantara.landmarks.pose import (
    FOCAL_IN_EYE_SPANS,
    NEUTRAL_LIFT,
    NEUTRAL_RANGE,
    OPEN_GAP,
    PITCH_ZERO_DEGREES,
    RIGID,
    SMILE_LIFT,
    head_pose,
    mouth_expression,
)
from rupantara.synthetic import draw_face

CHAINS = ((0, 16), (17, 26), (31, 35), (48, 54), (55, 59), (60, 64), (65, 67))
PAIRS = ((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46))
MIRROR = np.arange(68)
"""For each of the 68 points the one on the face's other side: chains that read backwards, and the eyes' pairs."""
for low, high in CHAINS:
    MIRROR[low : high + 1] = np.arange(high, low - 1, -1)
for left, right in PAIRS:
    MIRROR[[left, right]] = right, left

angles = {"yaw": st.floats(-40, 40), "pitch": st.floats(-25, 25), "roll": st.floats(-40, 40)}


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Turn a head that looks at the camera (-z; x right, y down): its forward to (yaw, pitch), its right to `roll`.

    Forward is (sin yaw cos pitch, sin pitch, -cos yaw cos pitch); right is the perpendicular whose picture makes `roll` with
    the x axis.
    """
    y, p, r = np.radians([yaw, pitch, roll])
    forward = np.array([np.sin(y) * np.cos(p), np.sin(p), -np.cos(y) * np.cos(p)])
    # right = (a cos r, a sin r, c) with right . forward = 0.
    c = -(np.cos(r) * forward[0] + np.sin(r) * forward[1]) / forward[2]
    right = np.array([np.cos(r), np.sin(r), c])
    right /= np.linalg.norm(right)
    return np.stack([right, np.cross(-forward, right), -forward], axis=1)


def _landmarks(rotation: np.ndarray, perspective: bool = True) -> np.ndarray:
    """Photograph the rigid points from ten eye spans (900 mm), the camera aimed at their middle; others are not looked at."""
    turned = np.array(list(RIGID.values()), float) @ rotation.T
    distance, aim = 90 * FOCAL_IN_EYE_SPANS, turned.mean(0)
    for _ in range(20 * perspective):
        depth = turned[:, 2:] - aim[2] + distance
        aim[:2] += ((turned[:, :2] - aim[:2]) * distance / depth).mean(0)
    seen = turned - aim
    points = np.full((68, 2), np.nan)
    points[list(RIGID)] = 128 + (seen[:, :2] * distance / (seen[:, 2:] + distance) if perspective else seen[:, :2])
    return points


def _angles(landmarks: np.ndarray) -> tuple[float, float, float]:
    found = head_pose(landmarks)
    assert found is not None
    return found.yaw, found.pitch, found.roll


def test_the_rotation_used_here_is_one_and_agrees_with_scipy_s_about_each_axis() -> None:
    for yaw, pitch, roll in [(20, 0, 0), (0, 20, 0), (0, 0, 20), (31, -17, 12)]:
        made = _rotation(yaw, pitch, roll)
        np.testing.assert_allclose(made @ made.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(made) == pytest.approx(1)
    for axis, made in (((0, -20, 0), (20, 0, 0)), ((20, 0, 0), (0, 20, 0)), ((0, 0, 20), (0, 0, 20))):
        np.testing.assert_allclose(_rotation(*made), Rotation.from_rotvec(np.radians(axis)).as_matrix(), atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(**angles)
def test_the_angles_that_turned_the_head_are_found(yaw: float, pitch: float, roll: float) -> None:
    found = _angles(_landmarks(_rotation(yaw, pitch, roll)))
    assert found == pytest.approx((yaw, pitch - PITCH_ZERO_DEGREES, roll), abs=1)


@settings(max_examples=60, deadline=None)
@given(yaw=st.floats(-30, 30), pitch=st.floats(-20, 20), roll=st.floats(-40, 40))
def test_without_perspective_the_angles_are_nearly_the_same(yaw: float, pitch: float, roll: float) -> None:
    """A face through a long lens, where the model expects a portrait's."""
    found = _angles(_landmarks(_rotation(yaw, pitch, roll), perspective=False))
    assert found == pytest.approx((yaw, pitch - PITCH_ZERO_DEGREES, roll), abs=2)


def test_signs_are_those_of_the_picture() -> None:
    """By hand: the nose tip, 41 mm before the eyes, moves right of them and away below them, and the right eye sinks."""

    def tip(turn: tuple[float, float, float]) -> np.ndarray:
        points = _landmarks(_rotation(*turn))
        return points[30] - (points[36] + points[45]) / 2

    still, right, down = tip((0, 0, 0)), tip((20, 0, 0)), tip((0, 15, 0))
    assert right[0] - still[0] == pytest.approx(41 * np.sin(np.radians(20)), rel=0.1)
    assert down[1] - 31 * np.cos(np.radians(15)) == pytest.approx(41 * np.sin(np.radians(15)), rel=0.2)
    clockwise = _landmarks(_rotation(0, 0, 10))
    assert clockwise[45, 1] - clockwise[36, 1] == pytest.approx(90 * np.sin(np.radians(10)), rel=0.03)


@settings(max_examples=40, deadline=None)
@given(**angles, scale=st.floats(0.05, 20), dx=st.floats(-2000, 2000), dy=st.floats(-2000, 2000))
def test_place_and_size_do_not_matter(
    yaw: float, pitch: float, roll: float, scale: float, dx: float, dy: float
) -> None:
    points = _landmarks(_rotation(yaw, pitch, roll))
    assert _angles(points * scale + (dx, dy)) == pytest.approx(_angles(points), abs=0.05)


@pytest.mark.parametrize("identity", range(12))
def test_a_mirrored_face_looks_and_leans_the_other_way(identity: int) -> None:
    points = draw_face("human", identity, size=200).landmarks.astype(float)
    yaw, pitch, roll = _angles(points)
    mirrored = (points * (-1, 1) + (199, 0))[MIRROR]
    assert _angles(mirrored) == pytest.approx((-yaw, pitch, -roll), abs=0.1)
    assert mouth_expression(mirrored) == pytest.approx(mouth_expression(points), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(**angles, seed=st.integers(0, 999))
def test_points_a_pixel_off_turn_the_head_by_a_few_degrees_at_most(
    yaw: float, pitch: float, roll: float, seed: int
) -> None:
    points = _landmarks(_rotation(yaw, pitch, roll))
    noise = np.random.default_rng(seed).normal(0, 0.5, points.shape)
    assert _angles(points + noise) == pytest.approx(_angles(points), abs=9)


@pytest.mark.parametrize("value", [0.0, 50.0, np.nan])
def test_points_that_determine_no_pose_give_none(value: float) -> None:
    assert head_pose(np.full((68, 2), value)) is None


def _mouth(gap: float = 0.0, lift: float = NEUTRAL_LIFT) -> np.ndarray:
    """Build a face with eyes 100 apart and a mouth by hand: inner lips `gap` apart, corners `lift` over the lips' middle.

    Both in units of the eyes' distance; y runs down.
    """
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = (0, 0), (100, 0)
    points[48:68] = (50, 90)
    points[[51, 57], 1] = (80, 100)
    points[[61, 62, 63], 1] -= gap * 50
    points[[65, 66, 67], 1] += gap * 50
    points[[48, 54]] = [[20, 90 - lift * 100], [80, 90 - lift * 100]]
    return points


def test_a_closed_level_mouth_has_no_expression() -> None:
    for lift in (NEUTRAL_LIFT, NEUTRAL_LIFT - 0.99 * NEUTRAL_RANGE, NEUTRAL_LIFT + 0.99 * NEUTRAL_RANGE):
        assert mouth_expression(_mouth(0, lift)) == pytest.approx(0, abs=1e-9)
    # Lips that overlap by the points' noise are closed.
    assert mouth_expression(_mouth(-0.05)) == pytest.approx(0, abs=1e-9)


def test_one_is_a_plainly_open_or_a_plainly_smiling_or_frowning_mouth() -> None:
    smile = NEUTRAL_RANGE + SMILE_LIFT
    assert mouth_expression(_mouth(OPEN_GAP)) == pytest.approx(1)
    assert mouth_expression(_mouth(0, NEUTRAL_LIFT + smile)) == pytest.approx(1)
    assert mouth_expression(_mouth(0, NEUTRAL_LIFT - smile)) == pytest.approx(1)
    assert mouth_expression(_mouth(OPEN_GAP, NEUTRAL_LIFT + smile)) == pytest.approx(2**0.5)


@given(gap=st.floats(0, 0.5), lift=st.floats(NEUTRAL_LIFT, 0.5), more=st.floats(0.01, 0.3))
def test_it_grows_with_the_gap_and_with_the_corners(gap: float, lift: float, more: float) -> None:
    assert mouth_expression(_mouth(gap + more, lift)) > mouth_expression(_mouth(gap, lift))
    lifted = mouth_expression(_mouth(gap, lift + more))
    assert lifted >= mouth_expression(_mouth(gap, lift))
    assert mouth_expression(_mouth(gap, lift + more + NEUTRAL_RANGE)) > mouth_expression(_mouth(gap, lift))


@given(
    gap=st.floats(-0.1, 0.5),
    lift=st.floats(-0.3, 0.5),
    angle=st.floats(-3, 3),
    scale=st.floats(0.02, 30),
    dx=st.floats(-500, 500),
)
def test_similarities_leave_it_as_it_is(gap: float, lift: float, angle: float, scale: float, dx: float) -> None:
    points, c, s = _mouth(gap, lift), np.cos(angle), np.sin(angle)
    turned = points @ (scale * np.array([[c, s], [-s, c]])) + (dx, -2 * dx)
    assert mouth_expression(turned) == pytest.approx(mouth_expression(points), abs=1e-6)
