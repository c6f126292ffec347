"""POST /v1/search: the animals nearest to each region of a face."""

from typing import Annotated

import fastapi
from fastapi.responses import Response
from pydantic import Field

from serve import likeness
from serve.bodies import FaceBody, by_region, read_as
from serve.problems import Problem
from serve.routes.answers import ERRORS, ServicesDep, WorkDep, documented, json_answer

router = fastapi.APIRouter()
CODES = "cosine of aligned codes"
MOST_SHOWN = 50
"""Pictures of an answer: each may have to be decoded."""


class SearchBody(FaceBody):
    """A face, the regions that are compared, and how many animals each."""

    regions: list[str] | None = None
    species: str = Field("", description="a species of the bank; empty = all")
    k: int = Field(5, ge=1, le=100)
    pictures: bool = Field(
        False, description="show each animal's region: the bank's picture of it, or what the decoder makes of its code"
    )


@router.post(
    "/v1/search", responses=ERRORS, openapi_extra=documented(SearchBody, {"sample": 7, "regions": ["nose"], "k": 3})
)
async def search(
    body: Annotated[SearchBody, fastapi.Depends(read_as(SearchBody))], services: ServicesDep, work: WorkDep
) -> Response:
    """Find the k nearest features of the bank for each region, best first, by cosine."""
    regions = list(by_region("", body.regions, "regions"))
    if body.pictures and body.k * len(regions) > MOST_SHOWN:
        raise Problem(
            "wrong_parameter",
            f"k times the regions must be at most {MOST_SHOWN} with pictures, got {body.k * len(regions)}",
        )
    face = await services.face(work, body)
    if "likeness" in services.handles:
        face = await services.picture(work, face)
        measure, model, near = await services.call(work, "likeness", "compare", face)
        told = {"face": face.place.as_json(), "model_sha256": model, "measure": measure}
        best = likeness.nearest(near, regions, body.k, body.species)
        shows = body.pictures and "hybrids" in services.handles and bool(services.config.bank)
        return json_answer(
            work, {**told, "regions": await services.call(work, "hybrids", "crops", best) if shows else best}
        )
    coded, found = await services.call(work, "hybrids", "search", face, regions, body.k, body.species, body.pictures)
    return json_answer(
        work,
        {"face": coded.place.as_json(), "model_sha256": coded.codes.model_sha256, "measure": CODES, "regions": found},
    )
