"""Children by command: pairs named and drawn, every bad pair a reject row, killed and resumed, and the trainings before it."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch

from jobs.generate import child
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces import couples
from rupantara.faces.couples import People, read_list
from rupantara.generation import child_loading, loading
from rupantara.imaging import codec
from rupantara.storage import checkpoints, manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face
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
    recipe = Recipe("test", 1)
    running = manifest.begin(uris["faces"], "faces", recipe, version=schema.version_of("faces"), overwrite=False)
    assert running is not None
    for index, part in enumerate((rows[:4], rows[4:])):
        tables.write_part(uris["faces"], recipe.fingerprint, index, pa.Table.from_pylist(part, schema=schema.FACES), 4)
    tables.commit_parts(uris["faces"], running, 2, 0.0)
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
    assert sorted(reasons) == sorted(["one_parent", "same_face", "rejected_parent", "animal", "unknown_parent"])
    assert len({row["request_id"] for row in table}) == len(table)


def test_drawn_pairs_keep_their_rule_and_a_second_run_does_nothing(world: dict[str, str], tmp_path: Path) -> None:
    config = _config(world, tmp_path / "out", count=20, rule="opposite_sex", variation=0.0)
    child.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    assert len(rows) == 20
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


def test_a_blender_of_another_codec_is_refused(world: dict[str, str], tmp_path: Path) -> None:
    model = small_codecs.region_vae(seed=5)
    other = str(tmp_path / "vae")
    _publish(other, loading.MODEL_TYPE, loading.config_dict(model.config), model.state_dict())
    with pytest.raises(UserError, match="must be trained on codes of"):
        child_loading.load(world["blender"], other)


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
