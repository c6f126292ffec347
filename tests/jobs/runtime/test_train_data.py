"""What a training reads: species known to it, each about as often, in an order that the seed decides."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import ray.data
from ray.data.expressions import col

from jobs.runtime.train_data import Chosen, choose, datasets
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import TRAINING_COLUMNS, ReadFile, TrainingFaces
from rupantara.faces.balance import repeats
from rupantara.storage import manifest
from tests.drawn import face_row, write_faces, write_table

MOST = {"train": 0, "val": 0}
ROWS = [face_row(f"h{i}", "human", i) for i in range(4)] + [face_row("vh", "human", 5, "val")]
ROWS += [face_row(f"{species}{i}", species, i) for species in ("cat", "dog") for i in range(3)]
ROWS += [face_row(f"v{species}{i}", species, 5 + i, "val") for species in ("cat", "fox") for i in range(2)]


def test_species_that_are_not_trained_on_are_not_validated_on_and_the_log_counts_them(tmp_path, caplog) -> None:
    faces = write_faces(str(tmp_path / "faces"), ROWS)
    with caplog.at_level("INFO", logger="jobs"):
        chosen = choose([faces], {"human": 1, "animal": 1}, MOST, 0)
    assert chosen.species == ("cat", "dog")
    assert chosen.val == {"human": {"vh": "human"}, "animal": {"vcat0": "cat", "vcat1": "cat"}}
    assert [r.message for r in caplog.records] == ["2 val animal faces are left out: train has no fox"]
    strange = [row for row in ROWS if row["face_id"] not in ("vcat0", "vcat1")]
    with pytest.raises(UserError, match="at least 1 accepted val animal faces, got 0"):
        choose([write_faces(str(tmp_path / "none"), strange)], {"human": 1, "animal": 1}, MOST, 0)


def test_an_animal_of_an_unknown_species_is_never_taken_for_a_human() -> None:
    table = pa.Table.from_pylist(ROWS, schema=schema.FACES)
    ids = {row["face_id"]: row["species"] for row in ROWS}
    known = {i: species for i, species in ids.items() if species != "fox"}
    found = TrainingFaces(32, ("cat", "dog"), {"all": known}, {}, 0)(table)
    assert Counter(found["species"].tolist()) == {0: 5, 1: 5, 2: 3}
    with pytest.raises(UserError, match="animals to train on must be of cat, dog, got 'fox'"):
        TrainingFaces(32, ("cat", "dog"), {"all": ids}, {}, 0)(table)


def rows_of(stream: ray.data.Dataset) -> dict[str, np.ndarray]:
    parts = list(stream.iter_batches(batch_size=None))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def decoded_together(uri: str, files: list[str], chosen: Chosen, seed: int) -> dict[str, ray.data.Dataset]:
    """All sets decoded in one pass and held beside the streams: three times the memory, and what the order has to be."""
    sets = chosen.train | {f"val_{d}": ids for d, ids in chosen.val.items()}
    factors = {"animal": repeats(Counter(sets["animal"].values()))}
    rows = ray.data.from_items([{"path": f} for f in files], override_num_blocks=len(files))
    rows = rows.map_batches(ReadFile(uri, TRAINING_COLUMNS), batch_format="numpy", batch_size=1)
    stage = TrainingFaces(32, chosen.species, sets, factors, seed)
    decoded = rows.map_batches(stage, batch_format="pyarrow", batch_size=None).materialize()
    streams = {name: decoded.filter(expr=col("set") == name).drop_columns(["set"]) for name in sets}
    return {n: s.random_shuffle(seed=seed) if n in chosen.train else s for n, s in streams.items()}


def test_sets_decoded_one_by_one_have_the_rows_and_the_order_of_one_pass(ray_cluster, tmp_path, caplog) -> None:
    """Files of one domain alone among them, and a species of six times as many faces as another."""
    rows = [face_row(f"h{i}", "human", i) for i in range(12)] + [
        face_row(f"vh{i}", "human", i, "val") for i in range(3)
    ]
    rows += [face_row(f"c{i}", "cat", i) for i in range(12)] + [face_row(f"d{i}", "dog", i) for i in range(2)]
    rows += [face_row("vc", "cat", 30, "val"), face_row("vd", "dog", 30, "val")]
    parts = [pa.Table.from_pylist(rows[i : i + 8], schema=schema.FACES) for i in range(0, len(rows), 8)]
    faces = write_table(str(tmp_path / "faces"), "faces", parts)
    chosen = choose([faces], {"human": 1, "animal": 1}, MOST, 0)
    with caplog.at_level("INFO", logger="jobs"):
        found = datasets([faces], 32, chosen, 5)
    expected = decoded_together(faces, [f.path for f in manifest.require(faces, "faces").data], chosen, 5)
    assert list(found) == list(expected) == ["human", "animal", "val_human", "val_animal"]
    for name, stream in expected.items():
        first, second = rows_of(found[name]), rows_of(stream)
        assert first.keys() == second.keys() and len(first["image"]) > 1
        for column, values in second.items():
            np.testing.assert_array_equal(first[column], values, err_msg=f"{name} {column}")
    never = 14 - len(np.unique(rows_of(found["animal"])["image"], axis=0))
    assert never and [r.message for r in caplog.records if r.name == "jobs"] == [
        f"{never} of 14 animal faces are never shown, so that species count alike"
    ]
