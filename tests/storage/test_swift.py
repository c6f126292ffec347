"""The storage's laws on a real S3-compatible server: OpenStack Swift, and Swift behind a proxy that fails."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.errors import RefusedError, UserError
from rupantara.stages.curate import CuratePhotos, CurateRules, load_known_keypoints
from rupantara.storage import manifest, tables, uris
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import write_photographs
from tests import s3_server
from tests.conftest import REPOSITORY
from tests.faulty_proxy import Faults, proxy

BUCKET = "rupantara-swift"


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[s3_server.Swift]:
    with s3_server.serving(tmp_path_factory.mktemp("swift")) as server:
        s3_server.make_bucket(server.settings(), BUCKET)
        yield server


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Mapping[str, str]], None]]:
    """Point this process at a server by the standard variables."""

    def point(settings: Mapping[str, str]) -> None:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        forget()

    yield point
    forget()


def forget() -> None:
    """Drop what clients keep of the last server."""
    uris._s3.cache_clear()
    boto3.DEFAULT_SESSION = None


@pytest.fixture
def prefix(swift: s3_server.Swift, use: Callable[[Mapping[str, str]], None], request: pytest.FixtureRequest) -> str:
    use(swift.settings())
    return f"s3://{BUCKET}/{request.node.name}"


def test_an_object_of_many_parts_comes_back_as_it_was(prefix: str) -> None:
    data = np.random.default_rng(0).bytes(25 * 2**20)
    uris.write_bytes(f"{prefix}/big", data)
    assert uris.read_bytes(f"{prefix}/big") == data


def test_more_than_a_thousand_keys_are_listed(prefix: str, swift: s3_server.Swift) -> None:
    from concurrent.futures import ThreadPoolExecutor

    names = [f"{i % 7}/{i:05d}.txt" for i in range(1010)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda name: uris.write_bytes(f"{prefix}/{name}", b"x"), names))
    assert [entry.path for entry in uris.list_files(prefix)] == sorted(names)


def test_only_one_of_two_conditional_puts_wins(prefix: str) -> None:
    uris.write_bytes(f"{prefix}/claim", b"first", if_absent=True)
    with pytest.raises(FileExistsError):
        uris.write_bytes(f"{prefix}/claim", b"second", if_absent=True)
    assert uris.read_bytes(f"{prefix}/claim") == b"first"


def write_table(place: str, parts: int, recipe: Recipe, *, overwrite: bool = False) -> manifest.Manifest | None:
    running = manifest.begin(place, "faces", recipe, version=schema.VERSION, overwrite=overwrite)
    if running is None:
        return None
    for i in range(parts):
        tables.write_part(place, running.fingerprint, i, pa.table({"x": [i, i + 1]}), 2)
    return tables.commit_parts(place, running, parts, 0.1)


def test_a_table_is_committed_refused_and_replaced_as_on_disk(prefix: str) -> None:
    first, second = Recipe("curate", 1), Recipe("curate", 2)
    write_table(prefix, 3, first)
    assert write_table(prefix, 3, first) is None
    with pytest.raises(RefusedError, match="version"):
        write_table(prefix, 3, second)
    write_table(prefix, 2, second, overwrite=True)
    assert tables.read(prefix, schema="faces")["x"].to_pylist() == [0, 1, 1, 2]
    assert len([e for e in uris.list_files(prefix) if e.path.endswith(".parquet")]) == 2


def test_wrong_credentials_are_one_clear_line(swift: s3_server.Swift) -> None:
    """In a process of its own, as AWS's client keeps the credentials that it once read."""
    settings = {**swift.settings(), "AWS_SECRET_ACCESS_KEY": "wrong"}
    flags = ["--photos", f"s3://{BUCKET}/photos", "--faces", f"s3://{BUCKET}/faces"]
    command = [sys.executable, "-m", "jobs.curate", *flags]
    done = subprocess.run(
        command, cwd=REPOSITORY, env={**os.environ, **settings}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert f"s3://{BUCKET}/photos" in said and "AWS Error" in said
    assert "Traceback" not in done.stderr


def test_a_missing_bucket_is_one_clear_line(prefix: str) -> None:
    for if_absent in (False, True):
        with pytest.raises(UserError, match="s3://no-such-bucket-here") as error:
            uris.write_bytes("s3://no-such-bucket-here/x", b"1", if_absent=if_absent)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "faults",
    [Faults(error=0.05), Faults(cut=0.05), Faults(slow=0.1, delay_s=0.5)],
    ids=["errors", "cut_connections", "slow_answers"],
)
def test_a_table_survives_a_failing_store(swift: s3_server.Swift, prefix: str, use, faults: Faults) -> None:
    with proxy(swift.port, faults) as endpoint:
        use(s3_server.environment(endpoint))
        write_table(prefix, 12, Recipe("curate", 3))
        assert tables.read(prefix, schema="faces")["x"].to_pylist() == [x for i in range(12) for x in (i, i + 1)]
    assert sum(faults.seen.values()) > 40
    assert faults.seen["sound"] < sum(faults.seen.values())


def test_a_job_reads_and_writes_s3_through_a_failing_store(
    swift: s3_server.Swift, prefix: str, use: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    """The rows that curate writes to Swift, with requests failing, are those that it makes of the same files on disk."""

    def put(path: str, data: bytes) -> None:
        uris.write_bytes(f"{prefix}/photos/{path}", data)
        uris.write_bytes(str(tmp_path / path), data)

    write_photographs(put, humans=12, per_species=1)
    known = load_known_keypoints((tmp_path / "keypoints.json").read_bytes(), "keypoints.json")
    faults = Faults(error=0.04, cut=0.04, seed=1)
    with proxy(swift.port, faults) as endpoint:
        flags = ["--photos", f"{prefix}/photos", "--faces", f"{prefix}/faces", "--part-photos", "8"]
        done = subprocess.run(
            [sys.executable, "-m", "jobs.curate", *flags],
            cwd=REPOSITORY,
            env={**os.environ, **s3_server.environment(endpoint)},
            capture_output=True,
            text=True,
            timeout=240,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    assert faults.seen["error"] > 0
    assert faults.seen["cut"] > 0
    use(swift.settings())
    made = tables.read(f"{prefix}/faces", schema="faces")
    paths = [os.fsencode(uri.removeprefix(f"{prefix}/photos/")) for uri in made["uri"].to_pylist()]
    planned = pa.table({"path": paths, "bytes": [0] * len(paths), "mtime_ns": [0] * len(paths)}, schema=schema.PHOTOS)
    there = CuratePhotos(str(tmp_path), CurateRules(), None, known)(planned)
    assert made.num_rows == 32
    assert made.drop_columns(["uri"]).equals(there.drop_columns(["uri"]))
