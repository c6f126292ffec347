"""Names of files match however they are spelt."""

import unicodedata

import pytest

from rupantara.faces import names
from rupantara.faces.paths import origin

LISTED = ["human/José_Núñez/José_Núñez_0001.jpg", "human/a.jpg", "human/b c.JPG", "animals/fox/x%20y.png"]
DECOMPOSED = [unicodedata.normalize("NFD", path) for path in LISTED]


@pytest.mark.parametrize(
    ("spelt", "path"),
    [
        (LISTED[0], 0),
        (DECOMPOSED[0], 0),
        ("./human/a.jpg", 1),
        ("human\\a.jpg", 1),
        ("human//a.jpg", 1),
        ("Human/A.JPG", 1),
        ("human/b%20c.JPG", 2),
        ("photos/human/a.jpg", 1),
        ("photos\\human\\b c.jpg", 2),
        ("animals/fox/x%20y.png", 3),
        ("human/a .jpg", 1),
        (" photos/human/b c.jpg\t", 2),
    ],
)
@pytest.mark.parametrize("listed", [LISTED, DECOMPOSED], ids=["composed", "decomposed"])
def test_every_spelling_finds_its_file(spelt: str, path: int, listed: list[str]) -> None:
    assert names.match([spelt], listed, "photos") == ({listed[path]: spelt}, [])


def test_names_that_match_nothing_are_said_and_what_fits_two_files_is_no_match() -> None:
    listed = ["a/X.jpg", "a/x.jpg", "b.jpg", "b .jpg"]
    assert names.match(["a/x.jpg", "a/X.jpg", "A/x.jpg", "c.jpg", "b.jpg", "b .jpg"], listed) == (
        {"a/x.jpg": "a/x.jpg", "a/X.jpg": "a/X.jpg", "b.jpg": "b.jpg", "b .jpg": "b .jpg"},
        ["A/x.jpg", "c.jpg"],
    )


def test_both_forms_of_a_name_are_one_person_and_both_cases_one_species() -> None:
    assert origin(LISTED[0]) == origin(DECOMPOSED[0])
    assert origin(LISTED[0]).identity == "José_Núñez"
    assert origin("Animals/Snow Leopard/1.jpg") == origin("animals/snow leopard/2.jpg")
