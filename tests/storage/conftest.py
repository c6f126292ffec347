"""One S3 server for the session, and `place`: an empty folder, once on disk and once on S3, for laws that hold on both."""

import threading
from collections.abc import Iterator

import boto3
import pytest

from rupantara.errors import UserError
from rupantara.storage import uris

BUCKET = "rupantara-laws"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Start moto's server, point the standard AWS variables at it, and return the URI of an empty bucket."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    _make_puts_atomic()
    server.start()
    host, port = server.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": host,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        uris._s3.cache_clear()
        boto3.DEFAULT_SESSION = None
        _client().create_bucket(Bucket=BUCKET)
        _client().put_object(Bucket=BUCKET, Key="probe", Body=b"put by boto3")
        yield f"s3://{BUCKET}"
    uris._s3.cache_clear()
    boto3.DEFAULT_SESSION = None
    server.stop()


def _make_puts_atomic() -> None:
    """Let moto work on one write at a time: S3 itself looks whether a key is there and writes it in one step, moto in two."""
    from moto.s3.responses import S3Response

    lock, put = threading.Lock(), S3Response.put_object

    def alone(self, *args, **kwargs):
        with lock:
            return put(self, *args, **kwargs)

    S3Response.put_object = alone


def _client():
    import boto3

    return boto3.client("s3")


@pytest.fixture(scope="session")
def endpoint_is_honoured(s3_server: str) -> bool:
    try:
        return uris.exists(f"{s3_server}/probe")
    except UserError:
        return False


@pytest.fixture
def s3(s3_server: str, endpoint_is_honoured: bool, request: pytest.FixtureRequest) -> str:
    """An S3 prefix of this test's own."""
    if not endpoint_is_honoured:
        pytest.skip("test_s3.py::test_the_endpoint_comes_from_the_environment fails: nothing else on S3 can hold")
    return f"{s3_server}/{abs(hash(request.node.nodeid)):x}"


@pytest.fixture(params=["local", "s3"])
def place(request: pytest.FixtureRequest) -> str:
    """An empty folder on disk, then an empty prefix on S3."""
    if request.param == "s3":
        return request.getfixturevalue("s3")
    return str(request.getfixturevalue("tmp_path") / "place")
