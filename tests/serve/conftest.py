"""One application over real HTTP for all tests of the endpoints: the shipped model and bank."""

import json
from collections.abc import Iterator

import httpx
import pytest
from ray import serve

from rupantara.imaging.codec import encode_jpeg
from rupantara.synthetic import draw_face
from serve.app import build
from serve.config import Config
from tests.conftest import REPOSITORY, WEIGHTS

PORT = 8123
SHIPPED = REPOSITORY / "pretrained"


@pytest.fixture(scope="session")
def service(ray_cluster: None) -> Iterator[httpx.Client]:
    config = Config.model_validate(
        {
            "checkpoint": str(SHIPPED / "region_vae"),
            "bank": str(SHIPPED / "bank"),
            "weights": str(WEIGHTS) if WEIGHTS.exists() else "",
            "limits": {"max_body_bytes": 2**20},
            "scale": {"hybrids": {"max_replicas": 1}, "faces": {"max_replicas": 1}},
        }
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(build(config), name="test", route_prefix="/")
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=60) as client:
        yield client
    serve.shutdown()


@pytest.fixture(scope="session")
def drawn():
    return draw_face("human", 999, size=320)


@pytest.fixture(scope="session")
def photo(drawn) -> bytes:
    return encode_jpeg(drawn.image)


@pytest.fixture(scope="session")
def keypoints(drawn) -> str:
    return json.dumps(drawn.keypoints.tolist())
