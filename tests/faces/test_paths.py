"""What the default rules read from the paths of the data sets, and how rules of one's own are answered."""

import pytest

from rupantara.errors import UserError
from rupantara.faces.paths import Origin, compile_rules, origin

EXAMPLES = {
    "human/lfw/George_W_Bush_0001.jpg": Origin("human", "human", "George_W_Bush"),
    "data/human/lfw/Jean-Luc_Picard_0012.JPG": Origin("human", "human", "Jean-Luc_Picard"),
    "human/utkface/25_0_1_20170116.jpg": Origin("human", "human", "", {"age": "25", "sex": "0", "group": "1"}),
    "human/utkface/110_1_4_x.jpg.chip.jpg": Origin("human", "human", "", {"age": "110", "sex": "1", "group": "4"}),
    "human/utkface/61_1_20170109.jpg": Origin("human", "human", ""),
    "human/drawn/drawn_human_00012_0002.jpg": Origin("human", "human", "drawn_human_00012"),
    "animals/snow leopard/a b.png": Origin("animal", "snow leopard", ""),
    "photos/animals/cat/flickr_000008.jpg": Origin("animal", "cat", ""),
    "holiday/IMG_0001.jpg": Origin("human", "human", ""),
    "me.jpg": Origin("human", "human", ""),
    "humanimals/cat/x.jpg": Origin("human", "human", ""),
    "sublfw/A_0001.jpg": Origin("human", "human", ""),
    "lfw/A_Bee_0001.jpg": Origin("human", "human", "A_Bee"),
    "LFW-deepfunneled/A_Bee/A_Bee_0001.jpg": Origin("human", "human", "A_Bee"),
    "x/A_Bee/A_Bee_0001.jpg": Origin("human", "human", "A_Bee"),
    "lfwcrop_color/faces/A_Bee_0001.ppm": Origin("human", "human", "A_Bee"),
    "animals/cat/cat_0001.jpg": Origin("animal", "cat", ""),
    "animals/cat/1_0_2_20240101.jpg": Origin("animal", "cat", ""),
    "animals/red_fox/red_fox_0001.jpg": Origin("animal", "red_fox", ""),
    "Wedding_2019/Wedding_2019_0012.jpg": Origin("human", "human", ""),
    "2024_01_05/2024_01_05_0001.jpg": Origin("human", "human", ""),
    "IMG/IMG_0001.jpg": Origin("human", "human", ""),
    "train/train_00012.jpg": Origin("human", "human", ""),
    "Ann/Anna_0001.jpg": Origin("human", "human", ""),
    "25_0_1_20170116174525125.jpg.chip.jpg": Origin("human", "human", "", {"age": "25", "sex": "0", "group": "1"}),
    "holiday/2024_1_2_001.jpg": Origin("human", "human", ""),
}


@pytest.mark.parametrize("path", EXAMPLES)
def test_default_rules_read_the_data_sets(path: str) -> None:
    assert origin(path) == EXAMPLES[path]


def test_pictures_of_one_person_have_one_identity_and_namesakes_another() -> None:
    names = [f"human/lfw/Ann_{n:04d}.jpg" for n in range(1, 4)]
    assert {origin(name) for name in names if origin(name) is None} == set()
    assert {origin(name).identity for name in names} == {"Ann"}
    assert origin("human/lfw/Ann_Lee_0001.jpg").identity == "Ann_Lee"


def test_the_first_rule_that_is_found_decides() -> None:
    rules = (r"(?P<identity>a+)", r"(?P<species>a)")
    assert origin("xaay", rules) == Origin("human", "human", "aa")
    assert origin("xaay", rules[::-1]) == Origin("animal", "a", "")


def test_a_path_that_no_rule_fits_has_no_origin() -> None:
    assert origin("holiday/x.jpg", (r"^animals/",)) is None


def test_domain_and_species_can_be_said_or_left_to_each_other() -> None:
    rule = (r"^(?:(?P<domain>[^/]+):)?(?P<species>\w+)?/",)
    assert origin("/x", rule) == Origin("human", "human", "")
    assert origin("human/x", rule) == Origin("human", "human", "")
    assert origin("cat/x", rule) == Origin("animal", "cat", "")
    assert origin("human:cat/x", rule) == Origin("human", "cat", "")
    assert origin("animal:/x", rule) == Origin("animal", "animal", "")


def test_other_groups_are_attributes_and_absent_ones_are_left_out() -> None:
    rule = (r"(?P<camera>\w+)-(?P<light>dark)?(?P<identity>\d+)",)
    assert origin("leica-dark7", rule) == Origin("human", "human", "7", {"camera": "leica", "light": "dark"})
    assert origin("leica-7", rule) == Origin("human", "human", "7", {"camera": "leica"})


@pytest.mark.parametrize("rule", ["(", "[a", "(?P<x>a)(?P<x>b)", "*"])
def test_what_is_no_regular_expression_is_refused_by_name(rule: str) -> None:
    with pytest.raises(UserError) as error:
        compile_rules((".", rule))
    assert f"each rule must be a regular expression, got {rule!r}" in str(error.value)
