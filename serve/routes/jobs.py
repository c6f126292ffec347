"""GET /v1/jobs/NAME: how a request is that became a job (202 of /v1/hybrids)."""

import asyncio
from typing import Any

import fastapi

from serve.problems import Problem
from serve.routes.answers import ERRORS, ServicesDep, problems

router = fastapi.APIRouter()


@router.get("/v1/jobs/{name}", responses={**ERRORS, **problems(404)})
async def job(name: str, services: ServicesDep) -> dict[str, Any]:
    """Return pending, running, succeeded (with the URIs of its tables) or failed."""
    if services.jobs is None:
        raise Problem("not_configured", "this server was started without a place for jobs (jobs=URI)")
    return await asyncio.to_thread(services.jobs.status, name)
