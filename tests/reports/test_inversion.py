"""Who is recognised among how many, by hand."""

import numpy as np

from rupantara.reports.inversion import ranks


def test_ranks_are_within_groups_and_a_rest_is_left_out() -> None:
    eye = np.eye(5, dtype=np.float32)
    made = eye[[0, 1, 2, 2, 4]]
    assert ranks(made, eye, 2).tolist() == [True, True, True, False]
    assert ranks(made, eye, 5).tolist() == [True, True, True, False, True]
    assert ranks(made, eye, 200).tolist() == [True, True, True, False, True]


def test_a_face_that_is_nearer_another_is_not_recognised() -> None:
    sources = np.array([[1, 0], [0, 1]], np.float32)
    assert ranks(sources[::-1], sources, 200).tolist() == [False, False]
