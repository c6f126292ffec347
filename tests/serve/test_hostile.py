"""Files that people really upload, and callers that mean harm: every answer is a picture or a problem, and none a fault of the server."""

import httpx

from tests.hostile import write_hostile_files
from tests.serve.conftest import PORT

LIMIT = 2**20
ALSO = {"no_face", "animal"}
"""What these drawn faces may be refused for, where the rest of the file is sound."""


def test_the_hostile_files_are_answered_as_curation_judges_them(service, tmp_path):
    allowed = write_hostile_files(tmp_path)
    wrong = {}
    for name in sorted(allowed):
        path = tmp_path / name
        if not path.is_file() or path.stat().st_size > 30 * LIMIT:
            continue
        data = path.read_bytes()
        answer = service.post("/v1/faces", files={"photo": ("x", data, "application/octet-stream")})
        if len(data) > LIMIT - 1024:
            sound = answer.status_code == 413
        elif answer.status_code == 200:
            sound = "accepted" in allowed[name]
        elif answer.status_code == 413:
            sound = answer.json().get("reason") == "too_large"
        else:
            sound = answer.status_code == 422 and answer.json()["reason"] in allowed[name] | ALSO
        if not sound:
            wrong[name] = (answer.status_code, answer.text[:200], allowed[name])
    assert not wrong


def test_odd_requests_get_problems(service):
    multipart = {"content-type": "multipart/form-data; boundary=x"}
    json_type = {"content-type": "application/json"}
    odd = [
        ({"content": b'{"sample": 1' + b" " * 500_000}, json_type),
        ({"content": b'{"amount": ' + b"9" * 100_000 + b"}"}, json_type),
        ({"content": b"[" * 200_000 + b"]" * 200_000}, json_type),
        ({"content": b'{"a":' * 100_000}, json_type),
        ({"content": b"\xff\xfe{}"}, json_type),
        ({"content": b'{"sample": 1, "species": "\\ud800"}'}, json_type),
        ({"content": b'{"sample": 1, "amount": {"' + b"x" * 100_000 + b'": 1}}'}, json_type),
        ({"content": b'{"sample": -1}'}, json_type),
        ({"content": b'{"sample": true}'}, json_type),
        ({"content": b'{"photo": "%%%"}'}, json_type),
        ({"content": b'{"photo": 3}'}, json_type),
        ({"content": b'{"face": ""}'}, json_type),
        ({"content": b"null"}, json_type),
        ({"content": b""}, json_type),
        ({"content": b'--x\r\nContent-Disposition: form-data; name="photo"\r\n\r\nabc'}, multipart),
        ({"content": b"--x--"}, multipart),
        ({"content": b"--x\r\n" * 10_000}, multipart),
        ({"content": b"x"}, {"content-type": "multipart/form-data"}),
        ({"content": b"x"}, {"content-type": "text/html; charset=" + "y" * 1000}),
        ({"data": {f"f{i}": "1" for i in range(100)}, "files": {"photo": b"x"}}, {}),
    ]
    for path in ("/v1/hybrids", "/v1/faces", "/v1/search", "/v1/affinities", "/v1/variations", "/v1/inversions"):
        for request, headers in odd:
            answer = service.post(path, headers=headers, **request)
            assert answer.headers["content-type"] == "application/problem+json", (path, request, answer.text[:200])
            assert answer.status_code in (400, 413, 415, 422), answer.text


def test_uploads_cut_off_in_the_middle_leave_the_server_whole(service):
    def cut():
        yield b'{"photo": "' + b"A" * 100_000
        raise httpx.WriteError("gone")

    for _ in range(5):
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{PORT}", timeout=5) as client:
                client.post("/v1/hybrids", content=cut(), headers={"content-type": "application/json"})
        except httpx.HTTPError:
            continue
    assert service.post("/v1/hybrids", json={"sample": 1}).status_code == 200
