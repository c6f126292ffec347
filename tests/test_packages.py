"""What leaves this folder: a submitted job's package and a wheel hold the product and nothing else."""

import logging
import subprocess
import tomllib
import zipfile
from pathlib import Path

from ray._private.runtime_env import packaging
from setuptools import find_packages

from tests.conftest import REPOSITORY

SENT = {"actors", "jobs", "pretrained", "rupantara", "serve", "pyproject.toml"}


def package_of(folder: Path, target: Path) -> list[zipfile.ZipInfo]:
    packaging.create_package(str(folder), target, include_gitignore=True, excludes=[], logger=logging.getLogger("test"))
    return zipfile.ZipFile(target).infolist()


def test_a_submitted_job_carries_no_photographs_and_no_outputs(tmp_path: Path) -> None:
    copy = tmp_path / "checkout"
    files = subprocess.run(["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout
    for name in files.splitlines():
        if (REPOSITORY / name).is_file() and not name.startswith(("tests/", "docs/")):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_bytes((REPOSITORY / name).read_bytes())
    before = package_of(copy, tmp_path / "before.zip")
    for folder in ("my/photos", "out/faces/data", "runs/demo", "photos", ".venv/lib", ".git/objects"):
        (copy / folder).mkdir(parents=True)
        (copy / folder / "big.bin").write_bytes(b"\1" * 3_000_000)
    after = package_of(copy, tmp_path / "after.zip")
    assert {i.filename for i in after} == {i.filename for i in before}
    assert {Path(i.filename).parts[0] for i in after} == SENT
    assert any(i.filename == "jobs/runtime/cli.py" for i in after)
    assert any(i.filename == "pretrained/region_vae/model.safetensors" for i in after)


def test_the_wheel_has_one_top_level_package() -> None:
    settings = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    found = find_packages(str(REPOSITORY), include=settings["include"])
    assert {name.partition(".")[0] for name in found} == {"rupantara"}
    assert {"rupantara.storage", "rupantara.models", "rupantara.models.zoo"} <= set(found)
