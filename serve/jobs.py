"""What is too large for an answer becomes a Ray job: photographs to the bucket, curate and generate over them, the table's URI back."""

import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rupantara.storage import uris
from serve.config import Config
from serve.problems import Problem


class Submitter(Protocol):
    """What is used of `ray.job_submission.JobSubmissionClient`."""

    def submit_job(self, *, entrypoint: str, submission_id: str, runtime_env: dict[str, Any]) -> str:
        """Submit a job."""
        ...

    def get_job_status(self, job_id: str) -> Any:
        """Return a job's status."""
        ...


def hybrid_command(
    config: Config, folder: str, species: str, amounts: Mapping[str, float], path: str, donor: str, seed: int
) -> str:
    """Return the shell line of a job that makes a hybrid of each photograph below `folder`."""
    python, photos, faces = shlex.quote(sys.executable), f"{folder}/photos", f"{folder}/faces"
    curate = [python, "-m", "jobs.curate", "--photos", photos, "--faces", faces, "--seed", "0"]
    curate += ["--weights", config.weights] if config.weights else []
    made = [python, "-m", "jobs.generate", "hybrid", "--faces", faces, "--generated", f"{folder}/generated"]
    made += ["--checkpoint", config.checkpoint, "--bank", config.bank, "--species", species, "--seed", str(seed)]
    made += ["--regions", *amounts, "--amount", *(str(amount) for amount in amounts.values())]
    made += ["--path", path, "--donor", donor]
    return f"{quoted(curate)} && {quoted(made)}"


def quoted(words: Sequence[str]) -> str:
    """Join words as a shell takes them."""
    return " ".join(shlex.quote(word) for word in words)


class Jobs:
    """Submits jobs and tells how they are."""

    def __init__(self, prefix: str, client: Submitter) -> None:
        """Write below `prefix`, a URI."""
        self._prefix, self._client = prefix, client

    def folder(self, name: str) -> str:
        """Return where a job's photographs and results lie."""
        return uris.join(self._prefix, name)

    def store(self, photos: Sequence[bytes]) -> str:
        """Write photographs to a new job's folder and return its name, which nobody can guess."""
        name = f"serve-{secrets.token_hex(16)}"
        for number, data in enumerate(photos):
            uris.write_bytes(uris.join(self.folder(name), f"photos/{number:06d}.jpg"), data)
        return name

    def submit(self, name: str, command: str) -> None:
        """Submit a job."""
        # Where the code is that is served, not where the cluster was started.
        code = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        try:
            self._client.submit_job(entrypoint=command, submission_id=name, runtime_env={"env_vars": code})
        except (RuntimeError, ConnectionError) as error:
            said = " ".join(str(error).split())[:200]
            raise Problem("not_ready", f"the cluster takes no jobs now: {said}") from error

    def status(self, name: str) -> dict[str, Any]:
        """Return a job's status, and where its results are once it has succeeded; raise the problem where there is none."""
        try:
            status = str(self._client.get_job_status(name))
        except (RuntimeError, ConnectionError):
            raise Problem("not_found", f"there is no job {name[:60]!r}") from None
        done = {"generated": f"{self.folder(name)}/generated", "faces": f"{self.folder(name)}/faces"}
        return {"job": name, "status": status.lower()} | (done if status == "SUCCEEDED" else {})
