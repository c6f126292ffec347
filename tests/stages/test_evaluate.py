"""Metrics of held-out faces on cases whose answers are known: an exact model, lent regions, and no networks that judge."""

from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import safetensors.numpy
import torch

from rupantara import schema
from rupantara.evaluation import reconstruction
from rupantara.evaluation.reconstruction import ReconstructionTrial, fit_baselines, load_baselines
from rupantara.faces.arrays import load, to_images
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.models.linear_path import Components
from rupantara.models.region_vae import RegionVAE
from rupantara.reports import evaluation, html
from rupantara.stages.extract import encode
from rupantara.stages.measure import JudgeNetworks, MeasureMethods
from rupantara.storage.recipe import Recipe
from rupantara.storage.weights import has
from rupantara.training.warm_start import fit_pca, small_views
from tests.conftest import WEIGHTS
from tests.drawn import SIDE, face_row, tiny_model, write_faces, write_model, write_table

HUMANS, CATS = 6, 4
TRAIN = [face_row(f"h{i}", "human", i) for i in range(HUMANS)] + [face_row(f"c{i}", "cat", i) for i in range(CATS)]
HELD = [
    face_row(f"t{name}", species, i, "test")
    for name, species, i in (("h0", "human", 0), ("h1", "human", 1), ("c0", "cat", 0))
]
"""The same pictures as some that are trained on, under other ids: what a PCA of all components gives back exactly."""


def exact(rows: pa.Table) -> RegionVAE:
    """A network whose global code is the whole picture's PCA, its gate shut, its regions' PCAs as fine as their crops."""
    model = tiny_model(region_side=16, region_base_side=16)
    faces = load(rows, SIDE)
    whole, regions = small_views(faces.pictures, faces.boxes, model.config)
    pcas = [fit_pca(part.copy(), 8) for part in (whole, *regions.swapaxes(0, 1))]
    pcas[0] = fit_pca(whole, 16)
    net = model.domain_nets()[0]
    parts = [Components(*map(torch.from_numpy, pca)) for pca in pcas]
    net.warm_start(parts[0], parts[1:])
    for head in (*net.global_encoder.heads, *net.region_encoder.heads):
        head.weight.zero_()
        head.bias[: len(head.bias) // 2] = 0
    # The last convolution's zero weights leave its bias alone: three colours, then the gate, 4 numbers each before the shuffle.
    net.decoder.out[2].bias.zero_()
    net.decoder.out[2].bias[12:] = -30.0
    return model


class Made:
    def __init__(self, root: Path) -> None:
        self.faces = write_faces(str(root / "faces"), TRAIN + HELD)
        self.rows = pa.Table.from_pylist(TRAIN + HELD, schema=schema.FACES)
        self.checkpoint = write_model(str(root / "model"), exact(self.rows))
        self.baselines = str(root / "baselines.safetensors")
        train = {
            "human": {r["face_id"]: "human" for r in TRAIN[:HUMANS]},
            "animal": {r["face_id"]: "cat" for r in TRAIN[HUMANS:]},
        }
        self.fitted = fit_baselines(self.faces, self.checkpoint, train, 32, self.baselines)
        self.chosen = frozenset(row["face_id"] for row in HELD)

    @cached_property
    def plain(self) -> dict[tuple[str, str], dict]:
        return self.measured()

    def measured(self, baselines: str = "", weights: str = "") -> dict[tuple[str, str], dict]:
        trial = partial(ReconstructionTrial, self.checkpoint, baselines or self.baselines, self.chosen)
        stage = MeasureMethods(trial, JudgeNetworks(weights, heads=has(weights, "lpips_squeeze")))
        table = stage(self.rows)
        assert table.schema.equals(schema.METRICS)
        return {(row["face_id"], row["method"]): row for row in table.to_pylist()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return Made(tmp_path_factory.mktemp("evaluate"))


def test_every_chosen_face_has_a_row_a_method_and_what_was_not_measured_is_null(made: Made) -> None:
    found = made.plain
    assert set(found) == {(f, m) for f in made.chosen for m in ("source", "model", "mean_face", "pca")}
    for (face, method), row in found.items():
        assert row["domain"] == ("animal" if face == "tc0" else "human")
        for name in ("lpips_caffe_squeezenet", "identity", "squeezenet"):
            assert row[name] is None
        assert (row["mse"] is None) == (row["psnr"] is None) == (row["ssim"] is None) == (method == "source")
        assert (row["region_control"] is not None) == (method == "model" and row["domain"] == "human")


def test_an_exact_model_and_a_full_pca_are_exact_and_the_mean_face_is_numpy_s(made: Made) -> None:
    assert made.fitted == {"human": HUMANS - 1, "animal": CATS - 1}
    found = made.plain
    pictures = load(made.rows, SIDE).pictures.astype(np.float64) / 255
    for row, train, at in (("th0", slice(0, HUMANS), HUMANS + CATS), ("tc0", slice(HUMANS, HUMANS + CATS), -1)):
        expected = ((pictures[train].mean(0) - pictures[at]) ** 2).mean()
        assert found[row, "mean_face"]["mse"] == pytest.approx(expected, rel=1e-3)
        assert found[row, "mean_face"]["psnr"] == pytest.approx(-10 * np.log10(expected), abs=0.01)
        assert found[row, "pca"]["psnr"] > 60
        # Regions are cut at 16 px and laid back: as good as that bilinear round trip.
        assert found[row, "model"]["psnr"] > found[row, "mean_face"]["psnr"] + 8


def test_a_linear_model_s_lent_region_stays_in_its_boxes(made: Made) -> None:
    for face in ("th0", "th1"):
        shares = made.plain[face, "model"]["region_control"]
        assert len(shares) == len(REGIONS)
        assert shares == pytest.approx([1.0] * len(REGIONS), abs=1e-6)


def test_a_region_lent_by_oneself_in_one_s_own_boxes_changes_nothing_and_has_no_share(
    made: Made, tmp_path, monkeypatch
) -> None:
    """The one donor has the codes of th0, whose every hybrid is th0 where regions are not laid elsewhere; th1 changes."""
    monkeypatch.setattr(reconstruction, "hybrid_boxes", lambda boxes, chosen: boxes)
    loaded = loading.load(made.checkpoint)
    own = encode(loaded, load(made.rows, SIDE))[1].numpy()[HUMANS + CATS :][:1]
    stored = safetensors.numpy.load(Path(made.baselines).read_bytes())
    path = tmp_path / "own.safetensors"
    path.write_bytes(safetensors.numpy.save(stored | {"donors": own}))
    found = made.measured(str(path))
    assert found["th0", "model"]["region_control"] == [None] * len(REGIONS)
    assert None not in found["th1", "model"]["region_control"]


def test_baselines_are_those_of_the_train_faces_alone(made: Made) -> None:
    found = load_baselines(made.baselines)
    pictures = load(made.rows, SIDE).pictures
    expected = fit_pca(to_images(pictures[:HUMANS]).flatten(1).numpy(), 32)
    np.testing.assert_allclose(found.pca["human"].mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(found.pca["human"].deviations, expected.deviations, rtol=1e-3)
    donors = encode(loading.load(made.checkpoint), load(made.rows, SIDE))[1][HUMANS : HUMANS + CATS]
    np.testing.assert_allclose(found.donors, donors, atol=1e-4)


@pytest.mark.skipif(not (WEIGHTS / "squeezenet_v1.1.npz").exists(), reason="needs the published networks")
def test_with_networks_equal_pictures_are_no_distance_apart_and_of_one_identity(made: Made) -> None:
    found = made.measured(weights=str(WEIGHTS))
    for face in made.chosen:
        assert found[face, "pca"]["lpips_caffe_squeezenet"] < 0.01 < found[face, "mean_face"]["lpips_caffe_squeezenet"]
        gap = np.array(found[face, "pca"]["squeezenet"]) - np.array(found[face, "source"]["squeezenet"])
        assert np.linalg.norm(gap) < 0.02 * np.linalg.norm(found[face, "source"]["squeezenet"])
        assert (found[face, "pca"]["identity"] is None) == (face == "tc0")
    assert found["th0", "pca"]["identity"] > 0.999 > found["th0", "mean_face"]["identity"]


def report(uri: str, rows: list[dict]) -> str:
    """Write a metrics table and render its section."""
    table = pa.Table.from_pylist(rows, schema=schema.METRICS)
    recipe = Recipe("evaluate", 1, {"split": "test"})
    write_table(uri, "metrics", [table], recipe, pca_components={"human": 5, "animal": 3}, size=SIDE)
    return html.render("Evaluation", [evaluation.section(uri)]).decode()


def test_the_report_shows_measured_tables_and_a_species_of_one_face_without_an_interval(made: Made, tmp_path) -> None:
    rows = list(made.plain.values())
    page = report(str(tmp_path / "metrics"), rows)
    assert "Held-out identities (split test), 32 pixels square" in page and "human 5, animal 3" in page
    assert "<caption>Reconstruction</caption>" in page and "Region control" in page
    assert "Fréchet" not in page, "no features, no distance of sets"
    psnr = {row["face_id"]: row["psnr"] for row in rows if row["method"] == "mean_face"}
    humans = [psnr["th0"], psnr["th1"]]
    half = 1.96 * np.std(humans, ddof=1) / 2**0.5
    assert f"<td>human</td><td>mean_face</td><td>2</td><td>{np.mean(humans):.2f} ± {half:.2f}</td>" in page
    assert f"<td>cat</td><td>mean_face</td><td>1</td><td>{psnr['tc0']:.2f}</td>" in page


def test_sets_of_features_are_compared_where_there_are_enough(tmp_path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(20, 512)).astype(np.float16)
    shift = np.zeros(512, np.float16)
    shift[0] = 3.0
    rows = []
    for method, add in (("source", 0 * shift), ("model", 0 * shift), ("pca", shift), ("mean_face", 2 * shift)):
        for i, row in enumerate(features):
            who = {"face_id": str(i), "domain": "human", "species": "human", "method": method}
            errors = {} if method == "source" else {"mse": 0.1, "psnr": 10.0, "ssim": 0.5}
            rows.append(who | errors | {"squeezenet": row + add})
    page = report(str(tmp_path / "metrics"), rows)
    lines = {
        m: page.split(f"<td>human</td><td>{m}</td><td>20</td>")[2].split("</tr>")[0]
        for m in ("model", "pca", "mean_face")
    }
    distance = {m: float(line.split("<td>")[1].split("<")[0]) for m, line in lines.items()}
    # A shift of d alone is a Fréchet distance of d².
    assert distance == pytest.approx({"model": 0.0, "pca": 9.0, "mean_face": 36.0}, abs=0.15)
