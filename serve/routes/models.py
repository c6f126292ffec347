"""GET /v1/models and /v1/species: what is served."""

import asyncio
from typing import Any

import fastapi

from rupantara.landmarks.regions import REGIONS
from serve.problems import Problem
from serve.routes.answers import ERRORS, ServicesDep

router = fastapi.APIRouter()

ROUTES = {"hybrids": "hybrids", "faces": "hybrids", "search": "hybrids", "affinities": "hybrids"}
"""Route -> the deployment without which it is not configured."""


@router.get("/v1/models", responses=ERRORS)
async def models(services: ServicesDep) -> dict[str, Any]:
    """Return each deployment's models by name, and the routes that this server was started for."""
    names = [name for name in services.handles if name not in ("faces", "bank")]
    found = dict(zip(names, await asyncio.gather(*(services.about(name) for name in names)), strict=True))
    named = {name.partition(":")[0] for name in services.handles}
    routes = sorted(route for route, needs in ROUTES.items() if needs in named)
    routes += sorted(name for name in named if name in ("variations", "inversions", "children"))
    return {"models": found, "routes": routes, "regions": list(REGIONS)}


@router.get("/v1/species", responses=ERRORS)
async def species(services: ServicesDep) -> dict[str, Any]:
    """Return the species of the bank."""
    if "hybrids" not in services.handles or not services.config.bank:
        raise Problem("not_configured", "this server was started without a bank")
    about = await services.about("hybrids")
    if "species" not in about:
        raise Problem("not_ready", "the bank is not ready")
    return {"species": about["species"], "bank": about["bank"]}
