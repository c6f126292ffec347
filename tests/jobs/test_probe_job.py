"""What jobs.probe measures on: held-out faces one a person, and a gallery of as many train animals as asked."""

from dataclasses import replace

import pyarrow as pa
import pytest

from jobs import probe
from jobs.probe import Config
from rupantara import schema
from rupantara.bank.alignment import ANIMAL, Alignment
from rupantara.generation import loading
from tests.drawn import CONFIG, face_row, tiny_model, write_faces, write_model, write_table


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    root = tmp_path_factory.mktemp("probe_job")
    rows = [face_row(f"h{i}", "human", i, "test") for i in range(10)]
    rows += [face_row(f"c{i}", "cat", i, "val") for i in range(10)]
    rows += [face_row(f"c{i}-again", "cat", 20 + i, "val") | {"identity": f"cat/c{i}"} for i in range(10)]
    rows += [face_row(f"t{i}", "dog", i) for i in range(5)]
    checkpoint = write_model(str(root / "model"), tiny_model())
    columns = schema.bank(CONFIG.region_dim, "")
    extra = {"alignment": Alignment.identity(CONFIG.region_dim).as_json()}
    bank = write_table(
        str(root / "bank"), "bank", [columns.empty_table()], model_sha256=loading.model_sha256(checkpoint), **extra
    )
    faces = write_faces(str(root / "faces"), rows)
    return Config(faces=faces, checkpoint=checkpoint, bank=bank, probe=str(root / "probe"), limit=0)


@pytest.mark.parametrize(("gallery", "train"), [(0, 5), (2, 2), (-1, 0)])
def test_the_gallery_holds_held_out_animals_and_as_many_train_ones_as_asked(
    config: Config, gallery: int, train: int
) -> None:
    run = probe.build(replace(config, gallery=gallery))
    assert run.extra["gallery"] == {"held_out": 10, "train": train}
    stage = run.make_stage()
    matches = stage(pa.table({"measure": ["match_flip"]})).to_pylist()
    assert {row["n"] for row in matches} == {10} and len(run.plan) == len(probe.MEASURES)
    assert len({i.removesuffix("-again") for i in stage._ids[ANIMAL]}) == 10, "one face an animal"
    found = stage._banks["raw"].search(stage._codes[ANIMAL][:1, 0], "eyes", 99)
    assert (found.ids != "").sum() == 10 + train
    assert (run.recipe.fingerprint == probe.build(config).recipe.fingerprint) == (gallery == 0)
