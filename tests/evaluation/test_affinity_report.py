"""The report's numbers equal a recomputation of the finished table by pandas, and its page needs nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rupantara.evaluation import affinity_report
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.affinity_summary import OVERALL, ROWS
from rupantara.reports.reverse_mapping import drawings, sentences
from rupantara.reports.reverse_mapping.numbers import QUANTILES, Numbers, numbers
from tests import affinities
from tests.banks import SPECIES
from tests.in_process import in_this_process


@pytest.fixture(scope="module")
def affinity(tmp_path_factory: pytest.TempPathFactory) -> str:
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch)
        return affinities.affinity_job(tmp_path_factory.mktemp("affinity"))


@pytest.fixture(scope="module")
def n(affinity: str) -> Numbers:
    return numbers(affinity_report.results(affinity))


@pytest.fixture(scope="module")
def rows(affinity: str) -> pd.DataFrame:
    return affinities.read_rows(affinity).to_pandas().astype({"region": str, "species": str})


def _means(rows: pd.DataFrame, column: str) -> pd.Series:
    by = rows.groupby(["region", "species"])[column].mean()
    overall = by.groupby("species").mean()
    overall.index = pd.MultiIndex.from_product([[OVERALL], overall.index])
    return pd.concat([by, overall])


def test_every_mean_equals_the_table(n: Numbers, rows: pd.DataFrame) -> None:
    assert n.faces == rows["face_id"].nunique() == 60
    for column in ("mean", "best", "percentile_95", "probability", "person_probability"):
        wanted = _means(rows, column)
        for row in n.of("species", space=n.first):
            assert row[column] == pytest.approx(wanted[row["region"], row["species"]], abs=1e-6)
    place = _means(rows, "probability")
    for region in ROWS:
        ranked = place[region].drop("people", errors="ignore").sort_values(ascending=False)
        found = {row["species"]: row["place"] for row in n.of("species", space=n.first, region=region)}
        assert found == {name: i + 1 for i, name in enumerate(ranked.index)}


def test_what_figures_draw_equals_the_table(n: Numbers, rows: pd.DataFrame) -> None:
    wanted = _means(rows, "probability")
    # Heat map, scatter, stacked bars, radar and ranking read this grid.
    grid = n.grid("species", "probability", space=n.first)
    np.testing.assert_allclose(grid, [[wanted[r, s] for s in SPECIES] for r in ROWS], atol=1e-6)
    bars = drawings.stacked(n).axes[0].patches
    for i, s in enumerate(sorted(range(len(SPECIES)), key=lambda s: -grid[-1, s])):
        widths = [patch.get_width() for patch in bars[i :: len(SPECIES)]]
        np.testing.assert_allclose(widths, [wanted[r, SPECIES[s]] / 5 for r in REGIONS], atol=1e-6)
    texts = [t.get_text() for t in drawings.heat_map(n).axes[0].texts]
    assert [float(t.split()[0]) for t in texts] == [round(float(v), 2) for v in grid.ravel()]


def test_boxes_are_within_the_stated_error(n: Numbers, rows: pd.DataFrame) -> None:
    for row in n.of("boxes", space=n.first):
        values = rows[(rows["region"] == row["region"]) & (rows["species"] == row["species"])][row["measure"]]
        for q in QUANTILES:
            exact = np.quantile(values, q, method="inverted_cdf")
            assert abs(row[f"q{round(100 * q):02d}"] - exact) <= row["error"] + 1e-6


def test_groups_equal_the_table_and_their_differences_too(n: Numbers, rows: pd.DataFrame) -> None:
    # The faces table gives sexes a and b in turn over all rows, animals first.
    number = {f"human{i:03d}": 75 + i for i in range(60)}
    sex = rows["face_id"].map(lambda name: "ab"[number[name] % 2])
    groups = {value: _means(rows[sex == value], "probability") for value in "ab"}
    for row in n.tables["groups"]:
        if row["group"] != "all":
            value = groups[row["group"].removeprefix("sex=")][row["region"], row["species"]]
            assert row["probability"] == pytest.approx(value, abs=1e-6) and row["faces"] == 30
    for row in n.tables["differences"]:
        assert (row["first"], row["second"]) == ("sex=a", "sex=b")
        key = (row["region"], row["species"])
        assert row["difference"] == pytest.approx(groups["a"][key] - groups["b"][key], abs=1e-6)
        assert row["low"] <= row["difference"] <= row["high"] and 0 < row["p"] <= 1


def test_the_planted_likeness_is_in_the_first_sentences(n: Numbers) -> None:
    assert "people are nearest to fox" in sentences.headline(n)
    eyes = re.search(r"eyes (\w+) \((0\.\d\d)\)", sentences.by_region(n))
    assert eyes is not None and eyes[1] == "fox" and float(eyes[2]) > 0.7
    row = n.of("species", space=n.first, region="eyes", species="fox")[0]
    assert row["rank_least"] == row["rank_greatest"] == 1 and row["label_p"] < 0.05


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.outside: list[str] = []
        self.plots, self.ids = 0, []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.plots += tag == "svg" and given.get("role") == "img"
        self.ids += [given["id"]] if given.get("id") else []
        self.outside += [v for k, v in attrs if k in ("src", "href") and v and not v.startswith(("#", "data:"))]


def test_the_page_stands_alone(affinity: str, n: Numbers) -> None:
    text = Path(affinity, "report.html").read_text()
    page = _Page()
    page.feed(text)
    assert not page.outside and len(text) < 8e6 and "<script" not in text
    assert len(page.ids) == len(set(page.ids)), "ids of inline figures must not collide"
    figures = sorted(p.stem for p in Path(affinity, "figures").glob("*.svg"))
    assert page.plots == len(figures) >= 9
    assert figures == sorted(p.stem for p in Path(affinity, "figures").glob("*.png"))
    for name, table in n.tables.items():
        if table:
            read = pd.read_parquet(Path(affinity, "tables", f"{name}.parquet"))
            assert len(read) == len(table) == len(pd.read_csv(Path(affinity, "tables", f"{name}.csv")))


def test_orderings_say_where_they_hold(n: Numbers) -> None:
    for row in n.tables["orderings"]:
        holds = [name for name in ("pooled", "raw", "within") if row[f"p_{name}"] <= 0.05]
        assert row["holds_in"].split() == holds and row["holds_in_all"] == (len(holds) == 3)
    assert "spaces" in sentences.over_spaces(n)
