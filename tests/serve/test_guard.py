"""Tokens, rates and bounds, without Ray: the guard before an application that reads its body and says ok."""

import asyncio
import pickle
import subprocess
import sys

import httpx
import pytest

from actors.token_buckets import Buckets
from rupantara.errors import UserError
from serve import auth
from serve.auth import Tokens, hashed, is_loopback
from serve.config import Limits
from serve.guard import Guard
from serve.problems import Problem

TOKEN = "a-token-of-some-length"


async def app(scope, receive, send):
    more = True
    while more:
        message = await receive()
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"ok"})


async def slowly(scope, receive, send):
    await asyncio.sleep(0.2)
    await app(scope, receive, send)


def client(tokens: Tokens, limits: Limits | None = None, inner=app) -> httpx.AsyncClient:
    buckets = Buckets()

    async def take(name: str, rate: float, burst: float) -> float:
        return buckets.take(name, rate, burst)

    transport = httpx.ASGITransport(Guard(inner, tokens, limits or Limits(), take))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_wrong_and_missing_tokens_are_refused_and_right_ones_are_not(tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# callers\nann sha256={hashed(TOKEN)}\n")

    async def work():
        async with client(Tokens(str(file), "bob:another-token-of-length")) as http:
            wrong = ({}, bearer("wrong"), bearer(""), {"authorization": TOKEN}, {"authorization": f"Basic {TOKEN}"})
            for headers in wrong:
                answer = await http.get("/v1/models", headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "no_token")
                assert answer.headers["www-authenticate"].startswith("Bearer")
            for token in (TOKEN, "another-token-of-length"):
                assert (await http.get("/v1/models", headers=bearer(token))).status_code == 200
            for path in ("/", "/docs", "/healthz", "/readyz", "/page/app.js"):
                assert (await http.get(path)).status_code == 200
            assert (await http.get("/metrics")).status_code == 401

    asyncio.run(work())


def test_tokens_are_rotated_without_a_restart(tmp_path, monkeypatch):
    monkeypatch.setattr(auth, "LOOK_AGAIN_S", 0.0)
    file = tmp_path / "tokens"
    old, new = (f"ann sha256={hashed(token)}\n" for token in ("the-old-token-1234", "the-new-token-1234"))
    file.write_text(old)
    tokens = Tokens(str(file), "")
    assert tokens.caller("Bearer the-old-token-1234")
    file.write_text(old + new)
    assert tokens.caller("Bearer the-new-token-1234")
    assert tokens.caller("Bearer the-old-token-1234")
    file.write_text("half a li")
    assert tokens.caller("Bearer the-new-token-1234")
    file.write_text(new)
    assert tokens.caller("Bearer the-new-token-1234")
    assert not tokens.caller("Bearer the-old-token-1234")


def test_no_address_beyond_loopback_is_served_without_tokens():
    for host in ("0.0.0.0", "::", "10.1.2.3", "example.org", ""):
        with pytest.raises(UserError, match="tokens must be given"):
            auth.require(host, Tokens("", ""))
        auth.require(host, Tokens("", f"ann:{TOKEN}"))
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert is_loopback(host)
        auth.require(host, Tokens("", ""))


def test_serve_ends_at_once_in_one_line_where_tokens_lack():
    found = subprocess.run([sys.executable, "-m", "serve", "host=0.0.0.0"], capture_output=True, text=True, timeout=60)
    assert found.returncode == 2
    assert "tokens must be given" in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_a_made_token_is_known_by_its_line(tmp_path):
    command = [sys.executable, "-m", "serve.auth", "ann", "rate=5", "burst=2"]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    token, file = made.stderr.split()[-1], tmp_path / "tokens"
    file.write_text(made.stdout)
    caller = Tokens(str(file), "").caller(f"Bearer {token}")
    assert caller is not None
    assert (caller.name, caller.rate_per_s, caller.burst) == ("ann", 5, 2)
    assert token not in made.stdout


def test_ten_callers_have_ten_limits(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("".join(f"c{i} sha256={hashed(f'token-{i}')} rate=0.001 burst={i + 1}\n" for i in range(10)))

    async def work():
        async with client(Tokens(str(file), "")) as http:
            for i in range(10):
                found = [(await http.get("/v1/models", headers=bearer(f"token-{i}"))) for _ in range(12)]
                assert [answer.status_code for answer in found] == [200] * (i + 1) + [429] * (11 - i)
                assert int(found[-1].headers["retry-after"]) > 1

    asyncio.run(work())


def test_a_bucket_fills_again():
    now = [0.0]
    buckets = Buckets(lambda: now[0])
    assert [buckets.take("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]
    now[0] = 0.5
    assert [buckets.take("a", 2, 3) for _ in range(2)] == [0, 0.5]
    now[0] = 100
    assert [buckets.take("a", 2, 3) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b", 2, 3) == 0


def test_too_many_at_a_time_get_a_503_and_too_long_a_body_a_413():
    async def work():
        async with client(Tokens("", ""), Limits(max_in_flight=2, max_body_bytes=1024), slowly) as http:
            answers = await asyncio.gather(*(http.get("/v1/models") for _ in range(5)))
            assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
            assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
            assert (await http.post("/v1/hybrids", content=b"x" * 2000)).status_code == 413
            assert (await http.get("/v1/models")).status_code == 200

    asyncio.run(work())


def test_a_slow_body_is_given_up():
    async def slow():
        yield b"{"
        await asyncio.sleep(5)

    async def work():
        async with client(Tokens("", ""), Limits(body_s=0.05)) as http:
            answer = await http.post("/v1/hybrids", content=slow())
            assert (answer.status_code, answer.json()["code"]) == (408, "slow_body")

    asyncio.run(work())


def test_pages_of_other_sites_and_names_are_refused_without_tokens():
    async def work():
        async with client(Tokens("", "")) as http:
            assert (await http.post("/v1/hybrids", headers={"sec-fetch-site": "cross-site"})).status_code == 403
            assert (await http.post("/v1/hybrids", headers={"host": "evil.example"})).status_code == 403
            for host in ("127.0.0.1:8000", "localhost", "[::1]:8000", "[::1]"):
                assert (await http.post("/v1/hybrids", headers={"host": host})).status_code == 200

    asyncio.run(work())


def test_a_problem_survives_the_way_between_processes():
    problem = pickle.loads(pickle.dumps(Problem("not_made", "why", reason="x")))
    assert (problem.status, problem.detail, problem.more) == (422, "why", {"reason": "x"})
