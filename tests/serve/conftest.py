"""One application over real HTTP for all tests of the endpoints: the shipped model and bank."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from ray import serve

from rupantara.imaging.codec import encode_jpeg
from rupantara.synthetic import draw_face
from serve.app import build
from serve.config import Config
from tests.conftest import REPOSITORY
from tests.serve import small_models

PORT = 8123
SHIPPED = REPOSITORY / "pretrained"


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="session")
def served_children(small: Path) -> Path:
    return small / "children"


@pytest.fixture(scope="session")
def service(ray_cluster: None, small: Path, served_children: Path) -> Iterator[httpx.Client]:
    config = Config.model_validate(
        {
            "checkpoint": str(SHIPPED / "region_vae"),
            "bank": str(SHIPPED / "bank"),
            "variations": {
                "one": small_models.variations(small / "one", 0),
                "vanilla": str(SHIPPED / "zoo/vanilla"),
            },
            "inversions": {"identity": str(SHIPPED / "inversion/identity")},
            "children": small_models.children(served_children, str(SHIPPED / "region_vae")),
            "refresh_s": 1,
            # A replica that was killed may take long to come back on a slow machine.
            "limits": {"max_body_bytes": 2**20, "deadline_s": 150},
        }
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    serve.run(build(config), name="test", route_prefix="/")
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=180) as client:
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
