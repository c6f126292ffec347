"""Alignment undoes what a similarity does."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.landmarks.align import TEMPLATES, align, fit_similarity, roll_degrees, transform_points, yaw_degrees
from rupantara.landmarks.regions import CANONICAL, PARTS, part_boxes
from rupantara.synthetic import draw_face


@settings(max_examples=50, deadline=None)
@given(angle=st.floats(-1, 1), scale=st.floats(0.2, 5), dx=st.floats(-50, 50), dy=st.floats(-50, 50))
def test_a_fitted_similarity_is_the_one_that_was_applied(angle, scale, dx, dy):
    points = np.array([[0, 0], [10, 1], [4, 9], [2, 15]], np.float64)
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    applied = np.array([[c, -s, dx], [s, c, dy]])
    found = fit_similarity(points, transform_points(points, applied).astype(np.float64))
    np.testing.assert_allclose(found, applied, atol=1e-3 * max(1, scale))


def test_equal_points_are_refused():
    with pytest.raises(ValueError, match="distinct"):
        fit_similarity(np.ones((3, 2)), np.zeros((3, 2)))


def test_a_turned_and_scaled_photograph_gives_the_same_crop():
    face = draw_face("human", 3, size=320)
    turn = cv2.getRotationMatrix2D((160, 160), 17, 0.8)
    turned = cv2.warpAffine(face.image, turn, (320, 320), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    first = align(face.image, face.keypoints, "human")
    second = align(turned, transform_points(face.keypoints, turn), "human")
    middle = np.s_[60:220, 60:200]
    difference = np.abs(first.crop[middle].astype(float) - second.crop[middle])
    assert difference.mean() < 4


def test_keypoints_land_on_the_template_and_large_photographs_do_not_shift():
    face = draw_face("human", 5, size=320)
    big = cv2.resize(face.image, None, fx=5, fy=5, interpolation=cv2.INTER_CUBIC)
    points = (face.keypoints + 0.5) * 5 - 0.5
    small, large = align(face.image, face.keypoints, "human"), align(big, points.astype(np.float32), "human")
    landed = transform_points(face.keypoints, small.transform)
    assert np.abs(landed - np.array(TEMPLATES["human"]) * 256).max() < 14
    assert np.abs(small.crop.astype(float) - large.crop).mean() < 3


def test_coverage_is_the_share_inside():
    picture = np.zeros((256, 256, 3), np.uint8)
    template = (np.array(TEMPLATES["human"]) * 256).astype(np.float32)
    assert align(picture, template, "human").coverage == pytest.approx(1.0, abs=0.01)
    assert align(picture, template + np.float32([128, 0]), "human").coverage == pytest.approx(0.5, abs=0.01)


def test_a_level_frontal_face_has_no_roll_and_no_yaw():
    points = np.float32([[0, 0], [10, 0], [5, 6], [2, 10], [8, 10]])
    assert roll_degrees(points) == 0
    assert yaw_degrees(points) == 0
    assert yaw_degrees(points + np.float32([[0, 0], [0, 0], [2, 0], [0, 0], [0, 0]])) > 15


def test_boxes_from_68_points_hold_what_they_are_named_after():
    face = draw_face("human", 7, size=320)
    aligned = align(face.image, face.keypoints, "human")
    points = transform_points(face.landmarks, aligned.transform)
    boxes = dict(zip(PARTS, part_boxes(points, "human", 256) * 256, strict=True))
    inside = {"eyes": points[36:48], "nose": points[30:36], "mouth": points[48:68]}
    for name, held in inside.items():
        x0, y0, x1, y1 = boxes[name]
        assert ((held[:, 0] > x0) & (held[:, 0] < x1) & (held[:, 1] > y0) & (held[:, 1] < y1)).all(), name
    assert boxes["forehead"][3] <= points[36:48, 1].min()
    assert boxes["left_ear"][0] < points[0, 0] < boxes["left_ear"][2]


@pytest.mark.parametrize("domain", ["human", "animal"])
def test_canonical_boxes_lie_inside_the_crop_and_have_an_area(domain):
    boxes = np.array(CANONICAL[domain])
    assert (boxes >= 0).all() and (boxes <= 1).all() and (boxes[:, 2:] - boxes[:, :2] > 0.1).all()
