"""Faces that several scales find are one face."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rupantara.faces.detector import Detection, distinct, overlap


def face(x: float, y: float, side: float, score: float = 0.9) -> Detection:
    return Detection(np.array([x, y, side, side], np.float32), np.zeros((5, 2), np.float32), score)


def test_the_overlap_of_two_boxes_by_hand() -> None:
    assert overlap(face(0, 0, 10).box, face(0, 0, 10).box) == pytest.approx(1)
    assert overlap(face(0, 0, 10).box, face(5, 0, 10).box) == pytest.approx(50 / 150)
    assert overlap(face(0, 0, 10).box, face(20, 0, 10).box) == 0


def test_of_one_face_found_thrice_the_first_is_kept_and_a_neighbour_stays() -> None:
    found = [face(10, 10, 40), face(12, 9, 42), face(80, 10, 40), face(9, 12, 38)]
    assert distinct(found) == [found[0], found[2]]


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(5, 60)), max_size=12))
def test_what_is_kept_does_not_overlap_and_what_is_dropped_does(places) -> None:
    found = [face(*map(float, place)) for place in places]
    kept = distinct(found)
    assert all(overlap(a.box, b.box) <= 0.4 for i, a in enumerate(kept) for b in kept[i + 1 :])
    assert all(any(a is b or overlap(a.box, b.box) > 0.4 for b in kept) for a in found)
