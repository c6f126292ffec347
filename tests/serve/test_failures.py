"""Replicas that die, and limits that all replicas share."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
import ray
from ray._private import state
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from actors.token_buckets import NAMESPACE, SharedBuckets


def test_requests_outlive_the_replica_that_works_on_them(service):
    def ask(number: int) -> int:
        return service.post("/v1/hybrids", json={"sample": number, "species": "nearest"}).status_code

    with ThreadPoolExecutor(4) as callers:
        asked = [callers.submit(ask, number) for number in range(24)]
        while sum(one.done() for one in asked) < 4:
            time.sleep(0.01)
        (replica,) = [
            one for one in state.actors().values() if one["State"] == "ALIVE" and "test#hybrids" in one["Name"]
        ]
        ray.kill(ray.get_actor(replica["Name"], namespace="serve"), no_restart=True)
        assert {one.result() for one in asked} == {200}


def _call_for_ever(actor: ActorHandle) -> NoReturn:
    while True:
        ray.get(actor.__ray_ready__.remote(), timeout=30)


def test_two_replicas_share_a_callers_bucket_and_outlive_its_actor(ray_cluster):
    first, second = SharedBuckets("a test"), SharedBuckets("a test")

    async def take(buckets: SharedBuckets) -> bool:
        return await buckets.take("ann", 0.001, 3) == 0

    async def work() -> list[bool]:
        return [await take(one) for one in (first, second, first, second, first)]

    assert asyncio.run(work()) == [True, True, True, False, False]
    ray.kill(actor := ray.get_actor("token-buckets-a test", namespace=NAMESPACE))
    # A kill is asked for and comes later: until then the old actor, whose bucket is empty, may still answer.
    with pytest.raises(RayActorError):
        _call_for_ever(actor)
    assert asyncio.run(work()) == [True, True, True, False, False]
