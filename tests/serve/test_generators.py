"""Variations, inversions and children over real HTTP, and models that change while they are served."""

import base64
import io
import time

import numpy as np
from PIL import Image

from rupantara.generation import child_loading, decoder_loading, zoo_loading
from rupantara.generation.face import FaceCrop
from rupantara.generation.variation import VariationGenerator, VariationRequest
from serve.client import Client
from tests.serve import small_models
from tests.serve.conftest import PORT, SHIPPED


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_variations_are_the_generators_own_and_models_go_by_name(service, tmp_path):
    (face,) = service.post("/v1/faces", json={"sample": 5}).json()["faces"]
    body = {"face": face["face"], "count": 3, "seed": 4}
    found = {
        name: service.post("/v1/variations", json={**body, "model": name}).json()["pictures"]
        for name in ("one", "vanilla")
    }
    assert [len(rows) for rows in found.values()] == [3, 3]
    shas = {name: {row["model_sha256"][0] for row in rows} for name, rows in found.items()}
    assert all(len(sha) == 1 for sha in shas.values())
    assert shas["one"] != shas["vanilla"]
    told = service.get("/v1/models").json()["models"]
    assert {told["variations:one"]["model_sha256"]} == shas["one"]
    loaded = zoo_loading.load(small_models.variations(tmp_path, 0))
    crop = FaceCrop.of("sample-0-5", pixels(base64.b64decode(face["picture"])))
    ((expected, *_),) = VariationGenerator(loaded).generate([VariationRequest(crop, 3, seed=4)])
    served = pixels(base64.b64decode(found["one"][0]["picture"])).astype(int)
    # The token's own picture is no JPEG.
    assert np.abs(served - expected.picture.astype(int)).mean() < 3


def test_an_unknown_model_and_too_many_pictures_are_named(service):
    for fields, said in (
        ({"model": "three"}, "model must be one of one, vanilla"),
        ({"count": 60}, "count must be at most"),
    ):
        answer = service.post("/v1/variations", json={"sample": 1, **fields})
        assert (answer.status_code, said in answer.json()["detail"]) == (400, True), answer.text


def test_a_vector_becomes_a_face_and_its_texture(service):
    standardize = decoder_loading.load_face(str(SHIPPED / "inversion/identity")).model.texture.standardize
    noise = np.random.default_rng(0).standard_normal(len(standardize.mean))
    vector = (standardize.mean.numpy() + standardize.spread.numpy() * noise).tolist()
    made = service.post("/v1/inversions", json={"vector": vector, "format": "json"}).json()["pictures"]
    assert [one["kind"] for one in made] == ["inversion", "texture"]
    again = service.post("/v1/inversions", json={"vector": vector})
    assert again.content == base64.b64decode(made[0]["picture"])
    wrong = service.post("/v1/inversions", json={"vector": [1.0, 2.0]})
    assert (wrong.status_code, "numbers" in wrong.json()["detail"]) == (400, True)
    zero = service.post("/v1/inversions", json={"vector": [0.0] * len(vector)})
    assert (zero.status_code, zero.json()["reason"]) == (422, "zero")


def test_a_photograph_and_a_sampled_person_become_the_faces_of_their_vectors(service, photo, keypoints):
    told = service.get("/v1/models").json()["models"]["inversions:identity"]
    assert (told["vector"], told["dim"], told["of_photographs"]) == ("identity", 128, True)
    form = {"files": {"photo": ("p.jpg", photo, "image/jpeg")}, "data": {"keypoints": keypoints}}
    answers = [
        service.post("/v1/inversions", **form),
        *(service.post("/v1/inversions", json={"sample": n}) for n in (1, 2)),
    ]
    assert [answer.status_code for answer in answers] == [200, 200, 200], answers[0].text
    assert len({answer.content for answer in answers}) == 3
    assert all(pixels(answer.content).std() > 10 for answer in answers)


def test_children_take_after_the_dominant_parent(service):
    def made(dominance: float) -> np.ndarray:
        body = {"first": {"sample": 1}, "second": {"sample": 2}, "dominance": dominance, "variation": 0}
        return pixels(service.post("/v1/children", json={**body, "surroundings": "neutral"}).content).astype(int)

    first, between, second = (made(d) for d in (1.0, 0.0, -1.0))
    assert np.abs(first - second).mean() > np.abs(first - between).mean() > 0
    same = service.post("/v1/children", json={"first": {"sample": 1}, "second": {"sample": 1}})
    assert (same.status_code, same.json()["reason"]) == (422, "same_face")


def test_siblings_come_together_and_say_how_they_were_made(service):
    with Client(f"http://127.0.0.1:{PORT}") as client:
        found = client.children(first={"sample": 1}, second={"sample": 2}, count=3, dominance={"mouth": 1.0})
    assert [one.parameters["sibling"] for one in found] == [0, 1, 2]
    assert len({one.data for one in found}) == 3
    assert found[0].kind == "child"


def test_a_new_checkpoint_is_taken_over_without_a_failed_request(service, served_children):
    loaded = child_loading.load(str(served_children), str(SHIPPED / "region_vae"))
    config = child_loading.config_dict(loaded.net.config, "region_vae", loaded.codec.sha256)
    loaded.net.requires_grad_(False).mean.add_(0.01)
    body = {"first": {"sample": 1}, "second": {"sample": 2}}
    before = service.get("/v1/models").json()["models"]["children"]["model_sha256"]
    small_models.write(served_children, config, loaded.net)
    end, now = time.monotonic() + 60, before
    while now == before and time.monotonic() < end:
        assert service.post("/v1/children", json=body).status_code == 200
        now = service.get("/v1/models").json()["models"]["children"]["model_sha256"]
    assert now != before
