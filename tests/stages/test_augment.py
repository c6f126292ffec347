"""Morphs have two like parents of the train split, each pair once, and say who they are."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.errors import UserError
from rupantara.imaging import codec
from rupantara.landmarks.align import align, transform_points
from rupantara.landmarks.morph import morph
from rupantara.stages.augment import AugmentRules, MorphFaces, Pool, PoolFile, draw_pair
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

SIDE, PEOPLE = 64, 7
RULES = {"size": SIDE, "neighbours": 3}
COLLAPSED = [20.0, 30.0] * 68


def _row(name: str, person: int, picture: int, **other: object) -> dict[str, object]:
    face = draw_face("human", person, picture, size=96)
    made = align(face.image, face.keypoints, "human", SIDE)
    row = {
        "face_id": name,
        "license": ("CC0", "CC BY 4.0")[person % 2],
        "domain": "human",
        "identity": f"human/{person}",
        "attributes": [{"name": "age", "value": str(person % 3)}, {"name": "camera", "value": "x"}],
        "image": codec.encode_jpeg(made.crop),
        "landmarks": transform_points(face.landmarks, made.transform).ravel().tolist(),
        "quality": {"yaw": 3.0, "coverage": 1 - person / 100},
        "split": "train",
        "reject": None,
    }
    return row | other


SOUND = [_row(f"{person}-{picture}", person, picture) for person in range(PEOPLE) for picture in range(1 + person % 2)]
BAD = [
    _row("val", 20, 0, split="val"),
    _row("test", 21, 0, split="test"),
    _row("cat", 22, 0, domain="animal"),
    _row("no-points", 23, 0, landmarks=None),
    _row("turned", 24, 0, quality={"yaw": -41.0, "coverage": 1.0}),
    _row("rejected", 25, 0, reject={"stage": "quality", "reason": "blurred", "detail": ""}),
]


def _write(uri: str, kind: str, parts: list[pa.Table]) -> list[str]:
    running = manifest.begin(uri, kind, Recipe("test", 1), version=schema.VERSION, overwrite=False)
    assert running is not None
    for index, part in enumerate(parts):
        tables.write_part(uri, running.fingerprint, index, part, part.num_rows)
    return [file.path for file in tables.commit_parts(uri, running, len(parts), 0.0).files]


def _table(uri: str, *parts: list[dict]) -> list[PoolFile]:
    return [PoolFile(f) for f in _write(uri, "faces", [pa.Table.from_pylist(p, schema=schema.FACES) for p in parts])]


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[PoolFile]]:
    """Two files that hold sound faces between others."""
    uri = str(tmp_path_factory.mktemp("augment") / "faces")
    return uri, _table(uri, [*BAD[:3], *SOUND[:4]], [*SOUND[4:], *BAD[3:]])


def _pool(faces: tuple[str, list[PoolFile]], **rules: object) -> Pool:
    return Pool(faces[0], "", faces[1], AugmentRules(**(RULES | rules)))


def _pairs(pool: Pool, seed: int = 0) -> list[tuple[int, int]]:
    """Draw until nothing is left."""
    pairs = [draw_pair(pool, index, seed) for index in range(len(pool) * len(pool))]
    return [pair for pair in pairs if pair is not None]


def _morphs(faces: tuple[str, list[PoolFile]], indices: list[int], **rules: object) -> list[dict]:
    plan = pa.table({"pool": [0] * len(indices), "index": indices}, schema=schema.MORPHS_PLANNED)
    return MorphFaces(faces[0], "", [faces[1]], AugmentRules(**(RULES | rules)))(plan).to_pylist()


def _brute_force(vectors: list, a: int, count: int, same_identity: bool) -> set[int]:
    allowed = [
        b for b in range(len(SOUND)) if b != a and (same_identity or SOUND[b]["identity"] != SOUND[a]["identity"])
    ]
    distance = [np.linalg.norm(np.subtract(vectors[a], vectors[b])) for b in allowed]
    return {allowed[i] for i in np.argsort(distance)[:count]}


def test_parents_are_the_sound_ones_in_the_table_s_order(faces: tuple) -> None:
    assert _pool(faces).rows["face_id"].to_pylist() == [row["face_id"] for row in SOUND]
    assert "turned" in _pool(faces, max_yaw=41.0).rows["face_id"].to_pylist()


@pytest.mark.parametrize("same_identity", [False, True])
@pytest.mark.parametrize("neighbours", [1, 3, 200])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_face_meets_each_of_its_nearest_once(
    faces: tuple, neighbours: int, same_identity: bool, seed: int
) -> None:
    """Over all rounds the pairs are exactly those of a brute-force search: none twice, none left out."""
    pairs = _pairs(_pool(faces, neighbours=neighbours, same_identity=same_identity), seed)
    points = [row["landmarks"] for row in SOUND]
    near = {a: _brute_force(points, a, neighbours, same_identity) for a in range(len(SOUND))}
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {(a, b) for a in near for b in near[a]}
    kin = [(a, b) for a, b in pairs if SOUND[a]["identity"] == SOUND[b]["identity"]]
    assert not kin or same_identity
    if same_identity and neighbours == 200:
        assert len(pairs) == len(SOUND) * (len(SOUND) - 1)


def test_a_round_takes_every_face_once_before_any_twice(faces: tuple) -> None:
    pool = _pool(faces)
    first, second = _pairs(pool)[: len(pool)], _pairs(pool)[len(pool) : 2 * len(pool)]
    assert sorted(a for a, _ in first) == sorted(a for a, _ in second) == list(range(len(pool)))
    assert first != second
    assert _pairs(pool, 1) != _pairs(pool, 0)


def test_likeness_may_be_a_column_of_features(faces: tuple, tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(len(SOUND) + 1, 5)).astype(np.float32)
    columns = schema.features([schema.vector_field("arcface", 5)])
    named = [
        {"face_id": row["face_id"], "arcface": v.tolist()} for row, v in zip([*SOUND, BAD[0]], vectors, strict=True)
    ]
    shuffled = [named[i] for i in np.random.default_rng(1).permutation(len(named))]
    uri = str(tmp_path / "features")
    parts = [pa.Table.from_pylist(part, schema=columns) for part in (shuffled[:5], shuffled[5:])]
    files = [PoolFile(f.faces, g) for f, g in zip(faces[1], _write(uri, "features", parts), strict=True)]
    pairs = _pairs(Pool(faces[0], uri, files, AugmentRules(neighbours=2, like="arcface")))
    expected = {(a, b) for a in range(len(SOUND)) for b in _brute_force(list(vectors), a, 2, False)}
    assert set(pairs) == expected
    with pytest.raises(UserError, match="arcface of every face"):
        Pool(faces[0], uri, [PoolFile(f.faces, files[0].features) for f in files], AugmentRules(like="arcface"))


def test_rows_are_the_same_each_time_and_whatever_the_batch(faces: tuple) -> None:
    indices = [0, 5, 11, 26]
    whole = _morphs(faces, indices, alpha=(0.2, 0.8))
    assert _morphs(faces, indices, alpha=(0.2, 0.8)) == whole
    assert [_morphs(faces, [index], alpha=(0.2, 0.8))[0] for index in reversed(indices)] == whole[::-1]
    assert [row["parents"] for row in _morphs(faces, indices, seed=1)] != [row["parents"] for row in whole]


def test_alpha_is_drawn_from_its_range_and_written_down(faces: tuple) -> None:
    def alphas(low: float, high: float) -> list[float]:
        rows = _morphs(faces, list(range(len(SOUND))), alpha=(low, high))
        return [float(pair["value"]) for row in rows for pair in row["attributes"] if pair["name"] == "morph_alpha"]

    drawn = alphas(0.3, 0.6)
    assert len(drawn) == len(SOUND) == len(set(drawn)) and min(drawn) >= 0.3 and max(drawn) <= 0.6
    assert max(drawn) - min(drawn) > 0.1
    assert set(alphas(0.25, 0.25)) == {0.25}


def test_a_row_says_who_its_parents_are_and_what_they_share(faces: tuple) -> None:
    rows, by_id = _morphs(faces, list(range(27)), alpha=(0.2, 0.8)), {row["face_id"]: row for row in SOUND}
    assert len({row["face_id"] for row in rows}) == len({row["identity"] for row in rows}) == 27
    for row in rows:
        first, second = (by_id[parent] for parent in row["parents"])
        *shared, (name, alpha) = ((pair["name"], pair["value"]) for pair in row["attributes"])
        ages = [parent["attributes"][0]["value"] for parent in (first, second)]
        assert shared == [("age", ages[0])] * (ages[0] == ages[1]) + [("camera", "x")]
        licences = [first["license"], second["license"]]
        assert row["license"] == (licences[0] if licences[0] == licences[1] else " and ".join(licences))
        points = (1 - float(alpha)) * np.array(first["landmarks"]) + float(alpha) * np.array(second["landmarks"])
        assert name == "morph_alpha"
        np.testing.assert_allclose(row["landmarks"], points, atol=1e-3)
        eyes = points.reshape(68, 2)[36:48].reshape(2, 6, 2).mean(1)
        np.testing.assert_allclose(row["keypoints"][:4], eyes.ravel(), atol=1e-3)
        assert row["quality"]["interocular_px"] == pytest.approx(np.linalg.norm(eyes[1] - eyes[0]), abs=1e-3)
        assert row["quality"]["coverage"] == pytest.approx(min(p["quality"]["coverage"] for p in (first, second)))
        assert (row["domain"], row["species"], row["split"], row["reject"]) == ("human", "human", "train", None)
        assert row["sha256"] == hashlib.sha256(row["image"]).hexdigest()
        assert row["identity"] not in {first["identity"], second["identity"]}


def test_the_picture_is_the_parents_morph_in_that_order(faces: tuple) -> None:
    by_id = {row["face_id"]: row for row in SOUND}
    for row in _morphs(faces, [0, 7], alpha=(0.4, 0.4), size=80):
        parents = [by_id[parent] for parent in row["parents"]]
        given = [(codec.decode(p["image"]), np.array(p["landmarks"]).reshape(68, 2)) for p in parents]
        made, turned = (morph(*a, *b, alpha=0.4, size=80).picture for a, b in (given, given[::-1]))
        picture = codec.decode(row["image"]).astype(float)
        assert np.abs(picture - made).mean() < 3 < np.abs(picture - turned).mean()


def test_when_pairs_run_out_rows_are_rejected_as_such(faces: tuple) -> None:
    rows = _morphs(faces, list(range(4 * len(SOUND))), neighbours=2)
    reasons = [row["reject"] and row["reject"]["reason"] for row in rows]
    assert reasons == [None] * 2 * len(SOUND) + ["no_neighbour"] * 2 * len(SOUND)
    assert len({row["face_id"] for row in rows}) == len(rows)
    assert all(row["image"] is None and row["parents"] == [] for row in rows[2 * len(SOUND) :])


def test_photographs_of_one_person_only_are_no_pair_unless_asked(tmp_path: Path) -> None:
    uri = str(tmp_path / "faces")
    made = (uri, _table(uri, [_row("a", 1, 0), _row("b", 1, 1)]))
    assert [row["reject"]["reason"] for row in _morphs(made, [0, 1])] == ["no_neighbour"] * 2
    rows = _morphs(made, [0, 1], same_identity=True)
    assert sorted(tuple(row["parents"]) for row in rows) == [("a", "b"), ("b", "a")]


def test_points_that_are_no_face_reject_their_pair_only(tmp_path: Path) -> None:
    uri = str(tmp_path / "faces")
    flat = [_row(name, person, 0, landmarks=COLLAPSED) for name, person in (("x", 8), ("y", 9))]
    made = (uri, _table(uri, [*flat, *SOUND[:2]]))
    rows = _morphs(made, [0, 1, 2, 3], neighbours=1)
    for row in rows:
        both_flat = set(row["parents"]) == {"x", "y"}
        assert (row["reject"] and row["reject"]["reason"]) == ("degenerate_landmarks" if both_flat else None)
    assert sum(row["reject"] is not None for row in rows) == 2
