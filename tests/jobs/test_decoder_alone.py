"""A decoder trained alone, on from a packed model, keeps its codes: what was made of them before goes with the new one, packed or not."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from jobs import build_bank, extract, pack, train_vae
from jobs.generate import hybrid
from rupantara import schema
from rupantara.errors import UserError
from rupantara.generation import codecs, loading
from rupantara.stages.pack import keeps_codes
from rupantara.storage import manifest, tables
from tests.drawn import CONFIG, SIDE, face_row, tiny_model, write_faces, write_model
from tests.in_process import without_ray


@dataclass(frozen=True)
class Made:
    """Where things lie."""

    root: Path

    def __getattr__(self, name: str) -> str:
        return str(self.root / name)


def training(made: Made, **changes: Any) -> train_vae.Config:
    config = replace(train_vae.presets()["smoke"], faces=made.faces, init=made.model, checkpoint=made.taught)
    config = replace(config, size=SIDE, channels=CONFIG.channels, decoder_channels=CONFIG.decoder_channels)
    batches = {"human_batch": 2, "animal_batch": 2, "epochs": 1, "learning_rate": 1e-2, "lr_warm_up_images": 1}
    return replace(config, **batches, decoder_only=True, region_context=True, **changes)


@pytest.fixture(scope="module")
def made(ray_cluster: None, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A packed model with features and a bank of its codes; its decoder trained on, packed again."""
    out = Made(tmp_path_factory.mktemp("decoder_alone"))
    rows = [face_row(f"h{i}", "human", i, "test" if i < 2 else "train") for i in range(8)]
    rows += [face_row(f"{name}{i}", name, i) for name in ("cat", "dog") for i in range(3)]
    rows += [face_row("vh", "human", 9, "val"), face_row("vc", "cat", 9, "val")]
    write_faces(out.faces, rows)
    model = tiny_model(variances=False).half().float()
    write_model(out.model, model)
    with without_ray():
        extract.main(extract.Config(faces=out.faces, features=out.features, checkpoint=out.model))
        build_bank.main(build_bank.Config(features=out.features, bank=out.bank))
        train_vae.main(training(out))
        pack.main(pack.Config(faces=out.faces, features=out.features, checkpoint=out.taught, packed=out.packed))
    return out


def test_the_new_checkpoint_names_the_codes_of_the_first(made: Made) -> None:
    first = loading.model_sha256(made.model)
    for uri in (made.taught, made.packed):
        found = loading.load(uri)
        assert found.sha256 != first and found.codes_sha256 == loading.codes_sha256(uri) == first
        assert codecs.codes_sha256(uri) == first and found.model.config.region_context
        assert json.loads(Path(uri, "config.json").read_text())["codes_of"] == first
    assert loading.codes_sha256(made.model) == first and "codes_of" not in Path(made.model, "config.json").read_text()


def test_features_are_the_same_to_the_bit_and_of_one_recipe(made: Made, tmp_path: Path) -> None:
    again = str(tmp_path / "features")
    with without_ray():
        extract.main(extract.Config(faces=made.faces, features=again, checkpoint=made.packed))
    assert manifest.require(again, "features").fingerprint == manifest.require(made.features, "features").fingerprint
    before, after = (tables.read(uri, schema="features").sort_by("face_id") for uri in (made.features, again))
    assert after.equals(before)


@pytest.mark.parametrize("name", ["taught", "packed"])
def test_the_bank_of_the_first_lends_to_hybrids_of_the_new_one(made: Made, tmp_path: Path, name: str) -> None:
    config = hybrid.Config(
        faces=made.faces, bank=made.bank, checkpoint=getattr(made, name), generated=str(tmp_path / "generated"), limit=2
    )
    with without_ray():
        hybrid.main(config)
    rows = schema.accepted(tables.read(config.generated, schema="generated")).to_pylist()
    assert {row["kind"] for row in rows} == {"reconstruction", "hybrid"}
    assert {tuple(row["model_sha256"]) for row in rows} == {(loading.model_sha256(getattr(made, name)),)}


def test_a_checkpoint_whose_encoder_half_precision_would_move_keeps_no_codes() -> None:
    assert keeps_codes(tiny_model().half().float()) and not keeps_codes(tiny_model())


def test_another_encoder_is_refused(made: Made, tmp_path: Path) -> None:
    other = write_model(str(tmp_path / "other"), tiny_model(seed=1))
    config = hybrid.Config(faces=made.faces, bank=made.bank, generated=str(tmp_path / "generated"), checkpoint=other)
    with pytest.raises(UserError, match="--bank must be made with --checkpoint"):
        hybrid.build(config)


def test_what_was_packed_is_not_packed_again(made: Made) -> None:
    config = pack.Config(faces=made.faces, features=made.features, checkpoint=made.packed, packed=f"{made.packed}_2")
    with pytest.raises(UserError, match="is packed already"):
        pack.build(config)


def test_sizes_are_those_of_the_first_but_for_the_context(made: Made) -> None:
    model = train_vae.model_of(training(made), CONFIG.species)
    assert model == replace(loading.read_config(made.model), region_context=True)
    with pytest.raises(UserError, match="--stem is that of --init: 2"):
        train_vae.model_of(training(made, stem=4), CONFIG.species)
