"""Children: what depends on what, where surroundings come from, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from rupantara.errors import UserError
from rupantara.generation import rows
from rupantara.generation.child import ChildGenerator, ChildRequest, FaceTokens
from rupantara.generation.child_loading import LoadedBlender
from rupantara.generation.edits import EditPath, Edits
from rupantara.generation.face import FaceCodes, FaceCrop
from rupantara.landmarks.regions import CANONICAL
from rupantara.models.blenders import ChildNet, ChildNetConfig
from rupantara.models.codecs import e4e_stylegan2
from rupantara.synthetic import draw_face
from tests import small_codecs

BOXES = np.array(CANONICAL["human"], np.float32)


@pytest.fixture(scope="module")
def generator() -> ChildGenerator:
    return ChildGenerator(small_codecs.blender(kind="average", keep_length=True), _edits())


def _edits() -> Edits:
    codes = torch.zeros(3, 9, 128)
    codes[:, 0, 0] = torch.tensor([-3.0, 0.0, 3.0])
    boxes = torch.from_numpy(BOXES).repeat(3, 1, 1) + torch.tensor([0.0, 0.01, 0.02]).view(3, 1, 1)
    path = EditPath("age", torch.tensor([0.0, 40.0, 80.0]), codes, boxes, torch.zeros(9, 128), 40.0)
    return Edits({"age": path}, "edits", "region_vae", "vae")


def _face(i: int) -> FaceCrop:
    drawn = draw_face("human", i, size=64)
    return FaceCrop.of(f"face-{i}", drawn.image, drawn.landmarks)


def _codes(i: int) -> FaceCodes:
    rng = np.random.default_rng(i)
    draw = [rng.standard_normal(shape).astype(np.float32) for shape in ((512,), (5, 128))]
    return FaceCodes(f"codes-{i}", *draw, BOXES)


def _ask(**wanted: object) -> ChildRequest:
    return ChildRequest(_codes(0), _codes(1), **wanted)  # ty: ignore[invalid-argument-type]


def _pictures(generator: ChildGenerator, request: ChildRequest) -> np.ndarray:
    (family,) = generator.generate([request])
    return np.stack([made.picture for made in family if made.picture is not None]).astype(int)


def test_without_variation_there_is_one_child_and_with_it_siblings_differ(generator: ChildGenerator) -> None:
    same = _pictures(generator, _ask(siblings=3, variation=0.0))
    assert (same[0] == same[1]).all() and (same[0] == same[2]).all()
    apart = _pictures(generator, _ask(siblings=3, variation=0.5))
    assert np.abs(apart[0] - apart[1]).mean() > 1
    more = _pictures(generator, _ask(siblings=1, sibling=2, variation=0.5))
    assert np.abs(more[0] - apart[2]).max() <= 1
    assert np.abs(_pictures(generator, _ask(variation=0.5, seed=1))[0] - apart[0]).mean() > 1


def test_exchanging_the_parents_and_what_is_said_of_them_gives_the_same_siblings(generator: ChildGenerator) -> None:
    one = _ask(siblings=2, variation=0.7, dominance=0.4, surroundings="first")
    other = replace(one, first=one.second, second=one.first, dominance=-0.4, surroundings="second")
    assert np.abs(_pictures(generator, one) - _pictures(generator, other)).max() <= 1


def test_a_child_does_not_depend_on_its_batch(generator: ChildGenerator) -> None:
    requests = [ChildRequest(_codes(i), _codes(i + 1), siblings=2) for i in range(20)]
    together = generator.generate(requests)
    for i in (0, 19):
        alone = generator.generate([requests[i]])[0]
        for a, b in zip(together[i], alone, strict=True):
            assert a.record == b.record
            assert np.abs(a.picture.astype(int) - b.picture).max() <= 1  # ty: ignore[unresolved-attribute]


def test_dominance_of_one_is_that_parent_alone_and_of_a_region_is_of_that_region(generator: ChildGenerator) -> None:
    alone = _pictures(generator, _ask(variation=0.0, dominance=1.0, parents=True))
    assert np.abs(alone[2] - alone[0]).mean() < 1
    base = _pictures(generator, _ask(variation=0.0))[0]
    mouth = _pictures(generator, _ask(variation=0.0, dominance={"mouth": 1.0}))[0]
    moved = np.abs(mouth - base).sum(2)
    assert moved[36:54, 18:46].mean() > 5 * moved[:12].mean()


def test_surroundings_come_from_one_place(generator: ChildGenerator) -> None:
    """At the picture's edge a child is the parent it takes them from, and far from the other."""
    first, second, child = _pictures(generator, _ask(variation=0.0, surroundings="first", parents=True))
    edge = np.ones((64, 64), bool)
    edge[3:-3, 3:-3] = False
    assert np.abs(child - first)[edge].mean() < 0.3 * np.abs(child - second)[edge].mean()
    other = _pictures(generator, _ask(variation=0.0, surroundings="second"))[0]
    assert np.abs(other - second)[edge].mean() < 0.3 * np.abs(other - first)[edge].mean()
    neutral = _pictures(generator, _ask(variation=0.0, surroundings="neutral"))[0]
    swapped = _pictures(generator, ChildRequest(_codes(1), _codes(0), variation=0.0, surroundings="neutral"))[0]
    assert np.abs(neutral - swapped).max() <= 1


def test_ages_and_edits_move_a_child_and_are_recorded(generator: ChildGenerator) -> None:
    (family,) = generator.generate([_ask(variation=0.0, age=20.0, siblings=1)])
    plain, old = (_pictures(generator, _ask(variation=0.0, edits=edits))[0] for edits in ((), ("age=20",)))
    young = family[0].picture.astype(int)  # ty: ignore[unresolved-attribute]
    assert np.abs(young - plain).mean() > 0.1
    assert np.abs(old - young).mean() > np.abs(young - plain).mean()
    assert family[0].record.parameters["age"] == 20.0
    (shown,) = generator.generate([_ask(siblings=2, ages=(20.0, 60.0))])
    assert [(one.record.parameters["sibling"], one.record.parameters.get("age")) for one in shown] == [
        (0, None),
        (1, None),
        (0, 20.0),
        (0, 60.0),
    ]
    with pytest.raises(UserError, match="age must be from 0 to 80, got 99"):
        generator.generate([_ask(age=99.0)])


def test_crops_are_encoded_and_cosines_to_both_parents_are_scores() -> None:
    def embed(faces: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool2d(faces - 127.5, 28).flatten(1)

    generator = ChildGenerator(small_codecs.blender(kind="average"), embed=embed, embed_sha256="look")
    request = ChildRequest(_face(1), _face(2), variation=0.0, parents=True)
    (family,) = generator.generate([request])
    assert [made.record.kind for made in family] == ["reconstruction", "reconstruction", "child"]
    assert family[2].record.face_ids == ("face-1", "face-2")
    assert set(family[2].record.scores) == {"identity_first", "identity_second"}
    assert all(-1 <= score <= 1 for score in family[2].record.scores.values())
    table = rows.table(family)
    assert json.loads(table["parameters"][2].as_py())["surroundings"] == "first"
    assert len(set(table["request_id"].to_pylist())) == 3


def test_the_same_face_twice_is_a_reject_and_the_others_of_the_batch_are_made(generator: ChildGenerator) -> None:
    bad, good = generator.generate([ChildRequest(_codes(3), _codes(3)), _ask()])
    assert bad[0].reject is not None and bad[0].reject.reason == "same_face"
    assert good[0].picture is not None


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"variation": 1.5}, "variation must be from 0 to 1, got 1.5"),
        ({"siblings": 0}, "siblings must be at least 1"),
        ({"dominance": -2.0}, r"dominance must be in \[-1, 1\], got -2"),
        ({"dominance": {"chin": 1.0}}, "dominance must be of global, eyes"),
        ({"edits": ("age",)}, "NAME=CHANGE, as age=-20, got 'age'"),
        ({"edits": ("horns=1",)}, "edits must be of age, got 'horns'"),
        ({"surroundings": "both"}, "surroundings must be of first, second, neutral, got 'both'"),
    ],
)
def test_what_nobody_could_meet_is_refused(generator: ChildGenerator, wanted: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        generator.generate([_ask(**wanted)])


def test_tokens_of_another_codec_are_refused(generator: ChildGenerator) -> None:
    tokens = np.zeros((9, 128), np.float32)
    for face, said in (
        (
            FaceTokens("w", np.zeros((18, 512), np.float32), BOXES, "vae"),
            r"tokens must be of region_vae, \[9, 128\], got",
        ),
        (FaceTokens("w", tokens, BOXES, "other"), "tokens of w must be of region_vae vae, got other: another codec's"),
        (FaceTokens("w", tokens + np.nan, BOXES, "vae"), "finite"),
    ):
        with pytest.raises(UserError, match=said):
            generator.generate([ChildRequest(face, _codes(0))])
    with pytest.raises(UserError, match="edits must be of the codec's own codes"):
        ChildGenerator(small_codecs.blender(sha256="another"), _edits())
    with pytest.raises(UserError, match="edits need a checkpoint of jobs"):
        ChildGenerator(small_codecs.blender()).generate([_ask(age=5.0)])


def test_e4e_and_stylegan2_run_whole_from_photograph_to_child() -> None:
    codec = e4e_stylegan2.random(size=16, seed=2)
    torch.manual_seed(3)
    net = ChildNet(ChildNetConfig("linear", 6, 512, feedforward=32, spread=4)).eval().requires_grad_(False)
    generator = ChildGenerator(LoadedBlender(net, codec, "net"))
    request = ChildRequest(_face(1), _face(2), siblings=2, variation=0.3, dominance={"coarse": 0.5}, parents=True)
    (family,) = generator.generate([request])
    assert [made.record.kind for made in family] == ["reconstruction", "reconstruction", "child", "child"]
    assert all(made.picture is not None and made.picture.shape == (16, 16, 3) for made in family)
    assert family[2].record.model_sha256 == ("net", "random-2")
    assert set(family[2].record.parameters["dominance_drawn"]) == {"coarse", "middle"}
    assert np.abs(family[2].picture.astype(int) - family[3].picture).max() > 0  # ty: ignore[unresolved-attribute]
