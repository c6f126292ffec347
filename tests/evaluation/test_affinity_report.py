"""The report's numbers equal a recomputation of the finished table by pandas, and its page needs nothing from outside."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rupantara.bank.reference_file import ReferenceFile
from rupantara.evaluation import affinity_report
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.affinity_file import with_others
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


def test_the_other_figures_draw_the_tables_too(n: Numbers, rows: pd.DataFrame) -> None:
    wanted = _means(rows, "probability")
    order = sorted(SPECIES, key=lambda name: -wanted[OVERALL, name])
    points = drawings.scatter(n).axes[0].containers
    for name, drawn in zip(SPECIES, points, strict=True):
        middle, _, (bars,) = drawn.lines
        np.testing.assert_allclose(middle.get_ydata(), [wanted[r, name] for r in ROWS], atol=1e-6)
        found = [n.of("species", space=n.first, region=r, species=name)[0] for r in ROWS]
        ends = [[row["probability_low"], row["probability_high"]] for row in found]
        np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], ends, atol=1e-9)
        assert all(row["probability_low"] < row["probability"] < row["probability_high"] for row in found)
    for name, line in zip(order, drawings.radar(n).axes[0].lines, strict=False):
        np.testing.assert_allclose(line.get_ydata()[:-1], [wanted[r, name] for r in REGIONS], atol=1e-6)
    panel = drawings.ranking(n).axes[0]
    for name, line, text in zip(order, panel.lines[1::2], panel.texts, strict=False):
        row = n.of("species", space=n.first, region=OVERALL, species=name)[0]
        assert float(line.get_xdata()[0]) == pytest.approx(wanted[OVERALL, name], abs=1e-6)
        said = f"rank {row['rank_least']}" + ("" if row["rank_least"] == row["rank_greatest"] else " to ")
        assert text.get_text().startswith(said)
    for name, line in zip(SPECIES, drawings.spaces(n).axes[0].lines, strict=False):
        assert line.get_ydata()[0] == order.index(name) + 1


def test_species_against_species_equals_all_pairs(affinity: str, n: Numbers) -> None:
    file = next(Path(affinity, "reference").glob("*-members.npz"))
    ref = ReferenceFile.from_bytes(file.read_bytes()).reference(n.first)
    shown = [float(t.get_text()) for t in drawings.own(n).axes[0].texts]
    found = []
    for a in range(len(SPECIES)):
        cells = np.zeros((len(REGIONS), len(SPECIES)))
        for r in range(len(REGIONS)):
            inside = np.flatnonzero(ref.group == a)
            for animal in inside:
                cosines = ref.vectors[r] @ ref.vectors[r, animal]
                there = np.arange(len(ref.ids)) != animal
                parts = [cosines[there & (ref.group == s)] for s in range(len(SPECIES))]
                for s, part in enumerate(parts):
                    others = [(part[:, None] > other).mean() for t, other in enumerate(parts) if t != s]
                    cells[r, s] += np.mean(others) / len(inside)
        found.append(cells.mean(0))
    table = n.of("calibration", region=OVERALL)
    for a, name in enumerate(SPECIES):
        rows = {row["species"]: row["probability"] for row in table if row["faces"] == name}
        np.testing.assert_allclose([rows[s] for s in SPECIES], found[a], atol=1e-6)
    np.testing.assert_allclose(shown, np.ravel(found), atol=0.0051)


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


def _figure(page: str, name: str, table: int = 0) -> pd.DataFrame:
    """Read the numbers under a figure off the page."""
    figure = page[page.index(f'id="figure-{name}"') :].partition("</figure>")[0]
    found = re.findall(r"<table>.*?</table>", figure, re.DOTALL)[table]
    lines = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", line, re.DOTALL) for line in found.split("<tr>")[1:]]
    frame = pd.DataFrame(lines[1:], columns=lines[0])
    numbers = [name for name in frame if frame[name].str.fullmatch(r"-?[\d.]+").all()]
    return frame.astype(dict.fromkeys(numbers, float))


def test_the_report_alone_answers_the_questions_of_the_key(affinity: str, n: Numbers, rows: pd.DataFrame) -> None:
    """The key is computed from the table by pandas, each answer is read off the page: three questions, and one a figure."""
    page = Path(affinity, "report.html").read_text()
    said = re.sub(r"<[^>]+>", " ", page.partition("<nav>")[0])
    place, cosine = _means(rows, "probability"), rows.groupby(["region", "species"])["mean"]
    animals = place.drop("people", level=1, errors="ignore")
    regional = animals.drop(OVERALL)
    table = pd.read_parquet(Path(affinity, "tables/species.parquet"))
    first = table[(table["space"] == "pooled") & (table["region"] == OVERALL)].set_index("species")
    best = animals[OVERALL].idxmax()
    # Which animal, which region, how sure?
    assert re.search(r"people are nearest to (\w+)", said)[1] == best
    assert re.search(r"strongest likeness is of (\w+) to (\w+)", said).groups() == regional.idxmax()
    ranks = sentences.rank_words(first.loc[best, "rank_least"], first.loc[best, "rank_greatest"])
    assert f"probability {animals[OVERALL, best]:.2f}" in said
    assert re.search(rf"it ranks (somewhere from )?{ranks}\b", said)
    # Heat map: which species is nearest in the mouth? Scatter: which are surely nearer than 0.5 in the eyes?
    shown = _figure(page, "heat_map").set_index(["region", "species"])["probability"]
    assert shown["mouth"].idxmax() == animals["mouth"].idxmax()
    ends = _figure(page, "scatter").set_index(["region", "species"])
    low = table[(table["space"] == "pooled") & (table["region"] == "eyes")].set_index("species")["probability_low"]
    assert set(ends.loc["eyes"].query("probability_low > 0.5").index) == set(low[low > 0.5].index) == {"fox"}
    # Stacked bars: which region gives most to the fox's mean? Radar: where does the dog reach farthest?
    for name, species in (("stacked", "fox"), ("radar", "dog")):
        shown = (
            _figure(page, name).query("species == @species and region != @OVERALL").set_index("region")["probability"]
        )
        assert shown.idxmax() == regional[:, species].idxmax()
    # Ranking: who is last, and what ranks may it have?
    last = _figure(page, "ranking").set_index("species").sort_values("place").iloc[-1]
    assert last.name == animals[OVERALL].idxmin()
    assert list(last[["rank_least", "rank_greatest"]]) == list(first.loc[last.name, ["rank_least", "rank_greatest"]])
    # Boxes: what cosine to the cat do half of all noses exceed?
    median = _figure(page, "boxes").set_index(["region", "species"]).loc[("nose", "cat")]
    exact = cosine.quantile(0.5, interpolation="lower")["nose", "cat"]
    assert abs(median["q50"] - exact) <= median["error"] + 0.0006
    # Spaces: who is first by raw features? Species against species: does a fox find foxes?
    shown = _figure(page, "spaces").query("space == 'raw' and place == 1")["species"].item()
    assert shown == table.query("space == 'raw' and region == @OVERALL and place == 1")["species"].item()
    own = _figure(page, "species_own").query("faces == 'fox'").set_index("species")["probability"]
    found = n.of("calibration", faces="fox", species="fox", region=OVERALL)[0]["probability"]
    assert own.idxmax() == "fox" and own["fox"] == pytest.approx(found, abs=6e-4)
    # Groups: how much nearer to the fox are the eyes of one sex?
    number = {f"human{i:03d}": 75 + i for i in range(60)}
    eyes = rows[(rows["region"] == "eyes") & (rows["species"] == "fox")]
    sexes = eyes.groupby(eyes["face_id"].map(lambda name: "ab"[number[name] % 2]))["probability"].mean()
    shown = _figure(page, "group_sex_a_sex_b").set_index(["region", "species"])["difference"]
    assert shown["eyes", "fox"] == pytest.approx(sexes["a"] - sexes["b"], abs=6e-4)


def test_orderings_say_where_they_hold(n: Numbers) -> None:
    for row in n.tables["orderings"]:
        holds = [name for name in ("pooled", "raw", "within") if row[f"p_{name}"] <= 0.05]
        assert row["holds_in"].split() == holds and row["holds_in_all"] == (len(holds) == 3)
        if row["region"] == OVERALL:
            halves = {r["species"]: (r["half_1"], r["half_2"]) for r in n.tables["stability"] if r["space"] == "raw"}
            ahead = [a > b for a, b in zip(halves[row["nearer"]], halves[row["than"]], strict=True)]
            assert all(ahead) or not row["holds_in_halves"]
    assert "spaces" in sentences.over_spaces(n)


def test_spaces_of_other_vectors_are_compared_as_well(affinity: str, n: Numbers) -> None:
    both = numbers(with_others(affinity_report.results(affinity), [affinity_report.results(affinity)]))
    assert len(both.tables["spaces"]) == 2 * len(n.tables["spaces"])
    kept = [row for row in both.tables["orderings"] if row["holds_in_all"]]
    assert [(row["nearer"], row["than"]) for row in kept] == [
        (row["nearer"], row["than"]) for row in n.tables["orderings"] if row["holds_in_all"]
    ]
    assert all(row["p_pooled"] == row["p_region_features/pooled"] for row in both.tables["orderings"])
