"""Sharded search equals one exact index, whatever the shards, filters and ties."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara import schema
from rupantara.bank.affinity import (
    PERCENTILE,
    mean_affinity,
    percentile_of_counts,
    percentile_of_top,
    species_means,
    top_needed,
)
from rupantara.bank.alignment import ANIMAL, Alignment
from rupantara.bank.hits import merge_hits, merge_views
from rupantara.bank.index import BINS, BankIndex
from rupantara.bank.rows import bank_rows, select_shard
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit

DIM = 8
COLUMNS = schema.bank(DIM, "test")
RAW = Alignment.identity(DIM)
SPECIES = ("cat", "dog", "fox")


def features(faces: int, seed: int, duplicates: bool) -> pa.Table:
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(faces, len(REGIONS), DIM)).astype(np.float32)
    if duplicates:
        codes = codes[rng.integers(0, max(1, faces // 3), faces)]
    return pa.table(
        {
            "face_id": [f"{rng.integers(1 << 60):016x}-{i}" for i in range(faces)],
            "species": [SPECIES[i] for i in rng.integers(0, len(SPECIES), faces)],
            "regions_mu": schema.vector_array(codes),
        }
    )


def brute_force(rows: pa.Table, queries: np.ndarray, region: str, k: int, species: str) -> list[list[str]]:
    kept = [r for r in rows.to_pylist() if r["region"] == region and (not species or r["species"] == species)]
    out = []
    for query in queries:
        scored = [
            (-np.float32(np.dot(query.astype(np.float64), np.array(r["vector"], np.float64))), r["feature_id"])
            for r in kept
        ]
        out.append([name for _, name in sorted(scored)[:k]] + [""] * (k - len(kept)))
    return out


@settings(max_examples=60, deadline=None)
@given(
    faces=st.integers(1, 60),
    shards=st.integers(1, 5),
    k=st.integers(1, 70),
    species=st.sampled_from(("", *SPECIES)),
    duplicates=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_shards_together_answer_like_a_sorted_scan(faces, shards, k, species, duplicates, seed):
    table = features(faces, seed, duplicates)
    queries, _ = unit(np.random.default_rng(seed + 1).normal(size=(3, DIM)))
    parts = [bank_rows(select_shard(table, i, shards), COLUMNS, RAW) for i in range(shards)]
    found = merge_hits([BankIndex(part).search(queries, "nose", k, species) for part in parts], k)
    expected = brute_force(bank_rows(table, COLUMNS, RAW), queries, "nose", k, species)
    assert found.ids.tolist() == expected
    assert np.isneginf(found.scores[found.ids == ""]).all()


@settings(max_examples=40, deadline=None)
@given(
    faces=st.integers(1, 50),
    shards=st.integers(1, 4),
    k=st.integers(1, 60),
    species=st.sampled_from(("", "dog")),
    duplicates=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_excluded_faces_are_not_found_and_all_others_are(faces, shards, k, species, duplicates, seed):
    table = features(faces, seed, duplicates)
    names = table["face_id"].to_pylist()
    exclude = [names[0], "", names[-1]]
    queries, _ = unit(np.random.default_rng(seed + 1).normal(size=(3, DIM)))
    parts = [BankIndex(bank_rows(select_shard(table, i, shards), COLUMNS, RAW)) for i in range(shards)]
    found = merge_hits([p.search(queries, "eyes", k, species, exclude=exclude, vectors=False) for p in parts], k)
    for i, gone in enumerate(exclude):
        rest = table.filter(pa.array([name != gone for name in names]))
        rows = bank_rows(rest, COLUMNS, RAW)
        assert found.ids[i].tolist() == brute_force(rows, queries[i : i + 1], "eyes", k, species)[0]
    assert found.vectors.shape[1] == 0


@settings(max_examples=40, deadline=None)
@given(
    faces=st.integers(1, 50),
    shards=st.integers(1, 4),
    k=st.integers(1, 20),
    duplicates=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_whole_faces_are_ranked_by_the_weighted_mean_over_regions(faces, shards, k, duplicates, seed):
    table = features(faces, seed, duplicates)
    rng = np.random.default_rng(seed + 1)
    queries = {region: unit(rng.normal(size=(2, DIM)))[0].astype(np.float32) for region in ("eyes", "mouth")}
    weights = {"eyes": 3.0, "mouth": 1.0}
    parts = [BankIndex(bank_rows(select_shard(table, i, shards), COLUMNS, RAW)) for i in range(shards)]
    found = merge_hits([part.search_faces(queries, weights, k) for part in parts], k)
    rows = bank_rows(table, COLUMNS, RAW).to_pylist()
    for i in range(2):
        total: dict[str, float] = {}
        for row in rows:
            if row["region"] in weights:
                cosine = np.dot(queries[row["region"]][i].astype(np.float64), np.array(row["vector"], np.float64))
                total[row["face_id"]] = total.get(row["face_id"], 0.0) + weights[row["region"]] / 4 * float(cosine)
        expected = sorted(((-np.float32(value), name) for name, value in total.items()))[:k]
        got = [name for name in found.ids[i] if name]
        assert len(got) == len(expected)
        np.testing.assert_allclose(found.scores[i, : len(got)], [-value for value, _ in expected], atol=1e-6)
        if not duplicates:
            assert got == [name for _, name in expected]


def test_weights_and_queries_that_say_nothing_are_named():
    index = BankIndex(bank_rows(features(4, 1, False), COLUMNS, RAW))
    ones = unit(np.ones((1, DIM)))[0].astype(np.float32)
    for weights, message in (
        ({"eyes": -1.0}, "must not be negative"),
        ({"nose": 1.0}, "have queries"),
        ({"eyes": 0.0}, "sum above 0"),
    ):
        with pytest.raises(ValueError, match=message):
            index.search_faces({"eyes": ones}, weights, 1)
    with pytest.raises(ValueError, match="region must be one of"):
        index.search(ones, "tail", 1)
    with pytest.raises(ValueError, match=r"queries must be \[n, 8\], got \[1, 4\]"):
        index.search(ones[:, :4], "eyes", 1)
    with pytest.raises(ValueError, match="must be finite"):
        index.search(ones * np.nan, "eyes", 1)
    with pytest.raises(ValueError, match="for each of 1 queries, got 2"):
        index.search(ones, "eyes", 1, exclude=["a", "b"])


def test_a_face_without_all_its_regions_is_refused():
    rows = bank_rows(features(4, 1, False), COLUMNS, RAW)
    with pytest.raises(UserError, match="each face in every region once"):
        BankIndex(rows.slice(1))


def test_histograms_add_up_over_shards_and_tell_the_percentile():
    table = features(300, 2, False)
    queries, _ = unit(np.random.default_rng(1).normal(size=(4, DIM)).astype(np.float32))
    whole = BankIndex(bank_rows(table, COLUMNS, RAW))
    parts = [BankIndex(bank_rows(select_shard(table, i, 3), COLUMNS, RAW)) for i in range(3)]
    counts = whole.histogram(queries, "nose", "dog")
    assert (sum(part.histogram(queries, "nose", "dog") for part in parts) == counts).all()
    rows = [r for r in bank_rows(table, COLUMNS, RAW).to_pylist() if (r["region"], r["species"]) == ("nose", "dog")]
    product = queries @ np.array([r["vector"] for r in rows], np.float32).T
    assert (counts.sum(1) == len(rows)).all()
    expected = np.percentile(product, 100 * PERCENTILE, axis=1, method="inverted_cdf")
    np.testing.assert_allclose(percentile_of_counts(counts), expected, atol=2 / BINS)


@settings(max_examples=40, deadline=None)
@given(
    faces=st.integers(1, 40),
    views=st.integers(1, 3),
    k=st.integers(1, 50),
    duplicates=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_views_together_give_each_id_once_at_its_best_score(faces, views, k, duplicates, seed):
    rows = bank_rows(features(faces, seed, duplicates), COLUMNS, RAW)
    rng, index = np.random.default_rng(seed + 1), BankIndex(rows)
    queries = [unit(rng.normal(size=(3, DIM)))[0] for _ in range(views)]
    found = merge_views([index.search(view, "nose", k) for view in queries], k)
    noses = schema.where(rows, region="nose")
    known = schema.dense(noses["vector"], DIM).astype(np.float64)
    best = np.max([np.float32(view.astype(np.float64) @ known.T) for view in queries], axis=0)
    for row, scores in enumerate(best):
        expected = sorted(zip(-scores, noses["feature_id"].to_pylist(), range(faces), strict=True))[:k]
        kept = len(expected)
        assert found.ids[row].tolist() == [name for _, name, _ in expected] + [""] * (k - kept)
        np.testing.assert_allclose(found.scores[row, :kept], [-score for score, *_ in expected], atol=1e-6)
        np.testing.assert_allclose(found.vectors[row, :kept], known[[at for *_, at in expected]], atol=1e-6)
        assert np.isneginf(found.scores[row, kept:]).all()


def test_one_view_is_the_search_itself_and_more_views_never_lower_a_score():
    index = BankIndex(bank_rows(features(30, 8, True), COLUMNS, RAW))
    first, second = (
        index.search(unit(drawn)[0], "ears", 5) for drawn in np.random.default_rng(2).normal(size=(2, 4, DIM))
    )
    alone, both = merge_views([first], 5), merge_views([first, second], 5)
    assert (alone.ids == first.ids).all() and (alone.scores == first.scores).all()
    assert (both.scores >= first.scores).all() and (both.scores >= second.scores).all()
    assert (merge_views([second, first], 5).ids == both.ids).all()


def test_every_face_is_in_exactly_one_shard():
    table = features(200, 3, False)
    parts = [select_shard(table, i, 7)["face_id"].to_pylist() for i in range(7)]
    assert sorted(i for part in parts for i in part) == sorted(table["face_id"].to_pylist())
    assert min(len(p) for p in parts) > 10


def test_the_code_that_went_in_comes_out():
    table = features(10, 5, False)
    codes = schema.dense(table["regions_mu"], len(REGIONS), DIM)
    queries, _ = unit(codes[:, 1])
    hits = BankIndex(bank_rows(table, COLUMNS, RAW)).search(queries, "nose", 1)
    assert [i.split("/")[0] for i in hits.ids[:, 0]] == table["face_id"].to_pylist()
    np.testing.assert_allclose(hits.codes[:, 0], codes[:, 1], rtol=1e-5)


def test_the_aligned_code_is_stored_and_the_raw_one_comes_back():
    rng = np.random.default_rng(4)
    mean, std = ({d: rng.uniform(0.5, 2, (5, DIM)).astype(np.float32) for d in ("human", ANIMAL)} for _ in range(2))
    space, table = Alignment(mean, std), features(6, 5, False)
    codes = schema.dense(table["regions_mu"], len(REGIONS), DIM)
    rows = bank_rows(table, COLUMNS, space)
    for row in rows.to_pylist():
        at, region = table["face_id"].to_pylist().index(row["face_id"]), REGIONS.index(row["region"])
        raw = codes[at, region]
        aligned = np.array(row["vector"]) * row["norm"]
        np.testing.assert_allclose(aligned, (raw - mean[ANIMAL][region]) / std[ANIMAL][region], atol=1e-5)
        np.testing.assert_allclose(space.restore(aligned, ANIMAL, row["region"]), raw, atol=1e-5)
        assert (row["mean"], row["std"]) == (np.float32(raw.mean()), np.float32(raw.std()))


def test_mean_and_percentile_affinity_equal_the_full_product():
    rows = bank_rows(features(90, 7, False), COLUMNS, RAW)
    queries, _ = unit(np.random.default_rng(1).normal(size=(6, DIM)))
    index = BankIndex(rows)
    names, means, counts = species_means([index.moments()], "mouth")
    for i, name in enumerate(names):
        part = [r["vector"] for r in rows.to_pylist() if r["region"] == "mouth" and r["species"] == name]
        product = queries.astype(np.float64) @ np.array(part, np.float64).T
        np.testing.assert_allclose(mean_affinity(queries, means)[:, i], product.mean(1), atol=1e-6)
        top = index.search(queries, "mouth", top_needed(int(counts[i])), name).scores
        expected = np.percentile(product, 100 * PERCENTILE, axis=1)
        np.testing.assert_allclose(percentile_of_top(top, int(counts[i])), expected, atol=1e-6)
