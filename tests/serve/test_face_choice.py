"""Of several faces in a photograph one is taken by a stated choice, and the answer tells which."""

import numpy as np
import pytest

from rupantara.errors import UserError
from rupantara.imaging.codec import encode_png
from rupantara.synthetic import draw_face
from serve.faces import FaceFinder

LARGE, SMALL = 320, 160


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder("", 10**7)


@pytest.fixture(scope="module", params=["small first", "large first"])
def photo(request: pytest.FixtureRequest) -> tuple[bytes, dict[str, float]]:
    """A photograph of two people, and where the middle of each lies."""
    sheet = np.full((LARGE, LARGE + SMALL, 3), 120, np.uint8)
    places = {"small": 0, "large": SMALL} if request.param == "small first" else {"large": 0, "small": LARGE}
    sheet[:, places["large"] :][:, :LARGE] = draw_face("human", 3, size=LARGE).image
    sheet[LARGE - SMALL :, places["small"] :][:, :SMALL] = draw_face("human", 5, size=SMALL).image
    return encode_png(sheet), {"small": places["small"] + SMALL / 2, "large": places["large"] + LARGE / 2}


def test_the_subject_is_taken_unless_a_number_says_another(finder: FaceFinder, photo) -> None:
    data, middles = photo
    (subject,), (first,), (second,) = (finder.find(data, which=which) for which in ("subject", 0, 1))
    both = finder.find(data, which="all")
    for face, name, number in ((subject, "large", 0), (first, "large", 0), (second, "small", 1)):
        assert face.place.box_px is not None
        x, _, width, _ = face.place.box_px
        assert abs(x + width / 2 - middles[name]) < 60
        assert (face.place.number, face.place.num_faces) == (number, 2)
    assert [face.face_id for face in both] == [subject.face_id, second.face_id]
    for wrong in (2, -1):
        with pytest.raises(UserError, match="which must be from 0 to below the 2 faces of the photograph"):
            finder.find(data, which=wrong)
