"""What train_vae refuses before it starts, and what its dry run says."""

import json
from dataclasses import replace

import pytest

from jobs import train_vae
from jobs.runtime.training import logs
from jobs.train_vae import Config, model_of, objective_of
from rupantara.errors import MissingError, UserError
from rupantara.models.region_vae import RegionVAE
from rupantara.storage import manifest, weights
from rupantara.storage.recipe import Recipe
from rupantara.training.face_rows import related
from rupantara.training.region_vae import RegionVAEObjective
from tests.drawn import face_row, write_faces

BASE = Config(
    faces="faces",
    checkpoint="checkpoint",
    size=32,
    channels=(8, 16, 16, 16),
    decoder_channels=(8, 16, 16, 16),
    human_batch=2,
    animal_batch=2,
    epochs=3,
    bfloat16=False,
    dry_run=True,
)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Six train humans, two cats and two dogs, one of each domain to validate."""
    folder = tmp_path_factory.mktemp("train_vae")
    rows = [face_row(f"h{i}", "human", i) for i in range(6)]
    rows += [face_row(f"{species}{i}", species, i) for species in ("cat", "dog") for i in range(2)]
    rows += [face_row("vh", "human", 7, "val"), face_row("vc", "cat", 7, "val")]
    return replace(BASE, faces=write_faces(str(folder / "faces"), rows), checkpoint=str(folder / "checkpoint"))


def test_morphs_of_this_table_are_read_and_of_another_refused(config: Config, tmp_path) -> None:
    content = manifest.require(config.faces, "faces").content
    assert related(config.faces) == {"faces": content}
    for name, made_from in (("own", content), ("other", "f" * 64), ("none", None)):
        inputs = {} if made_from is None else {"faces": made_from}
        write_faces(
            str(tmp_path / name),
            [face_row("m", "human", 9), face_row("n", "human", 8)],
            Recipe("augment", 1, {}, inputs),
        )
    own, other, none = (str(tmp_path / name) for name in ("own", "other", "none"))
    assert related(config.faces, own) == {"faces": content, "morphs": manifest.require(own, "faces").content}
    streams = train_vae.run_of(replace(config, morphs=own)).streams
    assert streams["human"].tables == (config.faces, own) and streams["val_human"].tables == (config.faces,)
    with pytest.raises(
        UserError, match=rf"--morphs must be made from --faces \({content[:12]}….*was made from f{{12}}…"
    ):
        related(config.faces, other)
    with pytest.raises(UserError, match="was made from another table…"):
        related(config.faces, none)
    with pytest.raises(MissingError, match="faces must be a complete output"):
        related(config.faces, str(tmp_path / "nowhere"))


def test_weights_of_losses_follow_the_networks_that_are_there(caplog, tmp_path) -> None:
    with caplog.at_level("INFO"):
        off = objective_of(BASE)
    assert (off.perceptual_weight, off.identity_weight) == (0.0, 0.0)
    said = "{} loss is off: it needs {} in --weights"
    networks = {"perceptual": "squeezenet", "identity": "mobilefacenet"}
    assert [r.message for r in caplog.records] == [said.format(*pair) for pair in networks.items()]
    for i, (entry, expected) in enumerate((("mobilefacenet", (0.0, 0.02)), ("squeezenet", (0.02, 0.02)))):
        (tmp_path / weights.CATALOGUE[entry].file).write_bytes(b"there")
        on = objective_of(replace(BASE, weights=str(tmp_path)))
        assert (on.perceptual_weight, on.identity_weight) == expected, i
    mixed = objective_of(replace(BASE, weights="folder", perceptual_weight=0.0, identity_weight=0.5))
    assert (mixed.perceptual_weight, mixed.identity_weight) == (0.0, 0.5)
    other = objective_of(replace(BASE, kl_weight=0.7, swap_share=0.1, gradient_clip=3.0))
    assert other == replace(
        RegionVAEObjective(), kl_weight=0.7, swap_share=0.1, gradient_clip=3.0, symmetry_weight=0.1, bfloat16=False
    )


@pytest.mark.parametrize("name", ["perceptual_weight", "identity_weight"])
def test_a_loss_without_its_network_or_below_zero_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="need --weights, the folder of their networks"):
        objective_of(replace(BASE, **{name: 0.1}))
    flag = name.replace("_", "-")
    with pytest.raises(UserError, match=f"--{flag} must not be negative, got -0.5"):
        objective_of(replace(BASE, weights="folder", **{name: -0.5}))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 72}, "size must be at least 32 and divisible"),
        ({"size": 16}, "got size 16, stem 2 and 4 stages"),
        ({"stem": 3}, "stem 2 or 4, got size 32, stem 3"),
        ({"decoder_channels": (8, 16, 16)}, "must have as many stages, at least 4"),
        ({"channels": (8, 8), "decoder_channels": (8, 8)}, "at least 4"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes: dict, said: str) -> None:
    with pytest.raises(UserError, match=said):
        model_of(replace(BASE, **changes), ("cat",))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"animal_batch": 5}, "at least 5 accepted train animal faces, got 4"),
        ({"human_batch": 4, "workers": 2}, "at least 8 accepted train human faces, got 6"),
        ({"human_batch": 0}, "--human-batch, --animal-batch and --epochs must be at least 1"),
        ({"epochs": 0}, "must be at least 1"),
        ({"gradient_clip": 0.0}, "--gradient-clip must be above 0, got 0"),
        ({"learning_rate": -1e-3}, "--learning-rate must be above 0, got -0.001"),
        ({"min_workers": 2}, "--min-workers must be at most --workers, got 2 and 1"),
        ({"min_workers": -1}, "--min-workers must not be negative, got -1"),
        ({"structural_weight": -0.1}, "--structural-weight must not be negative, got -0.1"),
        ({"kl_weight": -1.0}, "--kl-weight must not be negative, got -1"),
        ({"symmetry_weight": -0.5}, "--symmetry-weight must not be negative, got -0.5"),
        ({"adversarial_weight": -2.0}, "--adversarial-weight must not be negative, got -2"),
        ({"swap_share": 1.5}, "--swap-share must be a share from 0 to 1, got 1.5"),
        ({"num_to_keep": 0}, "--num-to-keep must be at least 1, got 0"),
        ({"gradient_clip": float("nan")}, "--gradient-clip must be above 0, got nan"),
        ({"ema_decay": 1.0}, "--ema-decay must be at least 0 and below 1, got 1"),
        ({"mlflow": "http://there"}, "needs the package mlflow"),
    ],
)
def test_too_few_faces_and_settings_without_a_meaning_are_refused(
    config: Config, monkeypatch, changes: dict, said: str
) -> None:
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=said):
        train_vae.main(replace(config, **changes))


def test_a_dry_run_says_what_a_step_costs_and_writes_nothing(config: Config, capsys) -> None:
    train_vae.main(config)
    said = capsys.readouterr().out
    model = model_of(config, ("cat", "dog"))
    parameters = sum(p.numel() for p in RegionVAE(model).parameters())
    lines = said.splitlines()
    assert f"{parameters} parameters" in lines
    assert "3 steps an epoch, 3 epochs" in lines
    gflop = next(line for line in lines if "GFLOP a step of 4 images" in line)
    # The heads alone: 4 images, forward and two backward products, 2 operations a weight.
    assert float(gflop.split()[0]) > 4 * 6 * 1e-9 * 512 * 64 * 4
    assert any("s a step on this machine" in line and "min with one worker here" in line for line in lines)
    flags, end = json.JSONDecoder().raw_decode(said)
    resolved, _ = json.JSONDecoder().raw_decode(said[end:].lstrip())
    assert flags["human_batch"] == 2 and resolved["model"]["species"] == ["cat", "dog"]
    assert resolved["objective"]["perceptual_weight"] == 0.0
    assert f"fingerprint {train_vae.run_of(config).recipe.fingerprint}" in lines
    assert manifest.read(config.checkpoint) is None and manifest.read(config.checkpoint, running=True) is None


def test_the_recipe_changes_with_what_decides_the_weights_and_with_nothing_else(config: Config, tmp_path) -> None:
    def fingerprint(**changes: object) -> str:
        return train_vae.run_of(replace(config, **changes)).recipe.fingerprint

    same = {
        "checkpoint": str(tmp_path),
        "threads": 3,
        "num_to_keep": 9,
        "dry_run": False,
        "workers": 1,
        "perceptual_weight": 0.0,
        "compiled": True,
        "channels_last": True,
    }
    assert {fingerprint(**{name: value}) for name, value in same.items()} == {fingerprint()}
    other = {"workers": 2, "seed": 1, "symmetry_weight": 0.2, "size": 64, "swap_share": 0.0, "human_batch": 3}
    assert len({fingerprint(**{name: value}) for name, value in other.items()} | {fingerprint()}) == 7
