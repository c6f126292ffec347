"""Faces out of vectors end to end over drawn people: extracted, trained, inverted and evaluated, as a user runs it."""

import io
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from PIL import Image

from jobs import augment, curate, extract, train_decoder
from jobs.evaluate.config import Config as Evaluation
from jobs.evaluate.run import main as evaluate
from jobs.generate import inversion as inversions
from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.features.textures import MEAN
from rupantara.generation import decoder_loading
from rupantara.imaging import codec
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.reports import inversion
from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs
from tests.conftest import REPOSITORY, WEIGHTS
from tests.in_process import without_ray

pytestmark = pytest.mark.timeout(900)
VECTOR = "global_mu"
"""Any vectors will do: these are the shipped region VAE's."""


@dataclass(frozen=True)
class Made:
    """Where the tables lie."""

    root: Path

    def __getattr__(self, name: str) -> str:
        return str(self.root / name)


def extracted(made: Made, **changes: Any) -> extract.Config:
    config = extract.Config(
        faces=made.faces,
        features=made.features,
        checkpoint=str(REPOSITORY / "pretrained/region_vae"),
        extractors=("region_vae", "texture:size=64", "crop:size=64"),
    )
    return replace(config, **changes)


def trained(made: Made, **changes: Any) -> train_decoder.Config:
    smoke = train_decoder.presets()["smoke"]
    config = replace(smoke, features=made.features, morphs=made.morph_features, checkpoint=made.decoder, vector=VECTOR)
    return replace(config, parts="landmarks,texture,single,joint", **changes)


@pytest.fixture(scope="module")
def made(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Drawn people and morphs of them, features of both, the four decoders, and their evaluation."""
    out = Made(tmp_path_factory.mktemp("inversion"))

    def write(path: str, data: bytes) -> None:
        (out.root / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (out.root / "photos" / path).write_bytes(data)

    write_photographs(write, humans=80, per_species=2, pictures_per_human=1)
    with without_ray():
        # Of several files, of which some hold no human of a split, and one no human at all.
        curate.main(curate.Config(photos=out.photos, faces=out.faces, split_percent=(70, 15, 15), part_photos=16))
        augment.main(augment.Config(faces=out.faces, morphs=out.morphs, count=20, sheet=0, part_morphs=8))
        extract.main(extracted(out))
        extract.main(extracted(out, faces=out.morphs, features=out.morph_features, mean_of=out.features))
        train_decoder.main(trained(out, landmark_epochs=6, epochs=2))
        evaluate(evaluated(out))
    return out


def evaluated(made: Made) -> Evaluation:
    return Evaluation(
        faces=made.faces, features=made.features, checkpoint=(made.decoder,), metrics=made.metrics, shown=4
    )


def people(made: Made, split: str) -> Any:
    table = schema.accepted(tables.read(made.faces, schema="faces"))
    return schema.where(table, domain="human", split=split)


def test_textures_lie_on_the_mean_of_the_train_split_and_animals_have_none(made: Made) -> None:
    rows = people(made, "train")
    points = schema.dense(rows["landmarks"], 68, 2).astype(np.float64)
    sides = [codec.read_size(image)[0] for image in rows["image"].to_pylist()]
    by_hand = np.mean([rescale(p, side, SIDE) for p, side in zip(points, sides, strict=True)], axis=0)
    mean = manifest.require(made.features, "features").extra[MEAN]
    np.testing.assert_allclose(np.reshape(mean, (68, 2)), by_hand, atol=1e-3)
    assert manifest.require(made.morph_features, "features").extra[MEAN] == mean
    features = tables.read(made.features, schema="features")
    animals = schema.where(features, domain="animal")
    assert animals.num_rows and animals["texture"].null_count == animals["landmarks"].null_count == animals.num_rows
    humans = schema.where(features, domain="human")
    assert humans["texture"].null_count == 0
    assert {codec.read_size(t) for t in humans["texture"].to_pylist()} == {(64, 64)}


def test_each_part_is_a_checkpoint_that_learnt(made: Made) -> None:
    lowered = {"landmarks": "landmark_mse", "texture": "mae", "single": "mae", "joint": "loss"}
    for part, loss in lowered.items():
        log = [json.loads(line) for line in Path(made.decoder, part, "log.jsonl").read_text().splitlines()]
        assert log[-1][loss] < 0.98 * log[0][loss], part
        assert manifest.require(f"{made.decoder}/{part}", decoder_loading.MODEL_TYPE).state == "complete"
        assert Path(made.decoder, part, "grids", "epoch_0000.png").exists()
        card = Path(made.decoder, part, "README.md").read_text()
        assert ("vectors of train faces (the kernel's centers)" in card) == (part != "landmarks")


def test_the_same_training_again_does_nothing_and_another_is_refused(made: Made, caplog: Any) -> None:
    with caplog.at_level("INFO", logger="jobs"):
        train_decoder.main(trained(made, landmark_epochs=6, epochs=2))
    assert caplog.text.count("nothing to do") == 4
    with pytest.raises(RefusedError, match=r"config\.objective\.learning_rate"):
        train_decoder.main(trained(made, landmark_epochs=6, epochs=2, learning_rate=0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": "landmarks,voice"}, "--parts must be of landmarks, texture, single, joint, got 'voice'"),
        (
            {"vector": "vggface"},
            r"--vector must be a vector column of .* \(global_mu, regions_mu\), got 'vggface': run jobs.extract",
        ),
        ({"size": 100}, "--size must be one of 224, 112, 56, got 100"),
        ({"identity_weight": 0.1, "weights": "weights"}, "has no column arcface: run jobs.extract"),
        ({"perceptual_weight": 0.1}, "need --weights"),
        ({"identity_weight": 0.1}, "need --weights"),
        ({"kernel_centers": -1}, "--kernel-centers must not be negative"),
        ({"kernel_centers": 8, "linear": False}, "and 0 without --linear, got 8"),
        ({"dropout": 1.0}, "--dropout must be at least 0 and below 1"),
        ({"landmark_batch": 1}, "must be at least 2"),
        ({"landmark_batch": 2000}, "must be at most 1024"),
        ({"batch": 512}, "must have at least 512 accepted train human faces"),
        ({"identity_weight": -0.5}, "must not be negative, got {'identity_weight': -0.5}"),
        ({"size": 112}, "--size must be at most that of the pictures"),
        ({"morphs": "features"}, "held-out faces would be trained on"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_starts(made: Made, tmp_path: Path, changes: dict, message: str):
    out = tmp_path / "decoder"
    changes = {name: made.features if value == "features" else value for name, value in changes.items()}
    with pytest.raises(UserError, match=message):
        train_decoder.main(replace(trained(made), checkpoint=str(out), **changes))
    assert not out.exists()


def test_morphs_about_another_mean_face_are_refused(made: Made, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    with without_ray():
        extract.main(extracted(made, faces=made.morphs, features=other))
    with pytest.raises(UserError, match="has another mean face"):
        train_decoder.main(replace(trained(made), morphs=other, checkpoint=str(tmp_path / "decoder")))


def inverted(made: Made, out: Path, **changes: Any) -> inversions.Config:
    return inversions.Config(checkpoint=made.decoder, generated=str(out), **changes)


def test_features_become_faces_with_their_textures_and_landmarks(made: Made, tmp_path: Path) -> None:
    config = inverted(made, tmp_path / "faces", features=made.features, split="test")
    inversions.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    held = set(people(made, "test")["face_id"].to_pylist())
    assert {row["face_ids"][0] for row in rows} == held
    assert sorted(row["kind"] for row in rows) == ["inversion"] * len(held) + ["texture"] * len(held)
    loaded = decoder_loading.load_face(made.decoder)
    row = next(row for row in rows if row["kind"] == "inversion")
    features = tables.read(made.features, ("face_id", VECTOR), schema="features")
    vector = schema.dense(schema.where_id(features, row["face_ids"])[VECTOR], 512)
    with torch.inference_mode():
        points, _, images = loaded.model(torch.from_numpy(vector.copy()))
    picture = np.asarray(Image.open(io.BytesIO(row["image"])))
    assert picture.shape == (56, 56, 3)
    assert np.abs(picture - (images[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5).max() < 1.01
    told = np.array(json.loads(row["parameters"])["landmarks_px"])
    np.testing.assert_allclose(told, rescale(points[0].numpy(), SIDE, 56), atol=0.02)
    assert len(list((tmp_path / "faces" / "png").iterdir())) == len(rows)
    assert (tmp_path / "faces" / "contact_sheet.png").exists()


def test_a_file_of_vectors_becomes_faces_and_what_is_not_finite_a_reject(made: Made, tmp_path: Path) -> None:
    features = tables.read(made.features, ("face_id", "domain", VECTOR), schema="features")
    vectors = schema.dense(schema.where(features, domain="human")[VECTOR], 512)[:5].astype(np.float64).copy()
    vectors[3, 7] = np.nan
    np.save(tmp_path / "vectors.npy", vectors)
    config = inverted(made, tmp_path / "faces", vectors=str(tmp_path / "vectors.npy"))
    with without_ray():
        inversions.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    assert [r["face_ids"][0] for r in rows if r["kind"] == "inversion"] == [f"row-{i:08d}" for i in range(5)]
    assert [r["reject"] and r["reject"]["reason"] for r in rows if r["kind"] == "inversion"] == [
        *([None] * 3),
        "not_finite",
        None,
    ]
    assert manifest.require(config.generated, "generated").counts == {
        "in": 9,
        "accepted": 8,
        "rejected": {"not_finite": 1},
    }


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: np.save(path, np.zeros((3, 7))), r"must have the decoder's 512 numbers \(global_mu\), got 7"),
        (lambda path: np.save(path, np.zeros(512)), r"got \[512\]"),
        (lambda path: np.save(path, np.array([{"a": 1}]), allow_pickle=True), "must be a .npy file of numbers"),
        (lambda path: path.write_bytes(b"no array"), "must be a .npy file of numbers"),
        (lambda path: np.save(path, np.zeros((0, 512))), "at least one row"),
    ],
)
def test_files_that_hold_no_vectors_are_refused(made: Made, tmp_path: Path, write: Any, message: str) -> None:
    write(tmp_path / "vectors.npy")
    with pytest.raises(UserError, match=message):
        inversions.main(inverted(made, tmp_path / "faces", vectors=str(tmp_path / "vectors.npy")))
    assert not (tmp_path / "faces").exists()


def test_one_source_of_vectors_is_asked_for(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="give one of --features, --vectors, --photos"):
        inversions.main(inverted(made, tmp_path / "faces"))
    with pytest.raises(UserError, match="got features and vectors"):
        inversions.main(inverted(made, tmp_path / "faces", features=made.features, vectors="x.npy"))
    with pytest.raises(UserError, match="--photos needs the network that made global_mu"):
        inversions.main(inverted(made, tmp_path / "faces", photos=made.photos))


def by_method(uri: str) -> dict[str, pa.Table]:
    """Read the rows of each method, in the order of the faces."""
    table = tables.read(uri, schema="metrics").sort_by("face_id")
    return {name: schema.where(table, method=name) for name in table["method"].unique().to_pylist()}


def test_every_method_meets_every_held_out_person_and_the_report_tells(made: Made, capsys: Any) -> None:
    rows = by_method(made.metrics)
    held = people(made, "test").num_rows
    assert set(rows) == {"source", *inversion.TITLES}
    assert {table.num_rows for table in rows.values()} == {held}
    measured = {name: np.mean(t["psnr"].to_pylist()) for name, t in rows.items() if name != "source"}
    assert measured["full"] > measured["mean_face"]
    assert {pc.max(made["face_psnr"]).as_py() > 10 for name, made in rows.items() if name != "source"} == {True}
    assert rows["single"]["landmark_mse"].null_count == held
    gathered = inversion.by_method(made.metrics)
    assert list(gathered) == ["source", *inversion.TITLES]
    for name, psnr in measured.items():
        assert gathered[name].rows == held and gathered[name].mean("psnr").value == pytest.approx(psnr)
    evaluate(evaluated(made))
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1 + len(inversion.TITLES)
    report = Path(made.metrics, "report.html").read_text()
    assert "Landmark error by point" in report and "Training of the texture decoder" in report
    assert not list(Path(made.metrics).glob("baselines*"))


@pytest.mark.skipif(not (WEIGHTS / "mobilefacenet.npz").exists(), reason=f"the published networks are not in {WEIGHTS}")
def test_identity_is_measured_where_the_networks_are(made: Made, tmp_path: Path) -> None:
    with without_ray():
        evaluate(replace(evaluated(made), metrics=str(tmp_path / "metrics"), weights=str(WEIGHTS)))
    rows = by_method(str(tmp_path / "metrics"))
    source = schema.dense(rows["source"]["mobilefacenet"], 128)
    for name, table in rows.items():
        own = (schema.dense(table["mobilefacenet"], 128) * source).sum(1)
        wanted = np.ones(len(own)) if name == "source" else table["identity"].to_numpy()
        np.testing.assert_allclose(own, wanted, atol=1e-5)
    # The mean face is one face: its vector is every row's, and it is recognised once at most.
    mean = schema.dense(rows["mean_face"]["mobilefacenet"], 128)
    assert np.abs(mean - mean[0]).max() < 1e-5
    assert inversion.ranks(mean, source).sum() <= 1
    gathered = inversion.by_method(str(tmp_path / "metrics"))
    for name, table in rows.items():
        right = inversion.ranks(schema.dense(table["mobilefacenet"], 128), source)
        assert inversion.recognised(gathered[name], gathered["source"]).tolist() == right.tolist()
    assert float(np.mean(rows["full"]["lpips_caffe_squeezenet"].to_pylist())) > 0.02


def test_decoders_of_other_splits_are_not_evaluated(made: Made, tmp_path: Path) -> None:
    other = Made(tmp_path)
    with without_ray():
        curate.main(curate.Config(photos=made.photos, faces=other.faces, split_percent=(60, 20, 20), seed=1))
        extract.main(extracted(other))
    with pytest.raises(UserError, match="may have been trained on"):
        evaluate(replace(evaluated(other), checkpoint=(made.decoder,)))


def test_photographs_are_inverted_by_the_networks_that_ship(tmp_path: Path) -> None:
    def write(path: str, data: bytes) -> None:
        if path.endswith(".json"):
            return
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(data)

    write_photographs(write, humans=2, per_species=1, pictures_per_human=1)
    decoder = str(REPOSITORY / "pretrained/inversion/identity")
    config = inversions.Config(
        checkpoint=decoder, generated=str(tmp_path / "faces"), photos=str(tmp_path / "photos"), limit=0
    )
    with without_ray():
        inversions.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    made = [row for row in rows if row["kind"] == "inversion" and not row["reject"]]
    assert len(made) == 2 and all(np.asarray(Image.open(io.BytesIO(row["image"]))).std() > 20 for row in made)
    assert {row["reject"]["reason"] for row in rows if row["reject"]} == {"no_vector"}
