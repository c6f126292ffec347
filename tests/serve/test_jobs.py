"""A request that becomes a Ray job: its photographs are stored, its command is one that the jobs take, its status is told."""

import shlex

import pytest
import tyro

from jobs import curate
from jobs.generate import hybrid
from rupantara.landmarks.regions import REGIONS
from serve.config import Config
from serve.jobs import Jobs, hybrid_command
from serve.problems import Problem


class Submitter:
    """Keeps what is submitted."""

    def __init__(self) -> None:
        self.submitted: dict[str, str] = {}

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: dict) -> str:
        assert runtime_env["env_vars"]["PYTHONPATH"]
        self.submitted[submission_id] = entrypoint
        return submission_id

    def get_job_status(self, job_id: str) -> str:
        if job_id not in self.submitted:
            raise RuntimeError("Request failed with status code 404")
        return "SUCCEEDED"


def test_the_command_is_one_that_the_jobs_take():
    config = Config(checkpoint="s3://b/vae", bank="s3://b/bank", weights="s3://b/a folder")
    amounts = dict.fromkeys(REGIONS[:2], 0.25)
    line = hybrid_command(config, "s3://b/jobs/one", "tiger", amounts, "spherical", "region", 3)
    first, second = (shlex.split(part) for part in line.split(" && "))
    assert first[1:3] == ["-m", "jobs.curate"]
    curated = tyro.cli(curate.Config, args=first[3:])
    assert (curated.photos, curated.weights) == ("s3://b/jobs/one/photos", "s3://b/a folder")
    assert second[1:4] == ["-m", "jobs.generate", "hybrid"]
    made = tyro.cli(hybrid.Config, args=second[4:])
    assert (made.faces, made.species, made.regions, made.amount) == (
        curated.faces,
        ("tiger",),
        REGIONS[:2],
        (0.25, 0.25),
    )
    assert (made.path, made.donor, made.seed) == ("spherical", "region", 3)


def test_photographs_are_stored_and_the_status_is_told(tmp_path):
    jobs = Jobs(str(tmp_path), Submitter())
    name = jobs.store([b"one", b"two"])
    assert sorted(p.read_bytes() for p in (tmp_path / name / "photos").iterdir()) == [b"one", b"two"]
    jobs.submit(name, "true")
    assert jobs.status(name)["generated"] == f"{tmp_path}/{name}/generated"
    with pytest.raises(Problem, match="there is no job"):
        jobs.status("another")
