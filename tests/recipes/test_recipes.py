"""A recipe's version moves when its rows do: its code is recorded, and a change asks for one of two commands."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from rupantara.imaging import codec
from tests.recipes import compare, record
from tests.recipes.closure import Source
from tests.recipes.samples import SAMPLES, UNSAMPLED

SOURCE = Source(record.REPOSITORY)


def test_recipes_keep_their_versions() -> None:
    moved = record.moved(SOURCE.specs(), SOURCE, record.read())
    assert not moved, (
        f"the code of {', '.join(moved)} is not what was recorded. If rows change: raise the version of"
        f" {', '.join(f'RecipeSpec({job!r}, version=…)' for job in moved)}. If the rows are the same: make recipes"
    )


def test_every_recipe_is_recorded_and_none_goes_back() -> None:
    recorded = record.read()
    for job, spec in SOURCE.specs().items():
        assert job in recorded, f"{job} is new: make recipes"
        assert spec.version >= recorded[job]["version"], job


def test_every_recipe_has_a_sample_to_compare() -> None:
    assert {sample.recipe for sample in SAMPLES.values()} - {""} == set(SOURCE.specs()) - set(UNSAMPLED)


def test_a_png_is_compared_by_its_pixels_and_its_text() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    info = PngImagePlugin.PngInfo()
    info.add_itxt("seed", "1")
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "PNG", pnginfo=info, compress_level=9)
    other = picture.copy()
    other[3, 3, 0] ^= 1
    mine = codec.encode_png(picture, {"seed": "1"})
    assert mine != sink.getvalue() and compare.shown(mine) == compare.shown(sink.getvalue())
    for data in (codec.encode_png(other, {"seed": "1"}), codec.encode_png(picture, {"seed": "2"})):
        assert compare.shown(data) != compare.shown(mine)


FILES = {
    "jobs/grow.py": '''"""A job."""
from rupantara.storage.recipe import RecipeSpec
from rupantara import plants
from rupantara.soil import water as pour

RECIPE = RecipeSpec("grow", version=1)


def main():
    """Run."""
    return plants.grow(pour(1))
''',
    "rupantara/__init__.py": "",
    "rupantara/plants/__init__.py": "from rupantara.plants.trees import grow\n",
    "rupantara/plants/trees.py": "RATE = 2\n\n\ndef grow(x):\n    return x * RATE\n\n\ndef fell(x):\n    return 0\n",
    "rupantara/soil.py": '"""Soil."""\n\n\ndef water(n):\n    """Pour."""\n    return n\n',
    "rupantara/other.py": "X = 1\n",
}


def code_of(root: Path, **changes: str) -> str:
    """Return the hash of the job `grow` with some text replaced: file with dots -> "old -> new"."""
    for name, text in FILES.items():
        for file, change in changes.items():
            if name == file.replace("__", "/") + ".py":
                old, new = change.split(" -> ")
                assert old in text
                text = text.replace(old, new)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Source(root).hash("jobs.grow")


MOVES = {
    "a constant far away": {"rupantara__plants__trees": "RATE = 2 -> RATE = 3"},
    "a function that is handed on by a package": {"rupantara__plants__trees": "x * RATE -> x + RATE"},
    "a function under another name": {"rupantara__soil": "return n -> return n + 1"},
    "the job itself": {"jobs__grow": "pour(1) -> pour(2)"},
    "a name": {"rupantara__plants__trees": "RATE -> PACE"},
    "what runs at import": {"rupantara__soil": '"""Soil.""" -> print()'},
}
STAYS = {
    "a docstring": {"rupantara__soil": '"""Pour.""" -> """Give water."""'},
    "a comment": {"rupantara__plants__trees": "x * RATE -> x * RATE  # fast"},
    "a function that it does not call": {"rupantara__plants__trees": "return 0 -> return 1"},
    "a module that it does not import": {"rupantara__other": "X = 1 -> X = 2"},
    "a docstring of the job": {"jobs__grow": '"""Run.""" -> """Go."""'},
}


@pytest.mark.parametrize("change", MOVES)
def test_what_decides_rows_moves_the_code(tmp_path: Path, change: str) -> None:
    assert code_of(tmp_path / "b", **MOVES[change]) != code_of(tmp_path / "a")


@pytest.mark.parametrize("change", STAYS)
def test_what_decides_nothing_leaves_the_code(tmp_path: Path, change: str) -> None:
    assert code_of(tmp_path / "b", **STAYS[change]) == code_of(tmp_path / "a")


def test_the_choice_of_faces_is_of_every_training_that_draws() -> None:
    """`draw` once changed without any output becoming stale."""
    drawing = [
        job
        for job, spec in SOURCE.specs().items()
        if ("rupantara.storage.draws", "draw") in SOURCE.closure(spec.module)
    ]
    assert {"train_vae", "train_zoo", "train_decoder"} <= set(drawing)


def test_the_record_is_a_line_a_recipe() -> None:
    text = record.RECORD.read_text()
    assert len(json.loads(text)) == len(text.splitlines()) - 2
