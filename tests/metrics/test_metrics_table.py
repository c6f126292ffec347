"""What reports gather of a metrics table: the same however it is cut into files, and bounded in memory."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.metrics import frechet, metrics_table
from rupantara.metrics.metrics_table import FaceSample, Group, Mean
from rupantara.reports import comparison, evaluation, generated_metrics, html, inversion
from rupantara.storage import manifest, parquet, tables
from rupantara.storage.recipe import Recipe
from tests.drawn import write_table

FACES = 40
SETTINGS = {"split": "test", "count": 2, "noise": 0.1}


def row(face: int, method: str, kind: str, rng: np.random.Generator, mode: str = "") -> dict:
    vector = rng.normal(size=128)
    who = {
        "face_id": f"f{face:02d}",
        "domain": "human",
        "species": "human",
        "method": method,
        "kind": kind,
        "mode": mode,
    }
    who |= {
        "attributes": [{"name": "sex", "value": str(face % 2)}],
        "squeezenet": rng.normal(size=512).astype(np.float16),
    }
    who |= {"mobilefacenet": (vector / np.linalg.norm(vector)).tolist()}
    if kind != "source":
        measures = ("mse", "psnr", "ssim", "lpips_caffe_squeezenet", "identity", "face_psnr", "nme", "diversity")
        who |= {name: float(rng.uniform(0.1, 1)) for name in measures}
        who |= {"landmark_mse": rng.uniform(size=68).tolist(), "region_control": [None, *rng.uniform(size=4).tolist()]}
    return who


def rows_of(methods: dict[str, str], seed: int = 0) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [row(face, method, kind, rng) for face in range(FACES) for method, kind in methods.items()]


EXTRA = {
    "evaluation": {"size": 64, "pca_components": {"human": 3}},
    "comparison": {
        "methods": {"vanilla": {"latent_dim": 8, "parameters": 9, "ms": 1.0, "seconds": 2.0}},
        **{
            "train_attributes": {"sex": {"0": 5, "1": 7}},
            "faces": FACES,
            "varied": 4,
            "train_faces": 12,
        },
    },
    "inversion": {
        **{"baselines": {"train_faces": 5.0}, "vector": "arcface", "side": 64, "recipes": {}},
        **{"histories": {}, "mean_landmarks": list(range(136))},
    },
    "generated": {"pictures": FACES, "generated": "g", "people": FACES},
}
METHODS = {
    "evaluation": {
        "source": "source",
        "model": "reconstruction",
        "pca": "reconstruction",
        "mean_face": "reconstruction",
    },
    "comparison": {"source": "source", "vanilla": "reconstruction"},
    "inversion": {"source": "source", "full": "inversion", "mean_face": "inversion"},
    "generated": {"source": "source", "generated": "hybrid"},
}
REPORTS = {
    "evaluation": evaluation.section,
    "comparison": comparison.section,
    "inversion": inversion.section,
    "generated": generated_metrics.section,
}


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_is_the_same_however_the_table_is_cut_and_never_holds_it_whole(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = pa.Table.from_pylist(rows_of(METHODS[name]), schema=schema.METRICS)
    pages = []
    for cut in (rows.num_rows, 7):
        uri = str(tmp_path / str(cut))
        parts = [rows.slice(start, cut) for start in range(0, rows.num_rows, cut)]
        write_table(uri, "metrics", parts, Recipe("test", 1, SETTINGS), **EXTRA[name])
        pages.append(html.render(name, [REPORTS[name](uri)]))
    assert pages[0] == pages[1]
    held = []
    monkeypatch.setattr(tables, "read", lambda *args, **named: pytest.fail("the whole table was read"))
    monkeypatch.setattr(tables, "read_file", lambda *args: held.append(parquet.read_file(*args)) or held[-1])
    REPORTS[name](uri)
    assert len(held) >= len(manifest.require(uri, "metrics").data)
    assert max(part.num_rows for part in held) <= 7


@pytest.mark.parametrize("name", REPORTS)
def test_a_report_says_which_judges_were_there(name: str, tmp_path: Path) -> None:
    rows = pa.Table.from_pylist(rows_of(METHODS[name]), schema=schema.METRICS)
    told = {}
    for there, models in {False: {}, True: {"lpips_squeeze": "a1", "mobilefacenet": "b2"}}.items():
        uri = str(tmp_path / str(there))
        write_table(uri, "metrics", [rows], Recipe("test", 1, SETTINGS, models=models), **EXTRA[name])
        told[there] = " ".join(REPORTS[name](uri).paragraphs)
    for there, text in told.items():
        if name != "comparison":
            assert ("Identity was not measured" in text) is not there
            assert ("cosine of MobileFaceNet's" in text) is there
        if name != "generated":
            assert ("heads of LPIPS v0.1" in text) is there


def test_numbers_of_a_group_are_numpy_s(tmp_path: Path) -> None:
    rows = rows_of({"source": "source", "vanilla": "reconstruction"})
    uri = str(tmp_path / "metrics")
    table = pa.Table.from_pylist(rows, schema=schema.METRICS)
    write_table(uri, "metrics", [table.slice(0, 13), table.slice(13)], Recipe("test", 1))
    groups = comparison.groups_of(uri, {"sex": {"0": 1, "1": 1}})
    made, source = groups["vanilla", "reconstruction", ""], groups[comparison.SOURCE]
    own = [one for one in rows if one["method"] == "vanilla"]
    assert made.rows == FACES
    assert made.mean("mse").value == pytest.approx(np.mean([one["mse"] for one in own]), rel=1e-12)
    men = [one["ssim"] for one in own if one["attributes"][0]["value"] == "0"]
    assert made.mean("ssim sex=0").count == len(men)
    half = 1.959964 * np.std(men, ddof=1) / len(men) ** 0.5
    assert made.mean("ssim sex=0").cell(6) == f"{np.mean(men):.6f} ± {half:.6f}"
    sets = [
        np.stack([np.float16(one["squeezenet"]) for one in rows if one["method"] == m]) for m in ("vanilla", "source")
    ]
    wanted = frechet.frechet_distance(*map(frechet.GaussianStats.update, sets))
    assert made.frechet(source) == pytest.approx(wanted, rel=1e-9)
    assert made.kernel(source) == pytest.approx(frechet.kernel_distance(*sets), rel=1e-9)


def test_samples_are_of_the_same_faces_in_every_group_and_no_more_than_asked() -> None:
    ids = [f"f{i}" for i in range(1000)]
    vectors = np.arange(1000.0)[:, None]
    whole, cut = FaceSample(50), FaceSample(50)
    whole.add(ids, vectors)
    for start in range(999, -1, -37):
        some = slice(max(0, start - 36), start + 1)
        cut.add(ids[some], vectors[some])
        assert len(cut._ids) <= 2 * 50 + 37
    assert whole.seen == cut.seen == 1000
    (names, rows), (others, same) = whole.sorted(), cut.sorted()
    assert names == others == sorted(names) and len(names) == 50
    np.testing.assert_array_equal(rows, same)
    assert [f"f{int(row[0])}" for row in rows] == names


def test_means_leave_out_what_was_not_measured() -> None:
    mean = Mean()
    assert mean.cell(2) == mean.cell(2, alone=True) == ""
    mean.add(np.array([np.nan, 2.0]))
    assert (mean.cell(2), mean.cell(2, alone=True)) == ("", "2.00")
    mean.add(np.array([4.0, np.nan]))
    assert mean.value == 3.0 and mean.cell(2) == f"3.00 ± {1.959964:.2f}"
    assert Mean.merged([mean, mean]).count == 4
    assert Group().mean("mse").count == 0 and Group().frechet(Group()) is None


def test_groups_of_nulls_are_groups() -> None:
    rows = pa.table({"a": ["x", None, "x"], "b": ["1", "2", "1"]})
    assert [(key, part.num_rows) for key, part in metrics_table.by(rows, "a", "b")] == [
        (("x", "1"), 2),
        ((None, "2"), 1),
    ]
