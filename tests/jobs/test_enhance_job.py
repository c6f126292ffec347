"""Post-processing end to end over drawn faces, as a user runs it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from jobs import enhance, export
from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.storage import manifest, tables
from tests.in_process import without_ray


@pytest.fixture(scope="module")
def config(run, tmp_path_factory) -> enhance.Config:
    """The default preset over the session's generated pictures, made once."""
    out = str(tmp_path_factory.mktemp("enhance") / "enhanced")
    config = replace(enhance.presets()["default"], generated=run.generated, faces=run.faces, enhanced=out)
    enhance.main(config)
    return config


def test_every_generated_row_is_there_once_in_its_order(run, config):
    before, after = tables.read(run.generated, schema="generated"), tables.read(config.enhanced, schema="enhanced")
    assert after.schema.equals(schema.enhanced(schema.GENERATED))
    kept = ["request_id", "kind", "face_ids", "bank_ids", "model_sha256", "scores"]
    assert after.select(kept).equals(before.select(kept))
    assert manifest.require(config.enhanced, "enhanced").counts["accepted"] == before.num_rows
    assert all(a != b for a, b in zip(after["image"].to_pylist(), before["image"].to_pylist(), strict=True))


def test_reconstructions_are_measured_after_each_step_and_reported(config):
    rows = tables.read(config.enhanced, schema="enhanced").to_pylist()
    measured = [row["steps"] for row in rows if row["kind"] == "reconstruction"]
    assert len(measured) == 4
    assert all(row["steps"] is None for row in rows if row["kind"] != "reconstruction")
    names = ["input", "tone", "dehaze", "bilateral", "unsharp"]
    assert all([step["step"] for step in steps] == names for steps in measured)
    page = Path(config.enhanced, "report.html").read_text()
    assert f"{np.mean([steps[-1]['mse'] for steps in measured]):.5f} ±" in page
    assert "data:image/png;base64," in page


def test_the_same_command_does_nothing_and_another_step_is_refused(config, caplog):
    with caplog.at_level("INFO", logger="jobs"):
        enhance.main(replace(config, steps=("tone:saturation=1.3,dehaze", "bilateral,unsharp")))
    assert any("nothing to do" in message for message in caplog.messages)
    with pytest.raises(RefusedError, match="steps"):
        enhance.main(replace(config, steps=("tone",)))


def test_another_run_leaves_the_same_bytes(config, tmp_path):
    again = replace(config, enhanced=str(tmp_path / "again"), workers=1)
    enhance.main(again)
    for file in manifest.require(config.enhanced, "enhanced").data:
        parts = [Path(uri, file.path).read_bytes() for uri in (config.enhanced, again.enhanced)]
        assert parts[0] == parts[1]


def test_a_white_cast_is_made_and_mended(run, tmp_path):
    preset = enhance.presets()["white_cast"]
    config = replace(preset, faces=run.faces, enhanced=str(tmp_path / "mended"), limit=6, strips=2)
    with without_ray():
        enhance.main(config)
    rows = tables.read(config.enhanced, schema="enhanced").to_pylist()
    assert len(rows) == 6 and {row["split"] for row in rows} == {"test"}
    first, *_, last = np.mean([[step["mse"] for step in row["steps"]] for row in rows], axis=0)
    assert last < first


def test_enhanced_pictures_are_exported_like_others(config, tmp_path):
    out = str(tmp_path / "tars")
    with without_ray():
        export.main(export.Config(table=config.enhanced, export=out))
    assert (
        sum(part["rows"].to_pylist()[0] for part in tables.read_parts(out))
        == manifest.require(config.enhanced, "enhanced").counts["accepted"]
    )


def test_what_cannot_be_enhanced_is_refused(run, tmp_path):
    base = enhance.Config(enhanced=str(tmp_path / "out"))
    wrong = [
        ({}, "give --generated or --faces"),
        ({"faces": run.faces, "steps": ()}, "--steps must name"),
        ({"faces": run.faces, "steps": ("sharpen",)}, "'sharpen'"),
        ({"generated": run.generated, "limit": 3}, "--split and --limit choose faces"),
        ({"generated": run.faces}, "generated"),
    ]
    for changes, message in wrong:
        with pytest.raises(UserError, match=message):
            enhance.main(replace(base, **changes))
