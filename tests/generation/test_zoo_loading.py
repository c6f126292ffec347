"""A checkpoint saved and loaded answers bit by bit alike, from our folders and from a bare download."""

from pathlib import Path

import pytest
import safetensors.torch
import torch

from rupantara import schema
from rupantara.errors import MissingError, UserError
from rupantara.generation import zoo_loading
from rupantara.models import zoo
from rupantara.models.zoo import CONFIGS, NAMES, ZooVAE
from rupantara.reports.zoo_card import zoo_card
from rupantara.storage import checkpoints, manifest
from rupantara.storage.recipe import Recipe

FACES = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def save(folder: Path, name: str, *, commit: bool = True) -> ZooVAE:
    torch.manual_seed(3)
    model = zoo.build(CONFIGS[name]).eval()
    recipe = Recipe("train_zoo", 1)
    running = manifest.begin(str(folder), zoo_loading.MODEL_TYPE, recipe, version=schema.VERSION, overwrite=False)
    assert running is not None
    config, card = zoo_loading.config_dict(CONFIGS[name]), zoo_card(CONFIGS[name], recipe, {"val_human_mse": 0.005})
    files, digest = checkpoints.write(str(folder), config, model.state_dict(), card)
    if commit:
        done = manifest.Manifest(
            zoo_loading.MODEL_TYPE,
            schema.VERSION,
            recipe,
            "complete",
            {"in": 0, "accepted": 0, "rejected": {}},
            files=tuple(files),
            extra={"model_sha256": digest},
        )
        manifest.commit(str(folder), done, running)
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_loaded_model_answers_as_the_saved_one(tmp_path: Path, name: str) -> None:
    model = save(tmp_path / "ours", name)
    loaded = zoo_loading.load(str(tmp_path / "ours"))
    with torch.inference_mode():
        for a, b in zip(model.encode(FACES), loaded.model.encode(FACES), strict=True):
            assert torch.equal(a, b)
        assert torch.equal(model(FACES, deterministic=True)[0], loaded.model(FACES, deterministic=True)[0])
    assert not loaded.model.training
    assert loaded.model.config == CONFIGS[name]


def test_a_bare_download_is_read_and_hashes_to_the_same(tmp_path: Path) -> None:
    save(tmp_path / "ours", "beta")
    bare = tmp_path / "downloaded"
    bare.mkdir()
    for name in ("config.json", "model.safetensors", "README.md"):
        (bare / name).write_bytes((tmp_path / "ours" / name).read_bytes())
    ours, theirs = (zoo_loading.load(str(tmp_path / name)) for name in ("ours", "downloaded"))
    assert ours.sha256 == theirs.sha256
    state = theirs.model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in ours.model.state_dict().items())


def test_an_unfinished_training_is_not_taken_for_a_download(tmp_path: Path) -> None:
    save(tmp_path / "ours", "beta", commit=False)
    with pytest.raises(MissingError, match="has not finished"):
        zoo_loading.load(str(tmp_path / "ours"))


def test_damaged_weights_and_other_models_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "ours", "beta")
    path = tmp_path / "ours/model.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    path.write_bytes(safetensors.torch.save({name: 2 * value for name, value in tensors.items()}))
    with pytest.raises(UserError, match="damaged"):
        zoo_loading.load(str(tmp_path / "ours"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "other/model.safetensors").write_bytes(safetensors.torch.save({}))
    with pytest.raises(UserError, match="must have model_type zoo_vae, got 'bert'"):
        zoo_loading.load(str(tmp_path / "other"))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (b"", "config.json must be JSON: Expecting value"),
        (b"[]", "config.json must be a JSON object, got a list"),
        (b'{"model_type": "zoo_vae", "name": "beta"}', "of this version of rupantara: no 'latent_dim'"),
        (b'{"model_type": "zoo_vae", "name": "beta", "latent_dim": 3, "channels": 5}', "'int' object is not iterable"),
    ],
)
def test_a_config_that_cannot_be_read_is_refused_in_one_line(tmp_path: Path, config: bytes, message: str) -> None:
    (tmp_path / checkpoints.CONFIG).write_bytes(config.replace(b"zoo_vae", zoo_loading.MODEL_TYPE.encode()))
    (tmp_path / checkpoints.WEIGHTS).write_bytes(b"")
    with pytest.raises(UserError, match=message) as error:
        zoo_loading.load(str(tmp_path))
    assert "\n" not in str(error.value)


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    save(tmp_path / "ours", "beta")
    config, weights = (tmp_path / "ours" / name for name in (checkpoints.CONFIG, checkpoints.WEIGHTS))
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / config.name).write_bytes(config.read_bytes())
    tensors = safetensors.torch.load_file(weights)
    first = min(tensors)
    for changed in ({k: v for k, v in tensors.items() if k != first}, tensors | {first: tensors[first][:1]}):
        safetensors.torch.save_file(changed, bare / weights.name)
        said = f"must hold the {len(tensors)} tensors of the network .* got {len(changed)}, of which 1 differ, first {first}"
        with pytest.raises(UserError, match=said):
            zoo_loading.load(str(bare))
