"""Where a job may write: not over what it reads, and not where the working directory of a submitted job goes."""

import importlib
from dataclasses import replace
from pathlib import Path

import pytest

from jobs import build_bank, probe
from jobs.evaluate import config as evaluate
from jobs.generate import hybrid
from jobs.runtime import flags, places
from rupantara.errors import UserError

JOBS = (
    "augment",
    "bank_report",
    "build_bank",
    "curate",
    "demo.config",
    "enhance",
    "evaluate.config",
    "export",
)
JOBS += ("extract", "pack", "probe", "reverse_map", "train_decoder", "train_vae", "train_zoo")
JOBS += ("generate.hybrid", "generate.inversion", "generate.variation", "generate.child")
JOBS += ("train_blender", "train_edits", "train_landmarks", "train_prior")


def check(output: str, **paths: str) -> None:
    places.check_output(output, paths, paths)


@pytest.mark.parametrize(
    ("output", "other"), [("/d/f", "/d/f/"), ("/d/x/../f", "/d/f"), ("s3://b//f", "s3://b/f/"), ("/d/link", "/d/f")]
)
def test_an_output_over_an_input_is_refused(output, other, capsys, tmp_path: Path) -> None:
    (tmp_path / "d/x").mkdir(parents=True)
    (tmp_path / "d/link").symlink_to(tmp_path / "d/f")
    output, other = (p if "://" in p else f"{tmp_path}{p}" for p in (output, other))
    check("affinity", features=other, bank=other, affinity="/elsewhere")
    with pytest.raises(SystemExit) as left:
        check("affinity", features="/e", bank=other, affinity=output)
    assert left.value.code == 2
    said = capsys.readouterr().err
    assert said == f"error: --affinity must be another place than --bank, got {output} for both\n"


@pytest.mark.parametrize("job", [name for name in JOBS if name.startswith("generate.")])
def test_flags_as_they_are_without_being_given_are_in_their_ranges(job: str) -> None:
    flags.check_ranges(importlib.import_module(f"jobs.{job}").DEFAULT)


def test_every_job_names_its_output() -> None:
    configs = [getattr(importlib.import_module(f"jobs.{name}"), "Config", None) for name in JOBS]
    for config in configs:
        assert config.OUTPUT in places.places(config), config


def test_relative_outputs_of_a_submitted_job_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    """Inputs that came along with the working directory are read there; what is written there would be lost, also over what came along."""
    folder = tmp_path / f"working_dir_files/{places.SUBMITTED}0ba7965aec4c317f"
    (folder / "out").mkdir(parents=True)
    monkeypatch.chdir(folder)
    for output in ("/d/out", "s3://bucket/out"):
        places.check_output(
            "generated", {"bank": str(folder / "b"), "generated": output}, {"bank": "b", "generated": output}
        )
    for output in ("out", "new"):
        with pytest.raises(SystemExit):
            places.check_output("generated", {"generated": str(folder / output)}, {"generated": output})
        assert "--generated must be a URI or an absolute path in a submitted job" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    places.check_output("generated", {"generated": str(tmp_path / "out")}, {"generated": "out"})


def test_flags_that_would_count_for_nothing_are_refused() -> None:
    config = hybrid.Config(checkpoint="c", generated="g", bank="b", top_k=5)
    with pytest.raises(UserError, match="--top-k and --temperature count only with --donor region"):
        hybrid.asked(config, ("cat",))
    wanted = hybrid.asked(replace(config, donor="region"), ("cat",))
    assert wanted["species"] == ("cat", "nearest") and wanted["donor"].top_k == 5


def test_amounts_are_one_or_one_for_each_region() -> None:
    config = hybrid.Config(checkpoint="c", generated="g", bank="b", regions=("eyes", "nose"), amount=(0.5,))
    assert hybrid.asked(config, ("cat",))["amounts"] == {"eyes": 0.5, "nose": 0.5}
    assert hybrid.asked(replace(config, amount=(0.1, 0.9)), ("cat",))["amounts"] == {"eyes": 0.1, "nose": 0.9}
    for wrong in ((), (0.1, 0.2, 0.3), (2.0,)):
        with pytest.raises(UserError, match="amount"):
            hybrid.asked(replace(config, amount=wrong), ("cat",))


def test_places_are_absolute_one_by_one_and_in_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = evaluate.Config(faces="faces", checkpoint=("a", "s3://bucket/b"), metrics="out")
    found = places.absolute(config)
    assert (found.faces, found.metrics) == (f"{tmp_path}/faces", f"{tmp_path}/out")
    assert found.checkpoint == (f"{tmp_path}/a", "s3://bucket/b")


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (
            probe.Config(faces="f", checkpoint="c", bank="b", probe="p", gallery=-2),
            "--gallery must be at least -1, got -2",
        ),
        (
            probe.Config(faces="f", checkpoint="c", bank="b", probe="p", limit=-1),
            "--limit must not be negative, got -1",
        ),
        (build_bank.Config(bank="b", num_shards=0), "--num-shards must be at least 1, got 0"),
    ],
)
def test_a_number_outside_its_field_s_range_is_a_usage_error(config, said: str, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        flags.check_ranges(config)
    assert left.value.code == 2
    assert capsys.readouterr().err == f"error: {said}\n"


def test_documented_negative_numbers_pass() -> None:
    flags.check_ranges(probe.Config(faces="f", checkpoint="c", bank="b", probe="p", gallery=-1, seed=-3))
