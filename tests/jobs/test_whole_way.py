"""The whole way over drawn faces, as a user runs it, and what every output promises."""

import io
import json
import os
import shutil
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pyarrow.dataset as pads
import pytest
from PIL import Image

from jobs import build_bank, curate, extract
from jobs.demo.config import presets
from jobs.demo.run import main as run_all
from jobs.demo.steps import steps
from jobs.generate import hybrid
from rupantara import schema
from rupantara.bank import versions
from rupantara.bank.alignment import Alignment
from rupantara.errors import MissingError, RefusedError, UserError
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest, tables
from rupantara.synthetic import SPECIES
from tests.conftest import WEIGHTS
from tests.hostile import write_hostile_files
from tests.in_process import without_ray

TABLES = ("faces", "features", "bank", "generated", "affinity", "metrics")


@pytest.mark.parametrize("name", TABLES)
def test_every_table_counts_what_came_in_and_lists_its_files(run, name):
    found = manifest.require(getattr(run, name), name)
    rows = tables.read(getattr(run, name), schema=name).num_rows
    assert rows == sum(f.rows for f in found.files if f.path.endswith(".parquet"))
    assert rows == found.counts["accepted"] + sum(found.counts["rejected"].values())
    assert found.state == "complete"
    if name == "faces":
        assert found.counts["in"] == rows == 40 * 2 + 12 * len(SPECIES)


def test_no_identity_is_in_two_splits_and_no_face_is_twice(run):
    faces = tables.read(run.faces, schema="faces").to_pylist()
    splits = Counter(identity for identity, _ in {(f["identity"], f["split"]) for f in faces})
    assert set(splits.values()) == {1}
    assert len({f["face_id"] for f in faces}) == len(faces)


def test_morphs_are_of_two_people_of_the_train_split(run):
    found = manifest.require(run.morphs, "faces")
    morphs, faces = (tables.read(uri, schema="faces").to_pylist() for uri in (run.morphs, run.faces))
    assert found.counts["accepted"] == len(morphs) == len({m["face_id"] for m in morphs}) == 24
    people = {f["face_id"]: f for f in faces}
    for morph in morphs:
        first, second = (people[parent] for parent in morph["parents"])
        assert first["split"] == second["split"] == morph["split"] == "train"
        assert first["identity"] != second["identity"]
        assert codec.decode_jpeg(morph["image"]).shape == (256, 256, 3)
        mean = (np.array(first["landmarks"]) + np.array(second["landmarks"])) / 2
        np.testing.assert_allclose(morph["landmarks"], mean, atol=1e-3)


@pytest.mark.skipif(not WEIGHTS.exists(), reason="needs mobilefacenet.npz")
def test_one_pass_gives_codes_and_identities(run, tmp_path):
    config = extract.Config(
        faces=run.faces, checkpoint=run.checkpoint, weights=str(WEIGHTS), features=str(tmp_path / "features")
    )
    with without_ray():
        extract.main(config)
    found = tables.read(config.features, schema="features")
    alone = tables.read(run.features, schema="features")
    assert found.select(alone.column_names).equals(alone), "another extractor beside it changes nothing"
    for row in found.to_pylist():
        assert (row["arcface"] is None) == (row["domain"] == "animal")
    rows = found.filter(found["arcface"].is_valid())
    vectors = schema.dense(rows["arcface"], 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    with pytest.raises(UserError, match="unknown_network"):
        extract.main(replace(config, extractors=("unknown_network",)))


def test_stats_say_how_fast_and_how_much_memory(run):
    stats = json.loads((run.root / "faces/stats.json").read_text())
    assert stats["counts"] == manifest.require(run.faces, "faces").counts
    assert stats["rows_in_this_run"] == stats["counts"]["in"]
    assert 50 < stats["worker_peak_mib"] < 4000
    assert 0 < stats["part_s"]["median"] <= stats["part_s"]["max"] <= stats["seconds"]


def test_vectors_open_in_plain_arrow_with_shape_and_model(run):
    dataset = pads.dataset(f"{run.features}/data")
    field = dataset.schema.field("regions_mu")
    assert json.loads(field.metadata[b"shape"]) == [len(REGIONS), 128]
    model = manifest.require(run.checkpoint, "region_vae").extra["model_sha256"]
    assert field.metadata[b"model_sha256"].decode() == model
    assert field.type.list_size == len(REGIONS) * 128


def space_of(run) -> Alignment:
    return Alignment.from_json(manifest.require(run.bank, "bank").extra["alignment"])


def test_bank_vectors_are_unit_and_give_back_the_codes(run):
    bank = tables.read(run.bank, schema="bank")
    assert bank.num_rows == 12 * len(SPECIES) * len(REGIONS)
    vectors = schema.dense(bank["vector"], 128)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    features = {r["face_id"]: r["regions_mu"] for r in tables.read(run.features, schema="features").to_pylist()}
    for row in bank.slice(0, 20).to_pylist():
        code = np.array(features[row["face_id"]]).reshape(5, 128)[REGIONS.index(row["region"])]
        aligned = np.array(row["vector"]) * row["norm"]
        np.testing.assert_allclose(space_of(run).restore(aligned, "animal", row["region"]), code, atol=1e-3)


def test_generated_pictures_say_what_they_are(run):
    rows = tables.read(run.generated, schema="generated").to_pylist()
    assert Counter(r["kind"] for r in rows) == {"reconstruction": 4, "hybrid": 4 * (len(SPECIES) + 1)}
    assert len({r["request_id"] for r in rows}) == len(rows)
    bank_ids = set(tables.read(run.bank, ("feature_id",), schema="bank")["feature_id"].to_pylist())
    for row in rows:
        picture = Image.open(io.BytesIO(row["image"]))
        assert picture.size == (64, 64)
        assert "Synthetic" in picture.info["Description"]
        assert json.loads(picture.info["Parameters"])["face_ids"] == row["face_ids"]
        assert set(row["bank_ids"]) <= bank_ids
        assert len(row["bank_ids"]) == (len(REGIONS) if row["kind"] == "hybrid" else 0)


def test_a_hybrid_of_one_species_takes_only_its_features(run):
    species = {r["feature_id"]: r["species"] for r in tables.read(run.bank, schema="bank").to_pylist()}
    for row in tables.read(run.generated, schema="generated").to_pylist():
        if row["kind"] == "hybrid" and row["species"] != "nearest":
            assert {species[i] for i in row["bank_ids"]} == {row["species"]}
            assert len({i.rpartition("/")[0] for i in row["bank_ids"]}) == 1, "one animal lends all regions"


def test_affinity_has_every_face_region_and_species_and_agrees_with_the_product(run):
    rows = tables.read(run.affinity, schema="affinity").to_pylist()
    assert len({(row["face_id"], row["region"], row["species"]) for row in rows}) == len(rows)
    assert len(rows) == 20 * len(REGIONS) * (len(SPECIES) + 1)
    assert {row["species"] for row in rows} == {*SPECIES, "people"}
    spaces = versions.latest(run.bank).spaces
    assert spaces is not None
    space, lent = spaces.space("pooled"), defaultdict(list)
    vectors = tables.read(run.features, schema="features").to_pylist()
    codes = {r["face_id"]: np.array(r["regions_mu"], np.float32).reshape(1, len(REGIONS), -1) for r in vectors}
    for one in tables.read(run.bank, ("face_id", "species", "region"), schema="bank").to_pylist():
        lent[one["region"], one["species"]].append(one["face_id"])
    for row in [row for row in rows if row["species"] != "people"][::17]:
        region, at = row["region"], REGIONS.index(row["region"])
        query = space.units(codes[row["face_id"]][:, at], "human", region)[0].astype(np.float64)
        kept = np.concatenate([codes[i][:, at] for i in lent[region, row["species"]]])
        cosines = space.units(kept, "animal", region).astype(np.float64) @ query
        assert row["mean"] == pytest.approx(cosines.mean(), abs=1e-5)
        assert row["best"] == pytest.approx(cosines.max(), abs=1e-5)
        assert row["best_scores"][0] == pytest.approx(cosines.max(), abs=1e-3)
        assert row["percentile_95"] == pytest.approx(np.percentile(cosines, 95), abs=1e-5)


def test_the_model_beats_the_mean_face_on_held_out_people(run):
    rows = tables.read(run.metrics, schema="metrics").to_pandas()
    humans = rows[rows["domain"] == "human"].groupby("method")["psnr"].mean()
    assert humans["model"] > humans["mean_face"] + 3


def test_the_network_that_ships_judges_without_weights(run):
    rows = tables.read(run.metrics, schema="metrics").to_pandas()
    distance = rows[rows["kind"] == "reconstruction"].groupby("method")["lpips_caffe_squeezenet"].mean()
    assert 0 < distance["model"] < distance["mean_face"]
    assert rows["identity"].isna().all()


def test_the_report_holds_its_figures_and_counts(run):
    page = (run.root / "report.html").read_text()
    assert page.count("data:image/png;base64,") >= 7
    assert "176 in = 176 accepted + 0 rejected" in page
    assert all(name in page for name in SPECIES)


def test_running_again_does_nothing(run, caplog):
    before = {p: p.stat().st_mtime_ns for name in TABLES for p in (run.root / name).rglob("*.parquet")}
    with caplog.at_level("INFO", logger="jobs"):
        config = replace(presets()["smoke"], run=str(run.root))
        run_all(config)
    assert sum("nothing to do" in message for message in caplog.messages) == len(steps(config, ""))
    assert before == {p: p.stat().st_mtime_ns for name in TABLES for p in (run.root / name).rglob("*.parquet")}


def test_another_threshold_is_refused_and_named(run):
    config = curate.Config(photos=f"{run.root}/photos", faces=run.faces, min_interocular_px=40)
    with pytest.raises(RefusedError, match=r"config.min_interocular_px: 16.0 -> 40") as refused:
        curate.main(config)
    assert "\n" not in str(refused.value)


def test_overwriting_replaces_only_when_complete(run, tmp_path):
    photos, faces = f"{run.root}/photos", str(tmp_path / "faces")
    shutil.copytree(run.faces, faces)
    old = tables.read(faces, schema="faces").num_rows
    curate.main(curate.Config(photos=photos, faces=faces, min_interocular_px=60, overwrite=True, part_photos=50))
    found = manifest.require(faces, "faces")
    assert found.counts["rejected"].keys() == {"too_small"}
    assert tables.read(faces, schema="faces").num_rows == old
    assert len(list((tmp_path / "faces/data").iterdir())) == len(found.data)


def test_a_bank_of_another_model_is_refused(run, tmp_path):
    wrong = tmp_path / "bank"
    with without_ray():
        build_bank.main(build_bank.Config(features=run.features, bank=str(wrong), num_shards=1))
    text = json.loads((wrong / "manifest.json").read_text())
    text["extra"]["model_sha256"] = "0" * 64
    (wrong / "manifest.json").write_text(json.dumps(text))
    config = hybrid.Config(
        faces=run.faces, checkpoint=run.checkpoint, bank=str(wrong), generated=str(tmp_path / "generated")
    )
    with pytest.raises(UserError, match="must be made with --checkpoint"):
        hybrid.main(config)


def test_amount_zero_is_the_reconstruction(run, tmp_path):
    out = str(tmp_path / "generated")
    config = hybrid.Config(
        faces=run.faces,
        checkpoint=run.checkpoint,
        bank=run.bank,
        generated=out,
        amount=(0.0,),
        species=("fox",),
        limit=2,
    )
    with without_ray():
        hybrid.main(config)
    made = {(r["face_ids"][0], r["kind"]): r["image"] for r in tables.read(out, schema="generated").to_pylist()}
    for face in {face for face, _ in made}:
        pictures = [np.array(Image.open(io.BytesIO(made[face, kind]))) for kind in ("hybrid", "reconstruction")]
        np.testing.assert_array_equal(*pictures)


def test_hostile_files_are_rows_with_the_right_reason(ray_cluster, tmp_path):
    photos = tmp_path / "photos"
    outcomes = write_hostile_files(photos)
    faces = str(tmp_path / "faces")
    curate.main(curate.Config(photos=str(photos), faces=faces, weights=str(WEIGHTS) if WEIGHTS.exists() else ""))
    rows = tables.read(faces, ("uri", "reject"), schema="faces").to_pylist()
    found = manifest.require(faces, "faces")
    assert found.counts["in"] == len(rows) >= 200
    # Every file is a row or counted as no photograph; a folder is neither.
    assert found.counts["in"] + found.extra["not_photographs"] == sum(not (photos / name).is_dir() for name in outcomes)
    shown = {os.fsencode(n).decode(errors="backslashreplace"): allowed for n, allowed in outcomes.items()}
    unusable = {"empty", "undecodable", "truncated", "too_large", "unreadable"}
    for row in rows:
        name = row["uri"].removeprefix(f"{tmp_path}/photos/")
        reason = row["reject"]["reason"] if row["reject"] else "accepted"
        # Without known keypoints a picture that can be decoded may hold no face, but it must have been decoded.
        allowed = shown[name]
        assert reason not in unusable - allowed if allowed - unusable else reason in allowed, (name, reason)


def test_inputs_that_are_not_there_are_named(tmp_path):
    config = extract.Config(faces=str(tmp_path / "no"), checkpoint="x", features=str(tmp_path / "f"))
    with pytest.raises(MissingError, match=r"there is no manifest\.json"):
        extract.main(config)
