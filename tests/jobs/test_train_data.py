"""What a training reads: species known to it, each about as often, in an order that the seed decides."""

from collections import Counter

import pyarrow as pa
import pytest

from jobs.train_data import choose
from rupantara import schema
from rupantara.errors import UserError
from rupantara.stages.faces import TrainingFaces
from tests.drawn import face_row, write_faces

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
