"""GET /healthz, /readyz and /metrics: for probes and for Prometheus."""

import asyncio
import re
from typing import Any

import fastapi
import httpx
import ray
from fastapi.responses import JSONResponse, PlainTextResponse

from serve.problems import Problem
from serve.routes.answers import ERRORS, ServicesDep, problems

router = fastapi.APIRouter()

OURS = re.compile(r"^(# (HELP|TYPE) )?ray_(serve_(?!long_poll)|rupantara_)")
"""Lines of a node's metrics that are of Serve or of this application."""


@router.api_route("/healthz", methods=["GET", "HEAD"])
async def healthz() -> dict[str, str]:
    """Tell that the process answers, whatever is ready behind it."""
    return {"status": "alive"}


@router.api_route("/readyz", methods=["GET", "HEAD"], responses=problems(503))
async def readyz(request: fastapi.Request, services: ServicesDep) -> JSONResponse:
    """Answer 200 once every configured route can answer; else 503 with the reason of each that cannot."""
    waiting = {name: why for name, why in (await services.states()).items() if why}
    if waiting:
        detail = "; ".join(f"{name}: {why}" for name, why in waiting.items())
        return Problem("not_ready", detail, deployments=waiting).response(request.scope.get("request_id", ""))
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=PlainTextResponse, responses=ERRORS)
async def metrics() -> PlainTextResponse:
    """Return Serve's and this application's metrics of every node, as each node's agent exports them (some 10 s old)."""
    nodes = [node for node in await asyncio.to_thread(ray.nodes) if node["Alive"]]
    async with httpx.AsyncClient(timeout=5, trust_env=False) as client:
        texts = await asyncio.gather(*(_of_node(client, node) for node in nodes))
    seen: dict[str, None] = {}
    for line in (line for text in texts for line in text.splitlines()):
        if OURS.match(line):
            seen[line] = None
    return PlainTextResponse("\n".join(seen) + "\n", media_type="text/plain; version=0.0.4")


async def _of_node(client: httpx.AsyncClient, node: dict[str, Any]) -> str:
    try:
        answer = await client.get(f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics")
    except httpx.HTTPError:
        return ""
    return answer.text
