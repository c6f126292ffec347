"""Where a job may write: not over what it reads, and not where the working directory of a submitted job goes."""

from pathlib import Path

import pytest

from jobs import cli, generate
from rupantara.errors import UserError


def check(**paths: str) -> None:
    cli.check_paths(paths, paths)


def test_an_output_over_an_input_is_refused(capsys: pytest.CaptureFixture) -> None:
    check(features="/d/f", bank="/d/b", affinity="/d/a", weights="/d/f")
    with pytest.raises(SystemExit) as left:
        check(features="/d/f", bank="/d/b", affinity="/d/f/")
    assert left.value.code == 2
    assert capsys.readouterr().err == "error: --affinity and --features must be different places, got /d/f for both\n"


def test_relative_outputs_of_a_submitted_job_are_refused(tmp_path: Path, monkeypatch, capsys) -> None:
    """Inputs that came along with the working directory are read there; what is written there would be lost."""
    folder = tmp_path / f"working_dir_files/{cli.SUBMITTED}0ba7965aec4c317f"
    (folder / "pretrained/bank").mkdir(parents=True)
    monkeypatch.chdir(folder)
    check(bank=str(folder / "pretrained/bank"), generated="/d/out")
    check(bank=str(folder / "pretrained/bank"), generated="s3://bucket/out")
    with pytest.raises(SystemExit):
        cli.check_paths({"generated": str(folder / "out")}, {"generated": "out"})
    assert "--generated must be a URI or an absolute path in a submitted job" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    check(generated=str(tmp_path / "out"))


def test_flags_that_would_count_for_nothing_are_refused() -> None:
    config = generate.Config(checkpoint="c", generated="g", top_k=5)
    with pytest.raises(UserError, match="--top-k and --temperature count only with --donor region"):
        generate.check(config, ("cat",))
    assert generate.check(generate.Config(checkpoint="c", generated="g", top_k=5, donor="region"), ("cat",))[0] == "cat"
