"""The endpoint over real HTTP: a photograph in, a hybrid out, and clear answers to wrong input."""

import io
import json

import httpx
import numpy as np
import pytest
from PIL import Image
from ray import serve

from rupantara.imaging.codec import encode_jpeg
from rupantara.synthetic import draw_face
from serve.app import Settings, build
from tests.conftest import WEIGHTS

URL = "http://127.0.0.1:8123"


@pytest.fixture(scope="module")
def service(run):
    weights = str(WEIGHTS) if WEIGHTS.exists() else ""
    settings = Settings(checkpoint=run.checkpoint, bank=run.bank, weights=weights, max_replicas=1, num_cpus=0.5)
    serve.start(http_options={"host": "127.0.0.1", "port": 8123})
    serve.run(build(settings), name="test", route_prefix="/")
    with httpx.Client(base_url=URL, timeout=60) as client:
        yield client
    serve.shutdown()


@pytest.fixture(scope="module")
def face():
    return draw_face("human", 999, size=320)


def post(client, image: bytes, **form: str) -> httpx.Response:
    return client.post("/v1/hybrids", files={"photo": ("p.jpg", image, "image/jpeg")}, data=form)


def test_health(service):
    assert service.get("/healthz").json() == {"status": "ok"}


def test_a_photograph_becomes_a_hybrid_that_says_so(service, face):
    answer = post(service, encode_jpeg(face.image), species="tiger", keypoints=json.dumps(face.keypoints.tolist()))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (64, 64)
    assert json.loads(picture.info["Parameters"])["species"] == "tiger"
    other = post(service, encode_jpeg(face.image), species="wolf", keypoints=json.dumps(face.keypoints.tolist()))
    assert other.content != answer.content


def test_the_same_request_gives_the_same_picture(service, face):
    form = {"species": "nearest", "keypoints": json.dumps(face.landmarks.tolist())}
    first, second = (post(service, encode_jpeg(face.image), **form) for _ in range(2))
    assert first.content == second.content


@pytest.mark.parametrize(
    ("form", "status", "said"),
    [
        ({"species": "unicorn"}, 400, "species must be one of"),
        ({"regions": "chin"}, 400, "regions must be of"),
        ({"weight": "3"}, 400, "weight must be in"),
        ({"keypoints": "[[1, 2]]"}, 400, "keypoints must be"),
        ({"weight": "much"}, 400, "weight: "),
        ({"wieght": "0.2"}, 400, "got wieght"),
        ({"keypoints": "[[1e999, 2], [3, 4], [5, 6]]"}, 400, "keypoints must be finite"),
    ],
)
def test_wrong_parameters_are_named(service, face, form, status, said):
    answer = post(service, encode_jpeg(face.image), **form)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_parameters_in_the_address_and_bodies_that_are_no_form_are_named(service, face):
    files = {"photo": ("p.jpg", encode_jpeg(face.image), "image/jpeg")}
    answer = service.post("/v1/hybrids?weight=0.2", files=files)
    assert (answer.status_code, "got weight" in answer.json()["error"]) == (400, True), answer.text
    headers = {"content-type": "multipart/form-data; boundary=x"}
    answer = service.post("/v1/hybrids", content=b"no form", headers=headers)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True), answer.text


def test_a_request_without_a_photograph_says_so(service):
    answer = service.post("/v1/hybrids", data={"species": "tiger"})
    assert (answer.status_code, "photo: " in answer.json()["error"]) == (400, True), answer.text


def test_bytes_that_are_no_picture_get_a_422(service):
    answer = post(service, b"<html>")
    assert answer.status_code == 422
    assert answer.json()["reject"]["reason"] == "undecodable"


def test_a_picture_without_a_face_gets_a_422(service):
    if not WEIGHTS.exists():
        pytest.skip("the detector's weights are not on this machine")
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3)).astype(np.uint8)
    answer = post(service, encode_jpeg(noise))
    assert answer.status_code == 422
    assert answer.json()["error"] == "no usable face: no_face"


def test_the_detector_finds_the_uploaded_face(service, face):
    if not WEIGHTS.exists():
        pytest.skip("the detector's weights are not on this machine")
    assert post(service, encode_jpeg(face.image), species="cat").status_code == 200
