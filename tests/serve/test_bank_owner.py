"""A large bank belongs to the application: it says when it does not fit, and its shards end with it."""

import contextlib
import json
import shutil
import time

import httpx
import ray
from ray import serve
from ray._private import state

from actors import room
from rupantara.bank import versions
from serve.app import build
from serve.config import Config
from tests.serve.conftest import PORT, SHIPPED


def shards_alive() -> int:
    return sum(one["ActorClassName"] == "BankShard" and one["State"] == "ALIVE" for one in state.actors().values())


def lost(seconds: float = 120) -> None:
    """Kill the owner of the bank, as a node that goes down does."""
    (owner,) = [one for one in state.actors().values() if one["State"] == "ALIVE" and "owned#bank" in one["Name"]]
    ray.kill(ray.get_actor(owner["Name"], namespace="serve"), no_restart=True)


def until(true, seconds: float = 180) -> None:
    """Wait; no answer within a request's own time is not yet one."""
    end = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TimeoutException):
            if true():
                return
        assert time.monotonic() < end, "took too long"
        time.sleep(0.5)


def test_what_does_not_fit_is_said_in_one_line(ray_cluster):
    needed = room.shard_bytes(versions.latest(str(SHIPPED / "bank")))
    assert room.lacking(needed) == ""
    said = room.lacking([2**50, 2**20])
    assert "2 shards need 1048576.00 GiB" in said
    assert "\n" not in said


def test_a_bank_that_does_not_fit_is_not_ready_and_says_why(service, tmp_path):
    shutil.copytree(SHIPPED / "bank", tmp_path / "bank")
    for path in (tmp_path / "bank").rglob("*.json"):
        told = json.loads(path.read_text())
        for file in told.get("files", []):
            file["rows"] = 10**12
        path.write_text(json.dumps(told))
    shown = {"checkpoint": str(SHIPPED / "region_vae"), "bank": str(tmp_path / "bank"), "bank_in_process_bytes": 0}
    scale = {name: {"num_cpus": 0.1} for name in ("faces", "hybrids")}
    config = Config.model_validate({**shown, "scale": scale})
    target = serve.RunTarget(build(config), name="large", route_prefix="/large")
    serve.run_many([target], wait_for_applications_running=False)
    url = f"http://127.0.0.1:{PORT}/large"
    until(lambda: httpx.get(f"{url}/healthz", timeout=30).status_code == 200)
    until(lambda: "GiB of memory" in httpx.get(f"{url}/readyz", timeout=30).text)
    answer = httpx.get(f"{url}/readyz", timeout=120)
    assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
    assert "bank" in answer.json()["deployments"]
    serve.delete("large")


def test_shards_answer_like_the_bank_in_the_process_and_end_with_the_application(service):
    shown = {"checkpoint": str(SHIPPED / "region_vae"), "bank": str(SHIPPED / "bank"), "bank_in_process_bytes": 0}
    scale = {name: {"max_replicas": 1, "num_cpus": 0.1} for name in ("faces", "hybrids")}
    before = shards_alive()
    serve.run(build(Config.model_validate({**shown, "scale": scale})), name="owned", route_prefix="/owned")
    url = f"http://127.0.0.1:{PORT}/owned"
    until(lambda: httpx.get(f"{url}/readyz", timeout=30).status_code == 200)
    assert shards_alive() == before + 1
    body = {"sample": 3, "species": "wolf"}
    owned, shared = httpx.post(f"{url}/v1/hybrids", json=body, timeout=120), service.post("/v1/hybrids", json=body)
    assert owned.content == shared.content
    lost()
    until(lambda: httpx.post(f"{url}/v1/hybrids", json=body, timeout=60).status_code == 503)
    until(lambda: httpx.post(f"{url}/v1/hybrids", json=body, timeout=60).content == shared.content)
    serve.delete("owned")
    until(lambda: shards_alive() == before)
    assert ray.available_resources()["memory"] > 0
