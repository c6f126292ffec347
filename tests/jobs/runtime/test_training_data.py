"""What a training reads: species known to it, each about as often, in an order that the seed decides."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import ray.data

from jobs.runtime.training.data import lay_out
from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.balance import draw
from rupantara.storage import manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.training.choice import TrainingChoice, choose
from rupantara.training.face_rows import FaceRows, FaceStreams, face_streams
from rupantara.training.streams import Stream
from tests.drawn import face_row, write_faces, write_table

ROWS = [face_row(f"h{i}", "human", i) for i in range(4)] + [face_row("vh", "human", 5, "val")]
ROWS += [face_row(f"{species}{i}", species, i) for species in ("cat", "dog") for i in range(3)]
ROWS += [face_row(f"v{species}{i}", species, 5 + i, "val") for species in ("cat", "fox") for i in range(2)]


def described(faces: str, *domains: str, seed: int = 0, **most: int) -> FaceStreams:
    limits = {"most": 0, "most_validation": 0} | most
    return face_streams(faces, "", 32, dict.fromkeys(domains, 1), **limits, seed=seed)


def kept(stream: Stream) -> list[str]:
    """Return the ids that a stream's predicate keeps, in order."""
    return [i for uri in stream.tables for i in stream.keep(tables.read(uri, schema="faces"))["face_id"].to_pylist()]


def test_species_that_are_not_trained_on_are_not_validated_on_and_the_log_counts_them(tmp_path, caplog) -> None:
    faces = write_faces(str(tmp_path / "faces"), ROWS)
    with caplog.at_level("INFO"):
        found = described(faces, "human", "animal")
    assert found.species == ("cat", "dog")
    assert {name: kept(stream) for name, stream in found.validation.items()} == {
        "human": ["vh"],
        "animal": ["vcat0", "vcat1"],
    }
    assert [r.message for r in caplog.records] == ["2 val animal faces are left out: train has no fox"]
    strange = [row for row in ROWS if row["face_id"] not in ("vcat0", "vcat1")]
    with pytest.raises(UserError, match="at least 1 accepted val animal faces, got 0"):
        described(write_faces(str(tmp_path / "none"), strange), "human", "animal")


def test_the_faces_with_the_smallest_hashes_are_chosen_and_a_morph_is_never_validated_on(tmp_path) -> None:
    faces = write_faces(str(tmp_path / "faces"), ROWS)
    recipe = Recipe("augment", 1, {}, {"faces": manifest.require(faces, "faces").content})
    morphs = [face_row(f"m{i}", "human", i, split) for i, split in enumerate(("train", "train", "val", "val"))]
    others = write_faces(str(tmp_path / "morphs"), morphs, recipe)
    least = {"human": 1}
    every = face_streams(faces, others, 32, least, most=0, most_validation=0, seed=3)
    assert kept(every.train["human"]) == ["h0", "h1", "h2", "h3", "m0", "m1"] and every.train["human"].count == 6
    assert kept(every.validation["human"]) == ["vh"]
    few = face_streams(faces, others, 32, least, most=4, most_validation=0, seed=3).train["human"]
    by_hash = sorted(kept(every.train["human"]), key=lambda i: draw(i, 3))[:4]
    assert few.count == 4 and sorted(kept(few)) == sorted(by_hash)


def test_rows_that_lack_a_vector_or_hold_numbers_that_are_not_finite_are_not_chosen(tmp_path, caplog) -> None:
    values = [[1.0, 2.0], None, [float("nan"), 0.0], [0.0, float("inf")], [3.0, 4.0]]
    table = pa.table(
        {
            **{name: ["x"] * 5 for name in ("domain", "species")},
            "face_id": [f"f{i}" for i in range(5)],
            "split": ["train"] * 5,
            "code": pa.array(values, pa.list_(pa.float32(), 2)),
        }
    )
    uri = write_table(str(tmp_path / "features"), "features", [table])
    choice = TrainingChoice("train", present=("code",))
    assert choice(table)["face_id"].to_pylist() == ["f0", "f4"]
    with caplog.at_level("INFO"):
        assert choose([uri], "features", choice, 0, 2).counts == {"x": 2}
    assert "3 of 5 train rows lack code" in caplog.text
    with pytest.raises(UserError, match="must have at least 3 accepted train faces with code, got 2"):
        choose([uri], "features", choice, 0, 3)


def test_an_animal_of_an_unknown_species_is_never_taken_for_a_human() -> None:
    table = pa.Table.from_pylist(ROWS, schema=schema.FACES)
    decode = FaceRows(32, ("cat", "dog"))
    found = decode(table.filter(pc.field("species") != "fox"))
    assert Counter(found["species"].tolist()) == {0: 5, 1: 5, 2: 3}
    with pytest.raises(UserError, match="animals to train on must be of cat, dog, got 'fox'"):
        decode(table)


def rows_of(stream: ray.data.Dataset) -> dict[str, np.ndarray]:
    parts = list(stream.iter_batches(batch_size=None))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_streams_have_the_rows_of_the_table_in_an_order_of_the_seed_and_species_count_alike(
    ray_cluster, tmp_path, caplog
) -> None:
    """Files of one domain alone among them, and a species of six times as many faces as another."""
    rows = [face_row(f"h{i}", "human", i) for i in range(12)] + [
        face_row(f"vh{i}", "human", i, "val") for i in range(3)
    ]
    rows += [face_row(f"c{i}", "cat", i) for i in range(12)] + [face_row(f"d{i}", "dog", i) for i in range(2)]
    rows += [face_row("vc", "cat", 30, "val"), face_row("vd", "dog", 30, "val")]
    parts = [pa.Table.from_pylist(rows[i : i + 8], schema=schema.FACES) for i in range(0, len(rows), 8)]
    faces = write_table(str(tmp_path / "faces"), "faces", parts)
    with caplog.at_level("INFO"):
        found = described(faces, "human", "animal", seed=5)
    streams = found.train | {f"val_{name}": stream for name, stream in found.validation.items()}
    laid, again, other = (lay_out(streams, found.train, seed) for seed in (5, 5, 6))
    assert list(laid) == ["human", "animal", "val_human", "val_animal"]
    for name, stream in streams.items():
        decoded = [stream.read(part) for part in tables.read_parts(faces, stream.columns)]
        expected = {column: np.concatenate([part[column] for part in decoded]) for column in decoded[0]}
        shown, same, mixed = (rows_of(laid_out[name]) for laid_out in (laid, again, other))
        for column, values in expected.items():
            np.testing.assert_array_equal(shown[column], same[column], err_msg=f"{name} {column}")
            if name.startswith("val_"):
                np.testing.assert_array_equal(shown[column], values, err_msg=f"{name} {column}")
        assert sorted(map(bytes, shown["image"])) == sorted(map(bytes, expected["image"]))
        if name in found.train:
            assert any((shown["image"] != rows_["image"]).any() for rows_ in (expected, mixed)), "it is shuffled"
    shown = rows_of(laid["animal"])
    assert 4 <= int((shown["species"] == 1).sum()) <= 9 and 4 <= int((shown["species"] == 2).sum()) <= 9
    never = 14 - len(np.unique(shown["image"], axis=0))
    assert never and [r.message for r in caplog.records if r.name.startswith("rupantara")] == [
        f"{never} of 14 animal faces are never shown, so that species count alike"
    ]
