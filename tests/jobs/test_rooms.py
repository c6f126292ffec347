"""The rooms of `jobs`: one file per job, short enough to be read at once."""

from tests.conftest import REPOSITORY

LONGEST = 150


def test_no_job_is_longer_than_it_may_be() -> None:
    jobs = REPOSITORY / "jobs"
    files = [path for path in jobs.rglob("*.py") if (jobs / "runtime") not in path.parents]
    lines = {str(path.relative_to(jobs)): len(path.read_text().splitlines()) for path in files}
    assert len(lines) > 20
    assert {name: count for name, count in lines.items() if count > LONGEST} == {}
