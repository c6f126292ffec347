"""Affinities and nearest animals by likeness: the library's own, in an application that has a bank of region features."""

import base64

import httpx
import pytest
from ray import serve

from serve.app import build
from serve.config import Config
from serve.faces import FaceFinder
from serve.likeness import LikenessMaker, by_region, nearest
from tests.serve import small_models
from tests.serve.conftest import PORT


def test_answers_are_the_librarys_and_say_what_they_mean(service, small, photo):
    config = Config.model_validate({"likeness": small_models.likeness(small)})
    serve.run(build(config), name="likeness", route_prefix="/likeness")
    with httpx.Client(base_url=f"http://127.0.0.1:{PORT}/likeness", timeout=60) as client:
        body = {"photo": base64.b64encode(photo).decode()}
        told = client.post("/v1/affinities", json=body).json()
        found = client.post("/v1/search", json={**body, "regions": ["nose"], "k": 4, "species": "dog"}).json()
        hybrid = client.post("/v1/hybrids", json=body)
    serve.delete("likeness")
    maker = LikenessMaker(config)
    (expected,) = maker.compare(FaceFinder("", 10**7).find(photo), 100)
    assert told["measure"] == maker.measure
    for region, values in by_region(expected).items():
        assert told["regions"][region] == pytest.approx(values, abs=1e-3)
    assert len(told["details"]) == 5 * 3
    ids = [one["bank_id"] for one in nearest(expected, ["nose"], 4, "dog")["nose"]]
    assert [one["bank_id"] for one in found["regions"]["nose"]] == ids
    assert {one["species"] for one in found["regions"]["nose"]} == {"dog"}
    assert (hybrid.status_code, hybrid.json()["code"]) == (503, "not_configured")
