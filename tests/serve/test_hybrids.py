"""POST /v1/hybrids over real HTTP: what goes in decides what comes out, and the answer says how it was made."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from rupantara.landmarks.regions import REGIONS


def post(service, photo: bytes, keypoints: str, **form: str):
    files = {"photo": ("p.jpg", photo, "image/jpeg")}
    return service.post("/v1/hybrids", files=files, data={"keypoints": keypoints, **form})


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), np.int16)


def test_a_photograph_becomes_a_hybrid_that_says_so(service, photo, keypoints):
    answer = post(service, photo, keypoints, species="tiger")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (256, 256)
    assert "trainedAlgorithmicMedia" in picture.info["DigitalSourceType"]
    told = json.loads(picture.info["Parameters"])
    assert {one["species"] for one in told["regions"].values()} == {"tiger"}
    assert [answer.headers["x-rupantara-model"]] == told["model_sha256"]
    assert "encode;dur=" in answer.headers["server-timing"]
    assert answer.headers["x-request-id"]
    assert post(service, photo, keypoints, species="wolf").content != answer.content


def test_faces_whose_landmarks_are_known_are_rendered_as_bulk_generation_does(service):
    """Their tokens keep the landmarks: an animal's picture is laid on the face, in place of mixed codes."""
    (face,) = service.post("/v1/faces", json={"sample": 7}).json()["faces"]
    answers = [
        service.post("/v1/hybrids", json={**one, "species": "fox"}) for one in ({"sample": 7}, {"face": face["face"]})
    ]
    for answer in answers:
        assert json.loads(Image.open(io.BytesIO(answer.content)).info["Parameters"])["renderer"] == "exemplar"


def test_json_and_a_form_give_the_same_picture(service, photo, keypoints):
    form = post(service, photo, keypoints, species="tiger", amount="0.5")
    body = {"photo": base64.b64encode(photo).decode(), "keypoints": json.loads(keypoints)}
    body |= {"species": "tiger", "amount": 0.5}
    plain = service.post("/v1/hybrids", json=body)
    assert plain.status_code == 200, plain.text
    assert form.content == plain.content
    told = service.post("/v1/hybrids", json={**body, "format": "json"}).json()["pictures"][0]
    assert base64.b64decode(told["picture"]) == plain.content
    assert {name.partition("/")[0] for name in told["scores"]} == set(REGIONS)
    assert (len(told["bank_ids"]), told["seed"]) == (5, 0)


def test_a_face_token_gives_the_photographs_picture(service, photo, keypoints):
    files = {"photo": ("p.jpg", photo, "image/jpeg")}
    (face,) = service.post("/v1/faces", files=files, data={"keypoints": keypoints}).json()["faces"]
    again = service.post("/v1/hybrids", json={"face": face["face"], "species": "tiger"})
    first = post(service, photo, keypoints, species="tiger")
    np.testing.assert_allclose(pixels(again.content), pixels(first.content), atol=1)


def test_amount_and_species_by_region_change_their_regions_alone(service):
    def made(**fields) -> dict:
        return service.post("/v1/hybrids", json={"sample": 3, "format": "json", **fields}).json()["pictures"][0]

    none = made(amount=0)
    eyes = made(species={"eyes": "fox"}, amount={"eyes": 1})
    both = made(species={"eyes": "fox", "ears": "bear"}, amount={"eyes": 1, "ears": 0.5})
    assert {name for name in eyes["scores"] if not name.startswith("fit/")} == {"eyes/0"}
    assert both["parameters"]["regions"]["ears"]["species"] == "bear"
    before, after = (pixels(base64.b64decode(one["picture"])) for one in (none, eyes))
    moved = np.abs(after - before).sum(-1)
    assert moved[90:130, 60:200].mean() > 10 * max(moved[180:].mean(), 0.01)


@pytest.mark.parametrize(("accept", "form"), [("image/webp", "WEBP"), ("image/jpeg", "JPEG"), ("*/*", "PNG")])
def test_the_form_follows_accept_and_every_form_says_synthetic(service, accept, form):
    answer = service.post("/v1/hybrids", json={"sample": 3, "species": "cat"}, headers={"accept": accept})
    assert Image.open(io.BytesIO(answer.content)).format == form
    assert b"trainedAlgorithmicMedia" in answer.content


def test_several_photographs_are_answered_each_with_its_picture_or_its_problem(service, photo):
    files = [("photos", ("a.jpg", photo, "image/jpeg")), ("photos", ("b.jpg", b"no picture", "image/jpeg"))]
    first, second = service.post("/v1/hybrids", files=files, data={"species": "lion"}).json()["pictures"]
    assert "picture" in first
    assert second["problem"]["reason"] == "undecodable"


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"species": "unicorn"}, "species must be one of"),
        ({"regions": "chin"}, "regions must be of"),
        ({"amount": "3"}, "amount of"),
        ({"amount": "much"}, "amount"),
        ({"amount": "nan"}, "amount"),
        ({"keypoints": "[[1, 2]]"}, "keypoints must be"),
        ({"keypoints": "[[1e999, 2], [3, 4], [5, 6]]"}, "must be finite"),
        ({"keypoints": "[[1" + "0" * 400 + ", 2], [3, 4], [5, 6]]"}, "digits"),
        ({"keypoints": "[" * 100_000}, "nested"),
        ({"wieght": "0.2"}, "wieght"),
        ({"amount": '{"eyes": 1, "eyes": 0}'}, "twice"),
        ({"which": "5"}, "which must be from 0 to below"),
        ({"which": "-1"}, "which must be from 0 to below"),
        ({"format": "gif"}, "format"),
        ({"sample": "3"}, "one of photo, face and sample"),
    ],
)
def test_wrong_parameters_are_named(service, photo, keypoints, form, said):
    answer = post(service, photo, **{"keypoints": keypoints, **form})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json"), answer.text
    assert said in answer.json()["detail"]


def test_a_file_or_a_field_given_twice_is_refused(service, photo):
    one, other = ("photo", ("a.jpg", photo, "image/jpeg")), ("photo", ("b.jpg", photo, "image/jpeg"))
    for twice in ({"files": [one, other]}, {"files": [one], "data": {"species": ["fox", "wolf"]}}):
        answer = service.post("/v1/hybrids", **twice)
        assert (answer.status_code, "twice" in answer.json()["detail"]) == (400, True)


def test_what_is_no_picture_or_has_no_face_says_so(service, photo, keypoints):
    for data, points, reason in (
        (b"<html>", keypoints, "undecodable"),
        (photo[: len(photo) // 2], keypoints, "truncated"),
        (photo, json.dumps([[1e5, 2], [3, 4], [5, 6]]), "bad_keypoints"),
    ):
        answer = post(service, data, points)
        assert (answer.status_code, answer.json()["reason"]) == (422, reason)


def test_a_token_that_was_changed_is_refused(service):
    face = service.post("/v1/faces", json={"sample": 1}).json()["faces"][0]["face"]
    other = "AAAA" if face[3000:3004] != "AAAA" else "BBBB"
    for wrong in (face[:-8], "no token", face[:3000] + other + face[3004:]):
        answer = service.post("/v1/hybrids", json={"face": wrong})
        assert (answer.status_code, answer.json()["code"]) == (400, "wrong_parameter"), answer.text
