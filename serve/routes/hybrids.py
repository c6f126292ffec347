"""POST /v1/hybrids: a person's face with an animal's regions."""

import asyncio
from typing import Annotated, Literal

import fastapi
from fastapi.responses import JSONResponse, Response
from pydantic import Field

from rupantara.generation.donors import NEAREST
from rupantara.generation.retrieval import DonorRule
from serve.bodies import FaceBody, by_region, picture_bytes, read_as
from serve.hybrids import HybridAsk
from serve.jobs import Jobs, hybrid_command
from serve.pictures import Format
from serve.problems import Problem
from serve.routes.answers import ERRORS, PICTURES, Made, ServicesDep, Wanted, WorkDep, answer_each, documented, wanted
from serve.services import Services, Work

router = fastapi.APIRouter()


class HybridBody(FaceBody):
    """A face and what each of its regions takes from which animal."""

    photos: list[bytes | str] | None = Field(None, description="several photographs: a hybrid of each, in JSON")
    species: str | dict[str, str] = Field(NEAREST, description="a species of the bank or nearest; or one by region")
    regions: list[str] | None = Field(None, description="the regions that are mixed; all by default")
    amount: float | dict[str, float] = Field(1.0, description="0 = the person's, 1 = the animal's; or one by region")
    path: Literal["linear", "spherical"] = Field("linear", description="the path between the two codes")
    donor: Literal["animal", "region"] = Field(
        "animal", description="one animal lends all regions, or each its nearest"
    )
    seed: int = Field(0, ge=0, lt=2**31)
    format: Wanted | None = Field(None, description="form of the answer; else the header Accept decides, else PNG")
    picture: Format = Field("png", description="form of the pictures inside JSON")


EXAMPLE = {
    "sample": 7,
    "species": {"eyes": "tiger", "ears": "fox"},
    "amount": {"eyes": 1.0, "ears": 0.8},
    "format": "json",
}


@router.post(
    "/v1/hybrids",
    response_class=Response,
    responses={**PICTURES, **ERRORS},
    openapi_extra=documented(HybridBody, EXAMPLE),
)
async def make_hybrids(
    request: fastapi.Request,
    body: Annotated[HybridBody, fastapi.Depends(read_as(HybridBody))],
    services: ServicesDep,
    work: WorkDep,
) -> Response:
    """Mix each region of a face with the nearest animal's of a species, by its amount."""
    several = body.photos is not None
    form = wanted(request, body.format, several)
    sources: list[bytes | str | None] = [None] if body.photos is None else list(body.photos)
    most = services.config.limits.max_pictures
    if several and len(sources) > most and services.jobs is not None and not body.given():
        return await as_job(services, services.jobs, body, sources)
    if several and (body.given() or not 1 <= len(sources) <= most):
        raise Problem("wrong_parameter", f"photos must be 1 to {most} and the only source, got {len(sources)}")
    made = await asyncio.gather(*(_one(services, work, body, photo) for photo in sources), return_exceptions=several)
    return await answer_each(work, made, form, body.picture)


async def as_job(services: Services, jobs: Jobs, body: HybridBody, sources: list[bytes | str | None]) -> Response:
    """Begin a job over the photographs and answer where to ask for it."""
    most = services.config.limits.max_job_pictures
    if isinstance(body.species, dict) or body.keypoints is not None or len(sources) > most:
        raise Problem("wrong_parameter", f"a job takes one species, no keypoints and at most {most} photos")
    amounts = by_region(body.amount, body.regions, "amount")
    photos = [picture_bytes(photo or b"", "photos") for photo in sources]
    name = await asyncio.to_thread(jobs.store, photos)
    command = hybrid_command(
        services.config, jobs.folder(name), body.species, amounts, body.path, body.donor, body.seed
    )
    await asyncio.to_thread(jobs.submit, name, command)
    where = {"job": name, "status": "pending", "status_url": f"/v1/jobs/{name}"}
    return JSONResponse(where, 202, headers={"Location": f"/v1/jobs/{name}"})


async def _one(services: Services, work: Work, body: HybridBody, photo: bytes | str | None) -> Made:
    amount = by_region(body.amount, body.regions, "amount")
    species = by_region(body.species, body.regions, "species")
    # Regions that only one of the two names: an amount without a species asks for the nearest, a species without an amount is left out.
    if isinstance(body.species, dict) and not isinstance(body.amount, dict) and body.regions is None:
        amount = {region: amount[region] for region in species}
    species = {region: species.get(region, NEAREST) for region in amount}
    face = await services.face(work, body, photo)
    asked = HybridAsk(face, species, amount, body.path, DonorRule(body.donor), body.seed)
    return await services.call(work, "hybrids", "generate", asked)
