"""The other routes over real HTTP: probes, documents, search, affinities, and errors that all have one shape."""

import base64
import contextlib
import io
import json

import httpx
import pytest
from PIL import Image

from rupantara.bank import versions
from rupantara.landmarks.regions import REGIONS
from serve.bank import LocalBank
from serve.client import Client, ServerProblem
from serve.hybrids import HybridMaker
from tests.serve.conftest import PORT, SHIPPED

JSON = {"content-type": "application/json"}


def test_alive_and_ready_answer_get_and_head(service):
    for path in ("/healthz", "/readyz"):
        assert service.get(path).status_code == 200, service.get(path).text
        head = service.head(path)
        assert (head.status_code, head.content) == (200, b"")


def test_search_and_affinities_are_the_banks_own(service):
    maker = HybridMaker(str(SHIPPED / "region_vae"), LocalBank(versions.latest(str(SHIPPED / "bank"))), 1)
    face = maker.sample(5, 0.8)
    found = service.post("/v1/search", json={"sample": 5, "regions": ["nose"], "k": 4}).json()["regions"]
    expected = maker.search(face, ["nose"], 4, "")["nose"]
    assert [one["bank_id"] for one in found["nose"]] == [one["bank_id"] for one in expected]
    told = service.post("/v1/affinities", json={"sample": 5}).json()["regions"]
    assert set(told) == set(REGIONS)
    assert told["eyes"] == pytest.approx(maker.affinity(face)["eyes"], abs=1e-4)


def test_nearest_animals_show_what_is_near(service):
    body = {"sample": 5, "regions": ["nose", "ears"], "k": 3}
    plain = service.post("/v1/search", json=body).json()["regions"]
    shown = service.post("/v1/search", json={**body, "pictures": True}).json()["regions"]
    again = service.post("/v1/search", json={**body, "pictures": True}).json()["regions"]
    assert shown == again
    files = set()
    for region, hits in shown.items():
        assert [{k: hit[k] for k in ("bank_id", "species", "cosine")} for hit in hits] == plain[region]
        for hit in hits:
            data = base64.b64decode(hit["picture"])
            picture = Image.open(io.BytesIO(data))
            assert (picture.format, picture.size, hit["photograph"]) == ("JPEG", (96, 96), False)
            assert b"trainedAlgorithmicMedia" in data
            files.add(data)
    assert len(files) == 6, "each feature is shown by itself"
    much = service.post("/v1/search", json={"sample": 5, "k": 11, "pictures": True})
    assert (much.status_code, much.json()["code"]) == (400, "wrong_parameter")


def test_every_error_is_a_problem(service):
    form = {"content-type": "multipart/form-data; boundary=x"}
    cases = [
        (service.get("/nothing"), 404, "not_found"),
        (service.get("/page/nothing.js"), 404, "not_found"),
        (service.get("/v1/hybrids"), 405, "wrong_method"),
        (service.post("/v1/hybrids", content=b"x", headers={"content-type": "text/plain"}), 415, "wrong_media_type"),
        (service.post("/v1/hybrids?amount=1", json={"sample": 1}), 400, "wrong_parameter"),
        (service.post("/v1/hybrids", content=b"no form", headers=form), 400, "wrong_parameter"),
        (service.post("/v1/hybrids", content=b"[1]", headers=JSON), 400, "wrong_parameter"),
        (service.post("/v1/hybrids", content=b"x" * 2_000_000, headers=JSON), 413, "too_large"),
        (service.get("/v1/models", headers={"host": "evil.example"}), 403, "forbidden"),
    ]
    for answer, status, code in cases:
        assert answer.headers["content-type"] == "application/problem+json", answer.text
        told = answer.json()
        assert (answer.status_code, told["status"], told["code"]) == (status, status, code), answer.text
        assert told["detail"]
        assert told["type"].startswith("/docs#problem-")


def test_a_body_of_unknown_length_is_refused_before_it_is_whole(service):
    sent = 0

    def endless():
        nonlocal sent
        for _ in range(2048):
            sent += 2**16
            yield b"0" * 2**16

    # The connection may be cut while the body is still being written.
    with contextlib.suppress(httpx.HTTPError):
        assert service.post("/v1/hybrids", content=endless(), headers=JSON).status_code == 413
    assert sent < 2048 * 2**16


def test_pages_take_nothing_from_elsewhere(service):
    for path in ("/", "/docs"):
        page = service.get(path)
        assert page.status_code == 200
        assert "text/html" in page.headers["content-type"]
        assert "//" not in page.text.replace("http://www.w3.org", "").replace("// ", "")


def test_examples_of_the_openapi_document_work_as_pasted(service):
    document = service.get("/openapi.json").json()
    worked = 0
    for path, verbs in document["paths"].items():
        if "post" in verbs:
            example = verbs["post"]["requestBody"]["content"]["application/json"]["example"]
            answer = service.post(path, json=example)
            assert answer.status_code == 200, (path, answer.text)
            worked += 1
    assert worked >= 7


def test_models_and_species_say_what_is_served(service):
    assert "tiger" in service.get("/v1/species").json()["species"]
    told = service.get("/v1/models").json()
    assert told["models"]["hybrids"]["size"] == 256
    assert "hybrids" in told["routes"]


def test_metrics_are_of_this_application(service):
    answer = service.get("/metrics")
    assert answer.status_code == 200
    assert all(line.startswith(("ray_", "#")) for line in answer.text.splitlines() if line)


def test_a_client_that_leaves_in_the_middle_harms_nobody(service):
    body = json.dumps({"sample": 1, "species": "nearest"})
    for _ in range(5):
        with pytest.raises(httpx.TimeoutException):
            httpx.post(f"http://127.0.0.1:{PORT}/v1/hybrids", content=body, headers=JSON, timeout=0.01)
    assert service.post("/v1/hybrids", content=body, headers=JSON).status_code == 200


def test_the_client_gets_pictures_and_the_servers_own_errors(service, photo, keypoints):
    with Client(f"http://127.0.0.1:{PORT}") as client:
        assert client.ready()
        assert "tiger" in client.species()
        (face,) = client.faces(photo=photo, keypoints=json.loads(keypoints))
        made = client.hybrid(face=face.face, species={"eyes": "tiger"}, amount={"eyes": 0.5})
        assert made.parameters["regions"]["eyes"]["species"] == "tiger"
        assert made.data.startswith(b"\x89PNG")
        assert set(client.search(face=face.face)) == set(client.affinities(face=face.face)) == set(REGIONS)
        with pytest.raises(ServerProblem, match="species must be one of") as refused:
            client.hybrid(sample=1, species="unicorn")
        assert (refused.value.status, refused.value.code) == (400, "wrong_parameter")
