"""The zoo end to end over drawn faces: trained, compared, varied and ready for the hub, as a user runs it."""

import inspect
import io
import json
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from jobs import curate, pack, push_to_hub, train_zoo
from jobs.evaluate.config import Config as Evaluation
from jobs.evaluate.run import main as evaluate
from jobs.generate import variation as variations
from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.faces.arrays import load, to_pictures
from rupantara.generation import variation, zoo_loading
from rupantara.reports import comparison
from rupantara.storage import manifest, tables
from rupantara.synthetic import write_photographs
from tests.conftest import REPOSITORY
from tests.in_process import in_this_process, without_ray

PEOPLE = 120


@dataclass(frozen=True)
class Made:
    """Where the tables lie."""

    root: Path

    def __getattr__(self, name: str) -> str:
        return str(self.root / name)


@pytest.fixture(scope="module")
def made(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Drawn people with UTKFace's names, two trained models, their comparison and variations."""
    out = Made(tmp_path_factory.mktemp("zoo"))
    names: dict[str, str] = {}

    def write(path: str, data: bytes) -> None:
        if path.endswith(".json"):
            rows = [row | {"file": names[row["file"]]} for row in json.loads(data)]
            path, data = "keypoints.json", json.dumps(rows).encode()
        else:
            n = len(names)
            names[path] = path = f"human/utkface/{20 + n % 60}_{n % 2}_{n % 3}_{n}.jpg"
        (out.root / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (out.root / "photos" / path).write_bytes(data)

    write_photographs(write, humans=PEOPLE, per_species=0, pictures_per_human=1)
    preset = train_zoo.presets()["smoke"]
    with without_ray():
        curate.main(curate.Config(photos=out.photos, faces=out.faces, split_percent=(70, 10, 20)))
        train_zoo.main(replace(preset, faces=out.faces, checkpoints=out.zoo, models="plain,beta", epochs=6))
        evaluate(compared(out))
    return out


def compared(made: Made, **changes: Any) -> Evaluation:
    config = Evaluation(faces=made.faces, checkpoint=(made.zoo,), metrics=made.comparison, varied=4, count=3, shown=2)
    return replace(config, **changes)


def test_each_model_is_a_checkpoint_with_its_log_and_grids_and_learns(made: Made) -> None:
    for name in ("plain", "beta"):
        folder = Path(made.zoo, name)
        log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        assert [row["epoch"] for row in log] == list(range(6))
        assert log[-1]["human_mse"] < 0.7 * log[0]["human_mse"]
        assert len(list((folder / "grids").iterdir())) == 6
        found = manifest.require(str(folder), zoo_loading.MODEL_TYPE)
        assert found.extra["model_sha256"] == zoo_loading.load(str(folder)).sha256
        assert {file.path for file in found.files} == {"config.json", "model.safetensors", "README.md"}


def test_the_same_training_again_does_nothing_and_another_is_refused(made: Made, caplog) -> None:
    config = replace(
        train_zoo.presets()["smoke"], faces=made.faces, checkpoints=made.zoo, models="plain,beta", epochs=6
    )
    with caplog.at_level("INFO", logger="jobs"):
        train_zoo.main(config)
    assert caplog.text.count("nothing to do") == 2
    with pytest.raises(RefusedError, match=r"config\.learning_rate"):
        train_zoo.main(replace(config, learning_rate=0.5))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": "plain,dfc", "feature_network": "vgg16"}, "rupantara.storage.weights pull vgg16"),
        ({"models": "plain,vqvae"}, "must be of vanilla, beta, dfc, plain, got 'vqvae'"),
        ({"models": "beta", "batch": 1}, "--batch must be at least 2"),
    ],
)
def test_what_cannot_be_trained_is_said_before_anything_starts(made: Made, tmp_path, changes, message) -> None:
    config = replace(train_zoo.presets()["smoke"], faces=made.faces, checkpoints=str(tmp_path / "zoo"), **changes)
    with pytest.raises(UserError, match=message):
        train_zoo.main(config)
    assert not (tmp_path / "zoo").exists()


def test_the_network_of_dfcs_loss_ships() -> None:
    given = replace(train_zoo.presets()["smoke"], faces="faces", checkpoints="zoo", models="plain,dfc")
    assert train_zoo.names_of(given) == ("plain", "dfc")


def comparison_rows(made: Made) -> list[dict[str, Any]]:
    return tables.read(made.comparison, schema="metrics").to_pylist()


def test_every_method_meets_every_held_out_person(made: Made) -> None:
    found = manifest.require(made.comparison, "metrics")
    held = schema.where(tables.read(made.faces, schema="faces"), split="test").num_rows
    methods = list(found.extra["methods"])
    assert methods[:3] == ["beta", "plain", "pca_32"]
    assert methods[-1] == "mean_face"
    counts = Counter((row["method"], row["kind"], row["mode"]) for row in comparison_rows(made))
    assert counts["source", "source", ""] == held == found.extra["faces"] >= 12
    for name in methods:
        assert counts[name, "reconstruction", ""] == counts[name, "sample", ""] == held
        for mode in ("posterior", "input_noise"):
            assert counts[name, "variation", mode] == (4 if name in ("plain", "beta") else 0)


def test_errors_are_those_of_the_model_and_of_a_pca_by_singular_values(made: Made) -> None:
    faces = tables.read(made.faces, schema="faces")
    split = {name: load(schema.where(faces, split=name), 64) for name in ("train", "test")}
    pixels = {name: part.pictures.astype(np.float64) / 255 for name, part in split.items()}
    model = zoo_loading.load(f"{made.zoo}/plain").model
    expected = {"plain": (variation.reconstruct(model, split["test"].images()).numpy() + 1) / 2}
    expected["plain"] = np.transpose(expected["plain"], (0, 2, 3, 1))
    mean = pixels["train"].mean(0)
    expected["mean_face"] = np.broadcast_to(mean, pixels["test"].shape)
    _, _, vectors = np.linalg.svd((pixels["train"] - mean).reshape(len(pixels["train"]), -1), full_matrices=False)
    scores = (pixels["test"] - mean).reshape(len(pixels["test"]), -1) @ vectors[:32].T
    expected["pca_32"] = np.clip((scores @ vectors[:32]).reshape(pixels["test"].shape) + mean, 0, 1)
    ids = split["test"].rows["face_id"].to_pylist()
    found = {
        (row["method"], row["face_id"]): row["mse"] for row in comparison_rows(made) if row["kind"] == "reconstruction"
    }
    for method, pictures in expected.items():
        errors = ((pictures - pixels["test"]) ** 2).mean((1, 2, 3))
        np.testing.assert_allclose([found[method, face] for face in ids], errors, rtol=2e-3, atol=1e-6)


def test_the_report_has_methods_groups_and_pictures(made: Made) -> None:
    page = Path(made.comparison, "report.html").read_text()
    assert "MSE by sex" in page
    assert "SSIM by group" in page
    assert page.count("<img") >= 6
    rows = comparison.table_rows(made.comparison)
    assert all(len(row) == len(comparison.HEADER) for row in rows)
    by_name = {row[0]: dict(zip(comparison.HEADER, row, strict=True)) for row in rows}
    assert by_name["beta"]["parameters"] == "257,987"
    assert by_name["plain"]["latent dims"] == "100"
    assert "±" in by_name["plain"]["diversity, posterior"]
    assert by_name["mean_face"]["diversity, posterior"] == ""
    assert float(by_name["mean_face"]["MSE"].split()[0]) > float(by_name["pca_32"]["MSE"].split()[0])


def test_the_same_comparison_again_does_nothing_and_reads_the_same(made: Made, caplog) -> None:
    before = comparison_rows(made)
    with caplog.at_level("INFO", logger="jobs"):
        evaluate(compared(made))
    assert "nothing to do" in caplog.text
    assert comparison_rows(made) == before
    with pytest.raises(RefusedError, match=r"config\.count"):
        evaluate(compared(made, count=4))


@pytest.mark.parametrize("mode", ["posterior", "input_noise", "prior"])
def test_variations_are_rows_that_can_be_made_again(made: Made, tmp_path, mode, monkeypatch) -> None:
    if mode != "posterior":
        in_this_process(monkeypatch)
    checkpoint = f"{made.zoo}/plain"
    config = variations.Config(
        checkpoint=checkpoint,
        faces=made.faces,
        generated=str(tmp_path / "out"),
        count=5,
        mode=mode,
        limit=3,
        split="test",
    )
    variations.main(config)
    rows = tables.read(config.generated, schema="generated").to_pylist()
    faces = {r["face_id"]: r for r in tables.read(made.faces, schema="faces").to_pylist()}
    assert len(rows) == len({row["request_id"] for row in rows}) == (5 if mode == "prior" else 15)
    assert {row["kind"] for row in rows} == {"sample" if mode == "prior" else "variation"}
    loaded = zoo_loading.load(checkpoint)
    for row in rows:
        parameters = json.loads(row["parameters"])
        picture = Image.open(io.BytesIO(row["image"]))
        assert "Synthetic" in picture.info["Description"]
        assert json.loads(picture.info["Parameters"]) == parameters
        if mode == "prior":
            again = variation.from_prior(loaded.model, 1, row["seed"])
        else:
            assert faces[row["face_ids"][0]]["split"] == "test"
            one = schema.where(tables.read(made.faces, schema="faces"), face_id=row["face_ids"][0])
            images = variation.vary(loaded.model, load(one, 64).images()[0], 5, mode, row["seed"])
            again = images[parameters["number"] :][:1]
        levels = np.abs(np.array(picture).astype(int) - to_pictures(again)[0])
        assert levels.max() <= 1
    assert len(list(Path(config.generated, "png").iterdir())) == len(rows)
    assert Path(config.generated, "contact_sheet.png").exists()


def test_a_packed_model_is_half_as_large_and_draws_the_same_faces(made: Made, tmp_path) -> None:
    packed = str(tmp_path / "packed")
    config = pack.Config(checkpoint=f"{made.zoo}/plain", packed=packed, data="Of drawn people.")
    pack.main(config)
    whole, half = (Path(uri, "model.safetensors").stat().st_size for uri in (f"{made.zoo}/plain", packed))
    assert half < 0.51 * whole
    ours, theirs = (zoo_loading.load(uri).model for uri in (f"{made.zoo}/plain", packed))
    a, b = (variation.from_prior(model, 4, 0) for model in (ours, theirs))
    assert float((a - b).abs().max()) < 0.02
    card = Path(packed, "README.md").read_text()
    assert "Of drawn people. Weights are stored in half precision." in card
    assert Image.open(Path(packed, "samples.jpg")).size[0] > 64
    assert manifest.require(packed, zoo_loading.MODEL_TYPE).extra["trained"]
    with pytest.raises(UserError, match="--faces and --features must be given with a region VAE"):
        pack.main(replace(config, checkpoint=str(REPOSITORY / "pretrained/region_vae"), packed=str(tmp_path / "other")))


class Hub:
    """Records what would be sent; every call must fit huggingface_hub's own signature."""

    def __init__(self, there: str = "") -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._there = there

    def __getattr__(self, name: str) -> Any:
        from huggingface_hub import HfApi

        def call(*arguments: Any, **named: Any) -> Any:
            bound = inspect.signature(getattr(HfApi, name)).bind(self, *arguments, **named)
            self.calls.append((name, {k: v for k, v in bound.arguments.items() if k != "self"}))
            info = type("Info", (), {"lfs": type("Lfs", (), {"sha256": self._there})})
            commit = type("Commit", (), {"commit_url": "https://hub/commit/1"})
            return {"get_paths_info": [info] if self._there else [], "create_commit": commit}.get(name)

        return call


def hub_config(made: Made, **changes: Any) -> push_to_hub.Config:
    return replace(push_to_hub.Config(checkpoint=f"{made.zoo}/plain", repo="user/plain", private=True), **changes)


def test_a_push_is_one_commit_of_what_loads_again(made: Made, tmp_path) -> None:
    config, hub = hub_config(made), Hub()
    push_to_hub.push(hub, config, push_to_hub.contents(config.checkpoint))
    calls = dict(hub.calls)
    assert [name for name, _ in hub.calls] == ["create_repo", "get_paths_info", "create_commit"]
    assert calls["create_repo"] == {"repo_id": "user/plain", "private": True, "repo_type": "model", "exist_ok": True}
    operations = calls["create_commit"]["operations"]
    names = [operation.path_in_repo for operation in operations]
    assert sorted(names) == ["README.md", "config.json", "manifest.json", "model.safetensors"]
    for operation in operations:
        (tmp_path / operation.path_in_repo).write_bytes(operation.path_or_fileobj)
    images = torch.rand(1, 3, 64, 64) * 2 - 1
    ours, theirs = (zoo_loading.load(uri).model for uri in (config.checkpoint, str(tmp_path)))
    assert torch.equal(variation.reconstruct(ours, images), variation.reconstruct(theirs, images))
    sent = b"".join(operation.path_or_fileobj for operation in operations)
    assert str(made.root).encode() not in sent, "no path of this machine leaves it"


def test_other_weights_on_the_hub_are_replaced_only_when_told(made: Made) -> None:
    config = hub_config(made)
    files = push_to_hub.contents(config.checkpoint)
    hub = Hub(there="0" * 64)
    with pytest.raises(RefusedError, match="holds other weights"):
        push_to_hub.push(hub, config, files)
    assert "create_commit" not in dict(hub.calls)
    push_to_hub.push(hub, replace(config, overwrite=True), files)
    assert "create_commit" in dict(hub.calls)
    same = Hub(there=manifest.require(config.checkpoint, zoo_loading.MODEL_TYPE).extra["model_sha256"])
    push_to_hub.push(same, config, files)
    assert "create_commit" in dict(same.calls)


def test_a_dry_run_lists_what_would_go_and_asks_nobody(made: Made, capsys) -> None:
    push_to_hub.main(hub_config(made, dry_run=True))
    said = capsys.readouterr().out
    assert "to user/plain (private), one commit:" in said
    for name in ("config.json", "model.safetensors", "README.md", "manifest.json"):
        assert name in said
    with pytest.raises(UserError, match="--repo must be user/name"):
        push_to_hub.main(hub_config(made, repo="plain"))
