"""Affinity of faces: rows equal a plain recomputation, sums do not hang on the partition, and a planted likeness is found and named."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara.bank.face_groups import Groups
from rupantara.metrics.affinity_summary import COSINE, MEMBER, PROBABILITY, ROWS, Members, label_test, rank
from rupantara.metrics.affinity_sums import ALL, AffinitySums
from rupantara.metrics.hashed_weights import poisson_weights
from rupantara.stages.affinity import FACE, MapAffinity, MapOptions, own_species
from tests import affinities
from tests.banks import SPECIES

HUMAN = np.array(["human"] * 60, object)
IDS = [f"human{i:03d}" for i in range(60)]


@pytest.fixture(scope="module")
def file() -> affinities.ReferenceFile:
    return affinities.reference_file(affinities.codes(0))


def test_rows_equal_a_plain_recomputation(file: affinities.ReferenceFile) -> None:
    people = affinities.codes(0)["human"][20:30]
    stage, ref = affinities.mapping(file), file.reference("pooled")
    rows = stage.map_codes(IDS[:10], people, HUMAN[:10])[0].to_pandas()
    units = file.spaces.space("pooled").units(people, "human")
    for (face, region, species), found in rows.groupby(["face_id", "region", "species"], observed=True):
        r = ROWS.index(region)
        cosines = {g: ref.vectors[r, ref.group == i] @ units[IDS.index(face), r] for i, g in enumerate(ref.groups)}
        here, row = cosines[species], found.iloc[0]
        assert row["mean"] == pytest.approx(here.mean(), abs=1e-5)
        assert row["best"] == pytest.approx(here.max(), abs=1e-6)
        assert row["percentile_95"] == pytest.approx(np.percentile(here, 95), abs=1e-5)
        others = [c for g, c in cosines.items() if g not in (species, "people")]
        nearer = np.mean([(here[:, None] > other).mean() for other in others])
        assert row["probability"] == pytest.approx(nearer, abs=1e-6)
        if species != "people":
            assert row["person_probability"] == pytest.approx((here[:, None] > cosines["people"]).mean(), abs=1e-6)
        np.testing.assert_allclose(row["best_scores"], np.sort(here)[::-1][:3], atol=1e-6)
        assert len(row["best_ids"]) == 3 and all(
            i.startswith("other" if species == "people" else species) for i in row["best_ids"]
        )


@pytest.mark.parametrize("value", [None, float("nan")], ids=["null", "nan"])
def test_a_face_without_a_finite_vector_has_no_row_and_changes_no_other(value: float | None, file) -> None:
    stage = affinities.mapping(file)
    rows = affinities.features_of(affinities.codes(0), ["human"]).slice(0, 6)
    codes = rows["region_features"].to_pylist()
    codes[2] = None if value is None else [value, *codes[2][1:]]
    field = rows.schema.field("region_features")
    broken = rows.set_column(rows.schema.get_field_index("region_features"), field, pa.array(codes, field.type))
    whole = stage(rows)
    assert stage(broken).equals(whole.filter(pc.field("face_id") != rows["face_id"][2].as_py()))


@settings(deadline=None, max_examples=8)
@given(st.lists(st.integers(0, 60), max_size=5), st.randoms(use_true_random=False))
def test_sums_do_not_hang_on_the_partition(cuts: list[int], random: object) -> None:
    file, people = affinities.reference_file(affinities.codes(0)), affinities.codes(0)["human"]
    groups = Groups({i: f"who{n // 2}" for n, i in enumerate(IDS)}, {i: (f"sex={n % 2}",) for n, i in enumerate(IDS)})
    stage = affinities.mapping(file)
    whole = stage.map_codes(IDS, people, HUMAN, groups)[1]
    order = list(range(60))
    random.shuffle(order)
    parts = [np.array(p) for p in np.split(np.array(order), sorted(cuts)) if len(p)]
    sums: AffinitySums | None = None
    for part in parts:
        one = stage.map_codes([IDS[i] for i in part], people[part], HUMAN[part], groups)[1]
        one = AffinitySums.from_arrays(one.arrays("pooled"), "pooled")
        sums = one if sums is None else sums.merge(one)
    assert sums is not None and sorted(sums.groups) == ["all", "sex=0", "sex=1"]
    members = members_of(file)
    for group in sums.groups:
        # Weights are whole numbers, and so their sums are equal to the bit.
        assert sums.groups[group].weight.tobytes() == whole.groups[group].weight.tobytes()
        a, b = (rank(one, members, PROBABILITY, group) for one in (sums, whole))
        for name in ("mean", "low", "high"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), atol=1e-9)
    assert sums.cosines.counts.tobytes() == whole.cosines.counts.tobytes()
    np.testing.assert_allclose(sums.placements, whole.placements, atol=1e-9)


def members_of(file: affinities.ReferenceFile, space: str = "pooled") -> Members:
    ref = file.reference(space)
    return Members(space, ref.groups, ref.people, ref.ids, ref.group)


@pytest.mark.parametrize("space", ["raw", "pooled", "within"])
def test_a_planted_likeness_is_found_and_named_and_nothing_is_where_none_is(space: str) -> None:
    for planted, found in ((1.5, True), (0.0, False)):
        codes = affinities.codes(7, planted=planted)
        # Without what is planted people are drawn about the species' common middle, so that no species is nearer in the eyes.
        if not planted:
            middle = np.mean([codes[name].mean(0) for name in SPECIES], axis=0)
            codes["human"] += middle - codes["human"].mean(0)
        file = affinities.reference_file(codes)
        sums = affinities.mapping(file, space).map_codes(IDS, codes["human"], HUMAN)[1]
        ranking = rank(sums, members_of(file, space), PROBABILITY)
        test = label_test(sums, members_of(file, space))
        fox, eyes = SPECIES.index("fox"), 0
        first = ranking.ranks[eyes].least[fox] == ranking.ranks[eyes].greatest[fox] == 1
        assert bool(first and test.corrected[eyes, fox] < 0.05) == found, (space, planted)
        if found:
            assert ranking.mean[eyes, fox] > 0.7


def test_linearised_intervals_are_those_of_the_exact_product_bootstrap(file: affinities.ReferenceFile) -> None:
    """Each draw weighs faces and animals by the same hashed weights, and computes cosines and probabilities of all pairs anew."""
    people, ref, draws = affinities.codes(0)["human"], file.reference("pooled"), 200
    stage = MapAffinity(ref, file.spaces.space("pooled"), "", MapOptions(replicates=draws))
    sums = stage.map_codes(IDS, people, HUMAN)[1]
    units = file.spaces.space("pooled").units(people, "human")
    of_faces = poisson_weights(IDS, draws, FACE).T.astype(float)
    of_members = poisson_weights(ref.ids, draws, MEMBER).T.astype(float)
    parts = [np.flatnonzero(ref.group == s) for s in range(len(SPECIES))]
    exact = np.zeros((draws, 5, len(SPECIES), 2))
    for r in range(5):
        cosines = units[:, r] @ ref.vectors[r].T
        for d in range(draws):
            w = of_faces[d] / of_faces[d].sum()
            v = [of_members[d, at] / of_members[d, at].sum() for at in parts]
            for s, at in enumerate(parts):
                exact[d, r, s, 0] = w @ cosines[:, at] @ v[s]
                nearer = [
                    w @ np.einsum("fjk,j,k->f", cosines[:, at, None] > cosines[:, None, other], v[s], v[t])
                    for t, other in enumerate(parts)
                    if t != s
                ]
                exact[d, r, s, 1] = np.mean(nearer)
    for measure in (COSINE, PROBABILITY):
        found = rank(sums, members_of(file), measure)
        low, high = np.quantile(exact[..., measure], [0.025, 0.975], axis=0)
        ratio = (found.high - found.low)[:5] / (high - low)
        # Documented as a little conservative; both are of 200 draws of the same weights.
        assert ratio.min() > 0.85 and ratio.max() < 1.35 and 0.97 < np.median(ratio) < 1.2, (measure, ratio)
        middle = (found.mean[:5] - exact[..., measure].mean(0)) / (high - low)
        assert np.abs(middle).max() < 0.15


def test_a_face_is_not_compared_with_itself_and_a_species_finds_its_own(file: affinities.ReferenceFile) -> None:
    ref = file.reference("pooled")
    rows = affinities.mapping(file).map_units(list(ref.ids[:5]), ref.vectors[:, :5].transpose(1, 0, 2))[0].to_pandas()
    assert not any(row.face_id in row.best_ids for row in rows.itertuples()) and rows["best"].max() < 0.9999
    own = own_species(ref, file.spaces.space("pooled"))
    for s, name in enumerate(SPECIES):
        probability = own.groups[f"species={name}"].mean[:, s, 3]
        assert probability.min() > 0.7 and own.groups[f"species={name}"].count == 25
    assert own.groups[ALL].count == 75


def test_a_part_without_faces_adds_nothing(file: affinities.ReferenceFile) -> None:
    features = affinities.features_of(affinities.codes(0))
    rows, sums = affinities.mapping(file).map(features.slice(0, 0))
    whole = affinities.mapping(file).map(features)[1]
    assert rows.num_rows == 0 and not sums.groups
    assert whole.merge(sums).groups[ALL].count == whole.groups[ALL].count == features.num_rows
