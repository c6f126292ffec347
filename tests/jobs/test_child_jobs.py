"""Children by command: pairs named and drawn, every bad pair a reject row, killed and resumed, and the trainings before it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch

from jobs import train_blender, train_edits
from jobs.generate import child
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces import couples
from rupantara.faces.couples import People, read_list
from rupantara.generation import child_loading, edits, loading
from rupantara.imaging import codec
from rupantara.models.codecs import Moments
from rupantara.storage import checkpoints, manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face
from rupantara.training.attribute_edits import KNOTS, labelled, sexes_named
from rupantara.training.blender_rows import about
from rupantara.training.edits import fit_means
from rupantara.training.pairs import UNKNOWN
from tests import small_codecs
from tests.in_process import in_this_process


def _publish(uri: str, kind: str, config: dict, tensors: dict[str, torch.Tensor]) -> str:
    """Write a complete checkpoint; return the SHA-256 of its weights."""
    running = manifest.begin(uri, kind, Recipe("test", 1), version=schema.version_of(kind), overwrite=False)
    assert running is not None
    files, sha256 = checkpoints.write(uri, config, tensors, "card")
    done = dataclasses.replace(running, state="complete", files=tuple(files), extra={"model_sha256": sha256})
    manifest.commit(uri, done, running)
    return sha256


def _face(i: int, **over: object) -> dict:
    drawn = draw_face("human", i, size=64)
    sex = i % 2
    return {
        "face_id": f"id-{i}",
        "uri": f"/photos/{i}.jpg",
        "domain": "human",
        "species": "human",
        "identity": f"person-{i}",
        "attributes": [{"name": "sex", "value": str(sex)}, {"name": "age", "value": str(20 + i)}],
        "image": codec.encode_jpeg(drawn.image),
        "landmarks": None if drawn.landmarks is None else drawn.landmarks.ravel().tolist(),
        "keypoints": [0.0] * 10,
        "split": "test",
        "reject": None,
    } | over


def _write_faces(uri: str, *parts: list[dict]) -> None:
    recipe = Recipe("test", 1)
    running = manifest.begin(uri, "faces", recipe, version=schema.version_of("faces"), overwrite=False)
    assert running is not None
    for index, part in enumerate(parts):
        tables.write_part(uri, recipe.fingerprint, index, pa.Table.from_pylist(part, schema=schema.FACES), 4)
    tables.commit_parts(uri, running, len(parts), 0.0)


def _write_features(uri: str, codes: list[tuple[str, np.ndarray]], sha256: str) -> None:
    """Write a features table of one part whose codes a network of that hash made."""
    laid = schema.features([schema.vector_field(name, *a.shape[1:], model_sha256=sha256) for name, a in codes])
    columns = {name: schema.vector_array(rows.reshape(len(rows), -1).astype(np.float32)) for name, rows in codes}
    count = len(codes[0][1])
    said = {"face_id": [f"id-{i}" for i in range(count)], "domain": ["human"] * count, "split": ["train"] * count}
    arrays = [columns.get(f.name, pa.array(said.get(f.name, [None] * count), f.type)) for f in laid]
    recipe = Recipe("test", 1)
    running = manifest.begin(uri, "features", recipe, version=schema.version_of("features"), overwrite=False)
    assert running is not None
    tables.write_part(uri, recipe.fingerprint, 0, pa.Table.from_arrays(arrays, schema=laid), 4)
    tables.commit_parts(uri, running, 1, 0.0)


@pytest.fixture(autouse=True)
def without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    in_this_process(monkeypatch)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("children")
    uris = {name: str(root / name) for name in ("faces", "vae", "blender")}
    reject = {"stage": "curate", "reason": "no_face", "detail": ""}
    rows = [_face(i) for i in range(6)]
    rows += [_face(6, domain="animal", species="fox", landmarks=None), _face(7, reject=reject, image=None)]
    _write_faces(uris["faces"], rows[:4], rows[4:])
    model = small_codecs.region_vae()
    sha256 = _publish(uris["vae"], loading.MODEL_TYPE, loading.config_dict(model.config), model.state_dict())
    net = small_codecs.blender(model, sha256).net
    config = child_loading.config_dict(net.config, "region_vae", sha256)
    _publish(uris["blender"], child_loading.MODEL_TYPE, config, net.state_dict())
    return uris


def _config(world: dict[str, str], out: Path, **over: object) -> child.Config:
    base = {"checkpoint": world["vae"], "blender": world["blender"], "faces": world["faces"], "generated": str(out)}
    return child.Config(**base | {"export": False, "sheet_rows": 2} | over)  # ty: ignore[invalid-argument-type]


def test_named_pairs_are_read_by_id_or_photograph_and_bad_ones_are_reject_rows(
    world: dict[str, str], tmp_path: Path
) -> None:
    pairs = tmp_path / "pairs.csv"
    lines = [
        "father,mother",
        "id-1,id-0",
        "3.jpg,/photos/2.jpg",
        "id-4,",
        "id-5,id-5",
        "id-1,id-7",
        "id-6,id-0",
        "id-1,nobody",
        "1.jpg,0.jpg",
    ]
    pairs.write_text("\n".join(lines) + "\n")
    config = _config(world, tmp_path / "out", pairs=str(pairs), siblings=2)
    child.main(config)
    table = tables.read(config.generated, schema="generated").to_pylist()
    made = [row for row in table if row["reject"] is None]
    assert [row["face_ids"] for row in made] == [["id-1", "id-0"]] * 2 + [["id-3", "id-2"]] * 2
    assert {json.loads(row["parameters"])["sibling"] for row in made} == {0, 1}
    assert codec.decode_jpeg(made[0]["image"]).shape == (64, 64, 3)
    reasons = [row["reject"]["reason"] for row in table if row["reject"]]
    assert sorted(reasons) == sorted(
        ["one_parent", "same_face", "rejected_parent", "animal", "unknown_parent", "listed_twice"]
    )
    assert len({row["request_id"] for row in table}) == len(table)


def test_drawn_pairs_keep_their_rule_come_once_and_a_second_run_does_nothing(
    world: dict[str, str], tmp_path: Path
) -> None:
    config = _config(world, tmp_path / "out", count=20, rule="opposite_sex", variation=0.0)
    child.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    assert len({frozenset(row["face_ids"]) for row in rows}) == len(rows) == 9, "each of the 3 x 3 pairs once"
    for row in rows:
        sexes = {int(i.removeprefix("id-")) % 2 for i in row["face_ids"]}
        assert sexes == {0, 1}
    before = manifest.read(config.generated)
    child.main(config)
    assert manifest.read(config.generated) == before


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"faces": "", "samples": 0}, "give either --faces or --samples"),
        ({"age": 5.0}, "--age, --ages and --edit need --edits-from"),
        ({"pairs": "nowhere"}, "must be a CSV file or a table"),
        ({"rule": "like_group"}, "people whom the rule like_group pairs"),
        ({"samples": 4, "faces": ""}, "must have a prior"),
    ],
)
def test_flags_that_say_nothing_are_refused(world: dict[str, str], tmp_path: Path, over: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        child.build(_config(world, tmp_path / "out", **over))


def test_networks_and_tokens_of_another_codec_are_refused_before_anything_runs(
    world: dict[str, str], tmp_path: Path
) -> None:
    model = small_codecs.region_vae(seed=5)
    other, paths = str(tmp_path / "vae"), str(tmp_path / "edits")
    _publish(other, loading.MODEL_TYPE, loading.config_dict(model.config), model.state_dict())
    _publish(paths, edits.MODEL_TYPE, edits.config_dict("region_vae", "f" * 64, {"age": {}}), {})
    for over in ({"checkpoint": other}, {"edits_from": paths}):
        with pytest.raises(UserError, match="must be trained on codes of"):
            child.build(_config(world, tmp_path / "out", **over))
    with pytest.raises(UserError, match="must be trained on codes of"):
        child_loading.load(world["blender"], other)
    features = str(tmp_path / "features")
    codes = [("global_mu", np.zeros((8, 512))), ("regions_mu", np.zeros((8, 5, 128)))]
    _write_features(features, codes, "a" * 64)
    common = {"features": features, "faces": world["faces"], "codec": world["vae"], "checkpoint": str(tmp_path / "net")}
    for job in (train_blender, train_edits):
        config = dataclasses.replace(next(iter(job.presets().values())), **common)
        config = dataclasses.replace(config, identity_weight=0.0) if job is train_blender else config
        with pytest.raises(UserError, match="must hold codes of"):
            (train_blender.run_of if job is train_blender else train_edits.main)(config)


def test_lists_of_pairs_as_people_write_them() -> None:
    assert read_list(b"a,b\nc,d\n\n", "x") == [("a", "b"), ("c", "d")]
    assert read_list("\ufeffsecond,first,note\nm,f,hello\n".encode(), "x") == [("f", "m")]
    assert read_list(b"father,mother\nf,m\n", "x") == [("f", "m")]
    assert read_list(b"alone\n", "x") == [("alone", "")]
    for data, said in ((b"", "it is empty"), (b"a,b,c\n", "two columns"), (b"\xff\xfe", "UTF-8")):
        with pytest.raises(UserError, match=said):
            read_list(data, "x")


def test_a_photograph_of_several_faces_is_ambiguous(world: dict[str, str]) -> None:
    people = People(world["faces"])
    people._named["crowd.jpg"] = ["id-0", "id-1"]
    row = people.couple("crowd.jpg", "id-2")
    assert row["reason"] == "ambiguous"
    assert couples.couples_table([row]).schema == couples.COUPLES


def test_smiles_are_what_the_expression_network_said_with_sex_and_age_held_equal(tmp_path: Path) -> None:
    """Women smile more here, and half of the paths name no sex: those faces are left out, and the edit moves the mouth's way alone."""
    rng = np.random.default_rng(0)
    smile, sex = rng.uniform(0, 1, 400).astype(np.float32), rng.integers(0, 2, 400)
    smile = np.clip(0.7 * smile + 0.3 * sex, 0, 1)
    smile[:50] = UNKNOWN
    tokens = rng.standard_normal((400, 2, 8)) * 0.1
    tokens[:, 1, 0] += 3 * smile
    tokens[:, 1, 1] += 3 * sex
    told = np.where(rng.uniform(size=400) < 0.5, sex, UNKNOWN)
    rows = {"tokens": tokens.astype(np.float32), "boxes": np.repeat(small_codecs.BOXES[None], 400, 0), "smile": smile}
    rows |= {"sex": told, "age": np.full(400, UNKNOWN), "group": np.full(400, UNKNOWN)}
    found = labelled(rows, Moments(torch.zeros(2, 8), torch.ones(2, 8)), "smile", sexed=sexes_named(rows, "smile"))
    assert len(found.values) == ((told != UNKNOWN) & (smile != UNKNOWN)).sum() and found.values.min() >= 0
    change = np.diff(fit_means(found.tokens, found, KNOTS["smile"]), axis=0)[0]
    assert change[1, 0] == pytest.approx(3, abs=0.3)
    assert abs(change[1, 1]) < 0.2

    faces = str(tmp_path / "faces")
    happy = dict.fromkeys(schema.EXPRESSIONS, 0.1) | {"happy": 0.4}
    _write_faces(faces, [_face(0, expressions=happy), _face(1)])
    assert {i: round(one.smile, 3) for i, one in about(faces).items()} == {"id-0": 0.4, "id-1": UNKNOWN}


def test_weights_that_were_stored_in_half_precision_load(world: dict[str, str], tmp_path: Path) -> None:
    loaded = child_loading.load(world["blender"], world["vae"])
    halves = {name: tensor.half() for name, tensor in loaded.net.state_dict().items()}
    uri = str(tmp_path / "half")
    config = child_loading.config_dict(loaded.net.config, "region_vae", loaded.codec.sha256)
    _publish(uri, child_loading.MODEL_TYPE, config, halves)
    again = child_loading.load(uri, world["vae"])
    tokens = torch.randn(2, 1, 9, 128)
    torch.testing.assert_close(again.net(*tokens), loaded.net(*tokens), rtol=1e-2, atol=1e-2)
    assert next(again.net.parameters()).dtype == torch.float32
    stored = safetensors.torch.load_file(str(tmp_path / "half" / "model.safetensors"))
    assert {t.dtype for t in stored.values()} == {torch.float16}
    assert np.isfinite(again.net.spread.numpy()).all()
