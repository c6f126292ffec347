"""One vector that is not finite: extract rejects its face, a bank names it, and no other vector changes."""

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.alignment import fit as fit_alignment
from rupantara.bank.choice import characteristic
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.errors import UserError
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.extract import ExtractFeatures
from rupantara.stages.search import SearchBank
from tests.banks import DIM, feature_rows, write_features
from tests.drawn import CONFIG, face_row, tiny_model, write_model

NAMES = [f"a{i}" for i in range(12)]
BAD = 3


class Broken:
    """Makes vectors of three numbers; those of some faces are not finite."""

    domains: tuple[str, ...] = ("human", "animal")

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        self.columns = [schema.vector_field("broken", 3)]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        rows = np.arange(3 * len(faces.pictures), dtype=np.float32).reshape(-1, 3)
        rows[1] = np.nan
        rows[2, 1] = np.inf
        return [rows]


def test_a_face_whose_vector_is_not_finite_is_rejected_without_any_vector(monkeypatch, tmp_path) -> None:
    monkeypatch.setitem(extractors.EXTRACTORS, "crop", Broken)
    model = write_model(str(tmp_path / "model"), tiny_model())
    table = pa.Table.from_pylist([face_row(f"h{i}", "human", i) for i in range(4)], schema=schema.FACES)
    extract = ExtractFeatures([Spec("region_vae"), Spec("crop")], ExtractorNetworks(model))
    found = extract(table)
    rejects = found["reject"].to_pylist()
    assert [reject and reject["reason"] for reject in rejects] == [None, "not_finite", "not_finite", None]
    assert found["face_id"].to_pylist() == [f"h{i}" for i in range(4)]
    for column in ("global_mu", "regions_mu", "broken"):
        assert found[column].is_null().to_pylist() == [False, True, True, False], column
    whole = schema.accepted(found)
    assert schema.dense(whole["broken"], 3).tolist() == [[0, 1, 2], [9, 10, 11]]
    alone = ExtractFeatures([Spec("region_vae")], ExtractorNetworks(model))(table)
    np.testing.assert_array_equal(
        schema.dense(whole["global_mu"], CONFIG.global_dim),
        schema.dense(alone["global_mu"], CONFIG.global_dim)[[0, 3]],
    )


def test_a_face_without_keypoints_loses_only_the_vectors_that_need_them(tmp_path) -> None:
    model = write_model(str(tmp_path / "model"), tiny_model())
    rows = [face_row("h0", "human", 0), face_row("h1", "human", 1) | {"keypoints": None}]
    found = ExtractFeatures([Spec("region_vae")], ExtractorNetworks(model))(
        pa.Table.from_pylist(rows, schema=schema.FACES)
    )
    assert found["reject"].null_count == 2 and found["regions_mu"].null_count == 0


def broken(rows: pa.Table, value: float | None, at: int = BAD) -> pa.Table:
    """Return features of which one face has no vector, or one number that is not finite."""
    codes = rows["regions_mu"].to_pylist()
    codes[at] = None if value is None else [value, *codes[at][1:]]
    field = rows.schema.field("regions_mu")
    return rows.set_column(rows.schema.get_field_index("regions_mu"), field, pa.array(codes, field.type))


VALUES = pytest.mark.parametrize("value", [None, float("nan"), float("inf")], ids=["null", "nan", "inf"])


@VALUES
def test_whole_rows_are_those_that_are_there_and_finite(value: float | None) -> None:
    rows = broken(feature_rows(NAMES, 0), value)
    assert schema.whole(rows, "regions_mu")["face_id"].to_pylist() == [n for i, n in enumerate(NAMES) if i != BAD]
    sliced = rows.slice(BAD - 1, 3)
    assert schema.is_whole(sliced["regions_mu"]).tolist() == [True, False, True]
    half = rows.schema.field("regions_mu").with_type(pa.list_(pa.float16(), DIM * len(REGIONS)))
    assert not schema.is_whole(rows["regions_mu"].cast(half.type))[BAD]
    filled = schema.filled(rows["regions_mu"], len(REGIONS), DIM)
    assert not np.isfinite(filled[BAD]).all() and np.isfinite(np.delete(filled, BAD, 0)).all()


@VALUES
def test_a_bank_names_the_face_without_a_finite_vector(value: float | None) -> None:
    rows = broken(feature_rows(NAMES, 0), value)
    columns = schema.bank(DIM, "m" * 64)
    with pytest.raises(UserError, match=rf"finite vector each, got none of 1 of 12, first {NAMES[BAD]}"):
        bank_rows(rows, columns, Alignment.identity(DIM))


def test_one_code_that_is_not_finite_leaves_the_alignment_as_it_is_without_it() -> None:
    rng = np.random.default_rng(0)
    groups = {name: rng.normal(size=(6, len(REGIONS), DIM)) for name in ("human", "cat")}
    expected = fit_alignment({**groups, "cat": np.delete(groups["cat"], 2, 0)}.items())
    groups["cat"][2, 1, 0] = np.nan
    found = fit_alignment(groups.items())
    assert found is not None and expected is not None
    for domain in ("human", "animal"):
        np.testing.assert_array_equal(found.mean[domain], expected.mean[domain])
        np.testing.assert_array_equal(found.std[domain], expected.std[domain])


@VALUES
def test_an_animal_without_a_finite_vector_is_no_characteristic_one(value: float | None, tmp_path) -> None:
    rows = broken(feature_rows(NAMES, 0), value)
    candidates = dict(zip(rows["face_id"].to_pylist(), rows["species"].to_pylist(), strict=True))
    features = write_features(tmp_path / "features", rows)
    found = characteristic(features, candidates, Alignment.identity(DIM), 0)
    assert sorted(found) == sorted(set(NAMES) - {NAMES[BAD]})


@VALUES
def test_a_search_answers_all_rows_but_the_one_without_a_finite_vector(value: float | None) -> None:
    rows = feature_rows(NAMES, 0)
    bank = BankIndex(bank_rows(rows, schema.bank(DIM, "m" * 64), Alignment.identity(DIM)))

    class Bank:
        alignment = Alignment.identity(DIM)

        def search_regions(self, queries, k, species="", **options):
            options.pop("allow_partial")
            return {region: bank.search(asked, region, k, species, **options) for region, asked in queries.items()}

    search = SearchBank(Bank(), 2, exclude_self=False)
    expected, found = search(rows), search(broken(rows, value))
    for region in REGIONS:
        for column in (f"{region}_ids", f"{region}_scores"):
            answers = found[column].to_pylist()
            assert answers.pop(BAD) is None
            wanted = expected[column].to_pylist()
            del wanted[BAD]
            assert answers == wanted
    assert found["nose_ids"][0].as_py()[0] == f"{NAMES[0]}/nose" and not any(found["partial"].to_pylist())
