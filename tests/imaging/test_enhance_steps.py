"""Laws of every step, and the reading of steps from text."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.errors import UserError
from rupantara.imaging.degrade import Cast, GaussianBlur
from rupantara.imaging.dehaze import Dehaze
from rupantara.imaging.detail import Bilateral, Unsharp
from rupantara.imaging.enhance import STEPS, Step, after_each, describe, enhance, parse, spell
from rupantara.imaging.tone import Tone

NEUTRAL: list[Step] = [
    Tone(saturation=1, contrast=1),
    Dehaze(omega=0),
    Bilateral(sigma_color=0),
    Unsharp(amount=0),
    Cast(whiteness=0),
    GaussianBlur(sigma=0),
]
DEFAULTS = [kind() for kind in STEPS.values()]
seeds = st.integers(0, 2**32 - 1)


def noise(seed: int, n: int = 2, height: int = 24, width: int = 31) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, height, width, 3), np.uint8)


@pytest.mark.parametrize("step", NEUTRAL, ids=list(STEPS))
@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_at_strength_nought_a_step_changes_nothing(step: Step, seed: int) -> None:
    pictures = noise(seed)
    np.testing.assert_array_equal(step(pictures), pictures)


@pytest.mark.parametrize("step", DEFAULTS, ids=list(STEPS))
def test_pictures_keep_their_order_and_do_not_see_one_another(step: Step) -> None:
    pictures = noise(1, n=5)
    alone = np.concatenate([step(pictures[i : i + 1]) for i in range(5)])
    np.testing.assert_array_equal(step(pictures), alone)
    np.testing.assert_array_equal(step(pictures[::-1]), alone[::-1])
    assert step(pictures[:0]).shape == (0, 24, 31, 3)


@pytest.mark.parametrize("step", DEFAULTS, ids=list(STEPS))
def test_what_comes_in_is_left_as_it_is(step: Step) -> None:
    pictures = noise(2)
    before = pictures.copy()
    made = step(pictures)
    np.testing.assert_array_equal(pictures, before)
    assert not np.shares_memory(made, pictures)
    assert (made.shape, made.dtype) == (pictures.shape, np.uint8)


@pytest.mark.parametrize(
    "step", [Tone(), Dehaze(), Bilateral(), Unsharp(), GaussianBlur()], ids=lambda step: spell(step)
)
@pytest.mark.parametrize("level", [0, 1, 90, 254, 255])
def test_a_picture_of_one_grey_stays_itself(step: Step, level: int) -> None:
    pictures = np.full((1, 20, 20, 3), level, np.uint8)
    np.testing.assert_array_equal(step(pictures), pictures)


def test_a_chain_is_its_steps_one_after_another_and_their_order_counts() -> None:
    pictures, first, second = Cast(0.4)(noise(3)), Tone(), Dehaze(patch=3)
    np.testing.assert_array_equal(enhance(pictures, [first, second]), second(first(pictures)))
    assert (enhance(pictures, [first, second]) != enhance(pictures, [second, first])).any()
    stages = list(after_each(pictures, [first, second]))
    for made, expected in zip(stages, [pictures, first(pictures), second(first(pictures))], strict=True):
        np.testing.assert_array_equal(made, expected)


def test_steps_are_read_with_their_options() -> None:
    read = parse("tone:saturation=1.5:contrast=1.1, dehaze:patch=7,bilateral,unsharp:amount=2")
    assert read == (Tone(1.5, 1.1), Dehaze(patch=7), Bilateral(), Unsharp(amount=2))
    assert parse("") == ()
    assert describe(read[3]) == {"step": "unsharp", "amount": 2.0, "sigma": 1.5}


options = st.sampled_from(
    [
        Tone(),
        Tone(0.5, 2),
        Dehaze(0.3, 3, 5, 0.01, 0.2),
        Bilateral(9, 0.5, 7),
        Unsharp(0.25, 3),
        Cast(0.5),
        GaussianBlur(0),
    ]
)


@given(st.lists(options, max_size=5))
def test_what_is_spelt_is_read_back(chain: list[Step]) -> None:
    assert list(parse(",".join(spell(step) for step in chain))) == chain


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("sharpen", "'sharpen'"),
        ("tone,", "''"),
        ("Tone", "'Tone'"),
        ("tone:brightness=2", "'brightness=2'"),
        ("tone:", "''"),
        ("tone:saturation", "''"),
        ("tone:saturation=red", r"saturation must be a number in \[0, 4\], got 'red'"),
        ("tone:contrast=nan", "'nan'"),
        ("tone:contrast=1:contrast=2", "contrast may be given once"),
        ("dehaze:omega=1.5", r"omega must be a number in \[0, 1\], got '1.5' in 'dehaze:omega=1.5'"),
        ("dehaze:omega=-0.1", "'-0.1'"),
        ("dehaze:patch=8", r"patch must be an odd number in \[1, 255\], got '8'"),
        ("dehaze:radius=2.5", r"radius must be a whole number in \[1, 255\], got '2.5'"),
        ("unsharp:amount=inf", "'inf'"),
    ],
)
def test_what_is_not_known_is_refused_with_the_value_and_the_rule(text: str, named: str) -> None:
    with pytest.raises(UserError, match=named) as caught:
        parse(text)
    assert "\n" not in str(caught.value)
