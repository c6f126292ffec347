"""What serving answers is what the table holds."""

import numpy as np
import pytest

from rupantara.features.affinities import Affinities
from tests import affinities
from tests.banks import SPECIES


def test_answers_equal_the_rows_of_the_table() -> None:
    codes = affinities.codes(0)
    file = affinities.reference_file(codes)
    people = codes["human"][:4]
    domains = np.array(["human"] * 4, object)
    rows = affinities.mapping(file).map_codes(list("abcd"), people, domains)[0].to_pylist()
    answer = Affinities(file.reference("pooled"), file.spaces.space("pooled"))
    found = answer.of_features(people, ["human"] * 4)
    assert answer.space[0] == "pooled" and answer.species == tuple(SPECIES)
    wanted = [row for row in rows if row["species"] != "people"]
    flat = [one for face in found for one in face]
    assert len(flat) == len(wanted) == 4 * 5 * 3
    for one, row in zip(flat, wanted, strict=True):
        assert (one.region, one.species, list(one.best_ids)) == (row["region"], row["species"], row["best_ids"])
        for name in ("mean", "best", "percentile_95", "probability", "person_probability"):
            assert getattr(one, name) == pytest.approx(row[name], abs=1e-6)


def test_an_animal_of_the_bank_is_not_its_own_nearest() -> None:
    codes = affinities.codes(0)
    file = affinities.reference_file(codes)
    answer = Affinities(file.reference("raw"), file.spaces.space("raw"))
    face = answer.of_features(codes["cat"][:1], ["animal"], face_ids=["cat0"])[0]
    assert all("cat0" not in one.best_ids for one in face)
    nose = {one.species: one.probability for one in face if one.region == "nose"}
    assert max(nose, key=lambda name: nose[name]) == "cat"
