"""Extractors are named exactly, run alike whatever the batch, and read the published files in their layouts."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest
import torch

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.chips import arcface_chip
from rupantara.features import extractors, vggface_files
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec, decode
from rupantara.features.extractors import parse, run, vectors
from rupantara.imaging import codec
from rupantara.landmarks.align import TEMPLATES, align, transform_points
from rupantara.landmarks.regions import CANONICAL
from rupantara.models import mobilefacenet, vggface
from rupantara.synthetic import draw_face
from tests.conftest import WEIGHTS

SMALL = {"width": 16, "fc_dim": 8, "side": 32}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("arcface", Spec("arcface", 32, "fp32", "float32", 0)),
        ("region_vae:batch_size=1", Spec("region_vae", 1)),
        ("vggface:batch_size=16:precision=bf16", Spec("vggface", 16, "bf16")),
        ("vggface_random:seed=7:store=float16", Spec("vggface_random", store="float16", seed=7)),
    ],
)
def test_a_name_with_options_is_read(text: str, spec: Spec) -> None:
    assert parse(text) == spec


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "''"),
        ("facenet", "'facenet'"),
        ("arcface,vggface", "'arcface,vggface'"),
        ("arcface:size=3", "'size=3'"),
        ("arcface:name=vggface", "'name=vggface'"),
        ("arcface:", "''"),
        ("arcface:batch_size=many", "'many'"),
        ("arcface:batch_size=-1", "'-1'"),
        ("arcface:batch_size", "''"),
        ("arcface:batch_size=0", "arcface:batch_size=0"),
        ("arcface:seed=1.5", "'1.5'"),
        ("arcface:precision=fp16", "precision=fp16"),
        ("arcface:store=float64", "store=float64"),
    ],
)
def test_what_is_not_known_is_refused_by_name(text: str, named: str) -> None:
    with pytest.raises(UserError) as caught:
        parse(text)
    assert named in str(caught.value) and "\n" not in str(caught.value)


def _faces(domains: list[str]) -> FaceBatch:
    """Draw a face a row, through the bytes of a faces table."""
    rows = []
    for i, domain in enumerate(domains):
        face = draw_face("human" if domain == "human" else "cat", i, size=128)
        made = align(face.image, face.keypoints, domain, 64)
        rows.append(
            {
                "domain": domain,
                "image": codec.encode_jpeg(made.crop),
                "keypoints": transform_points(face.keypoints, made.transform).ravel().tolist(),
                "landmarks": None
                if face.landmarks is None
                else transform_points(face.landmarks, made.transform).ravel().tolist(),
            }
        )
    return decode(pa.Table.from_pylist(rows, schema=schema.FACES))


DOMAINS = ["human", "animal", "human", "human", "animal", "human", "human"]


@pytest.fixture(scope="module")
def faces() -> FaceBatch:
    return _faces(DOMAINS)


def test_decoded_faces_have_their_pictures_points_and_boxes(faces: FaceBatch) -> None:
    drawn = draw_face("human", 2, size=128)
    made = align(drawn.image, drawn.keypoints, "human", 64)
    assert np.abs(faces.pictures[2].astype(float) - made.crop).mean() < 3
    np.testing.assert_allclose(faces.keypoints[2].mean(0), np.array(TEMPLATES["human"]).mean(0) * 64, atol=0.01)
    np.testing.assert_allclose(faces.boxes[1], np.float32(CANONICAL["animal"]))
    assert (np.abs(faces.boxes[2] - np.float32(CANONICAL["human"])) > 0.002).any()
    taken = faces.take([4, 0])
    assert taken.domains == ["animal", "human"]
    np.testing.assert_array_equal(taken.at(64), np.stack([faces.pictures[4], faces.pictures[0]]))


class Colours:
    """An extractor whose vectors are plain to see: the mean colour, and the keypoints two by two."""

    domains = ("human",)

    def __init__(self, dtype: pa.DataType) -> None:
        self.columns = [schema.vector_field("mean", 3, dtype=dtype), schema.vector_field("points", 5, 2, dtype=dtype)]
        self.calls: list[int] = []

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        self.calls.append(len(faces.pictures))
        return [faces.at(16).mean((1, 2)), faces.keypoints]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
@pytest.mark.parametrize("dtype", [pa.float32(), pa.float16()])
def test_faces_of_other_domains_get_nulls_and_batches_change_nothing(
    faces: FaceBatch, batch_size: int, dtype: pa.DataType
) -> None:
    extractor = Colours(dtype)
    mean, points = run(extractor, batch_size, faces)
    assert sum(extractor.calls) == DOMAINS.count("human") and max(extractor.calls) <= batch_size
    as_stored = dtype.to_pandas_dtype()
    for i, domain in enumerate(DOMAINS):
        assert mean[i].is_valid == points[i].is_valid == (domain == "human")
        if domain == "human":
            expected = codec.resize(faces.pictures[i], 16).mean((0, 1)).astype(np.float32).astype(as_stored)
            np.testing.assert_array_equal(mean[i].as_py(), expected)
            np.testing.assert_array_equal(points[i].as_py(), faces.keypoints[i].ravel().astype(as_stored))


def test_faces_without_one_of_the_domain_are_all_null_and_the_network_is_not_asked() -> None:
    extractor = Colours(pa.float32())
    mean, points = run(extractor, 4, _faces(["animal", "animal"]))
    assert extractor.calls == [] and mean.to_pylist() == points.to_pylist() == [None, None]


def test_half_precision_vectors_are_numpy_s_and_survive_parquet(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    values = np.random.default_rng(0).normal(0, 100, (4, 6)).astype(np.float32)
    field = schema.vector_field("v", 2, 3, dtype=pa.float16())
    column = vectors(values, np.array([False, True, False, False]), field)
    assert column.type == field.type
    pq.write_table(pa.table({"v": column}, schema=pa.schema([field])), tmp_path / "v.parquet")
    found = pq.read_table(tmp_path / "v.parquet")["v"]
    assert [row.is_valid for row in found] == [True, False, True, True]
    dense = schema.dense(found.take([0, 2, 3]), 2, 3)
    assert dense.dtype == np.float16
    np.testing.assert_array_equal(dense.reshape(3, 6), values[[0, 2, 3]].astype(np.float16))


TEMPLATE = np.array(mobilefacenet.TEMPLATE)
PREFILTER_BUG = "align.prefilter: cv2.resize(fx=…) scales by fx, not by the ratio of the sizes that the warp undoes"


@pytest.mark.parametrize(
    ("side", "scale", "degrees"), [(256, 1.4, 0), (256, 2.0, 25), (180, 1.0, -40), (150, 0.7, 90), (900, 6.5, 15)]
)
def test_dots_at_the_keypoints_land_on_the_template(side: int, scale: float, degrees: float) -> None:
    """Also from photographs that are shrunk first; each dot's centre of mass within a tenth of a pixel."""
    c, s = scale * np.cos(np.radians(degrees)), scale * np.sin(np.radians(degrees))
    points = (TEMPLATE - 56) @ np.array([[c, s], [-s, c]]) + side / 2 + 0.3
    y, x = np.mgrid[:side, :side]
    dots = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * (2 * scale) ** 2)) for px, py in points)
    picture = np.repeat(np.uint8(np.clip(255 * dots, 0, 255))[..., None], 3, axis=2)
    chip = arcface_chip(picture, points.astype(np.float32)).astype(float)[..., 1]
    assert chip.shape == (112, 112)
    for px, py in TEMPLATE:
        left, top = round(px) - 6, round(py) - 6
        weight = chip[top : top + 13, left : left + 13] - chip[top : top + 13, left : left + 13].min()
        rows, columns = np.mgrid[top : top + 13, left : left + 13]
        centre = (weight * columns).sum() / weight.sum(), (weight * rows).sum() / weight.sum()
        np.testing.assert_allclose(centre, (px, py), atol=0.1)


def test_arcface_gives_unit_vectors_nearer_within_a_person_than_between(faces: FaceBatch) -> None:
    if not (WEIGHTS / "mobilefacenet.npz").exists():
        pytest.skip(f"the published network is not in {WEIGHTS}")
    extractor = extractors.ArcFace(Spec("arcface"), ExtractorNetworks(weights=str(WEIGHTS)))
    people = [i for i, domain in enumerate(DOMAINS) if domain == "human"]
    brighter = [cv2.convertScaleAbs(picture, alpha=0.9, beta=8) for picture in faces.pictures]
    again = replace(faces, pictures=brighter)
    one, other, single = (
        schema.dense(run(extractor, size, shown)[0].take(people), 128)
        for size, shown in ((3, faces), (3, again), (1, faces))
    )
    np.testing.assert_allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(single, one, atol=1e-4)
    cosine = one @ other.T
    assert (cosine.argmax(1) == np.arange(len(people))).all() and np.diag(cosine).min() > 0.8


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("bf16", 0.03)])
def test_arcface_features_are_what_the_last_layer_makes_arcface_of(
    faces: FaceBatch, precision: str, tolerance: float
) -> None:
    if not (WEIGHTS / "mobilefacenet.npz").exists():
        pytest.skip(f"the published network is not in {WEIGHTS}")
    source, stored = ExtractorNetworks(weights=str(WEIGHTS)), ("float32", "float16")
    names = ("arcface", "arcface_features")
    specs = [Spec(name, 3, precision, store) for name, store in zip(names, stored, strict=True)]
    ((extractor, batch_size),) = extractors.make(specs, source)
    about = [field.metadata for field in extractor.columns]
    assert [one[b"normalized"] for one in about] == [b"true", b"false"]
    columns = run(extractor, batch_size, faces)
    assert [column.type.value_type for column in columns] == [pa.float32(), pa.float16()]
    assert [value.is_valid for value in columns[1]] == [domain == "human" for domain in DOMAINS]
    people = [i for i, domain in enumerate(DOMAINS) if domain == "human"]
    identity, features = (schema.dense(c.take(people), d) for c, d in zip(columns, (128, 512), strict=True))
    network = mobilefacenet.from_published(dict(np.load(WEIGHTS / "mobilefacenet.npz")))
    with torch.inference_mode():
        again = network.norm(network.embed(torch.from_numpy(np.array(features, np.float32)))).numpy()
    np.testing.assert_allclose(extractors.unit(again), identity, atol=max(tolerance, 1e-3))
    apart = [run(one, size, faces)[0] for spec in specs for one, size in extractors.make([spec], source)]
    for alone, together in zip(apart, columns, strict=True):
        np.testing.assert_array_equal(
            schema.dense(alone.take(people), len(alone[0])), schema.dense(together.take(people), len(alone[0]))
        )


def test_columns_of_two_precisions_are_made_apart() -> None:
    if not (WEIGHTS / "mobilefacenet.npz").exists():
        pytest.skip(f"the published network is not in {WEIGHTS}")
    specs = [Spec("arcface"), Spec("arcface_features", 8, "bf16")]
    made = extractors.make(specs, ExtractorNetworks(weights=str(WEIGHTS)))
    assert [([f.name for f in one.columns], size) for one, size in made] == [
        (["arcface"], 32),
        (["arcface_features"], 8),
    ]


@pytest.fixture
def small_vggface(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same network with a 16th of the channels: the published one takes seconds and 0.5 GB to draw."""
    monkeypatch.setattr(vggface, "VGGFace", partial(vggface.VGGFace, **SMALL))
    monkeypatch.setattr(vggface, "DIM", SMALL["fc_dim"])
    monkeypatch.setattr(vggface, "SIDE", SMALL["side"])


@pytest.mark.usefixtures("small_vggface")
def test_random_weights_follow_from_the_seed_with_he_s_variance() -> None:
    one, again, other = (vggface_files.random_vggface(seed) for seed in (1, 1, 2))
    assert one.keys() == vggface.VGGFace().state_dict().keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, again[name])
        if name.endswith("bias"):
            assert not tensor.any()
        else:
            assert not torch.equal(tensor, other[name])
    weight = one["conv5_2.weight"]
    assert float(weight.var()) == pytest.approx(2 / (32 * 9), rel=0.05)


@pytest.mark.usefixtures("small_vggface")
def test_vggface_vectors_are_the_network_s_of_the_resized_crop(faces: FaceBatch) -> None:
    spec = Spec("vggface_random", seed=3)
    (column,) = run(extractors.VGGFaceEmbedding(spec, ExtractorNetworks()), 2, faces)
    network = vggface.VGGFace()
    network.load_state_dict(vggface_files.random_vggface(3))
    for i, domain in enumerate(DOMAINS):
        if domain == "animal":
            assert not column[i].is_valid
            continue
        picture = cv2.resize(faces.pictures[i], (32, 32), interpolation=cv2.INTER_AREA)
        expected = network(torch.from_numpy(picture).permute(2, 0, 1)[None].float())[0]
        np.testing.assert_allclose(column[i].as_py(), expected.detach(), rtol=1e-3, atol=1e-3)
