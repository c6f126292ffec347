"""POST /v1/affinities: how near each region of a face is to each species."""

from typing import Annotated

import fastapi
from fastapi.responses import Response

from serve import likeness
from serve.bodies import FaceBody, read_as
from serve.routes.answers import ERRORS, ServicesDep, WorkDep, documented, json_answer

router = fastapi.APIRouter()


class AffinityBody(FaceBody):
    """A face."""


@router.post("/v1/affinities", responses=ERRORS, openapi_extra=documented(AffinityBody, {"sample": 7}))
async def affinities(
    body: Annotated[AffinityBody, fastapi.Depends(read_as(AffinityBody))], services: ServicesDep, work: WorkDep
) -> Response:
    """Return how near each region is to each species: by likeness where the server has a bank for it, else by codes."""
    face = await services.face(work, body)
    if "likeness" in services.handles:
        face = await services.picture(work, face)
        measure, model, found = await services.call(work, "likeness", "compare", face)
        told = {"face": face.place.as_json(), "model_sha256": model, "measure": measure}
        return json_answer(work, {**told, "regions": likeness.by_region(found), "details": likeness.details(found)})
    coded, found = await services.call(work, "hybrids", "affinity", face)
    told = {
        "face": coded.place.as_json(),
        "model_sha256": coded.codes.model_sha256,
        "measure": "mean cosine of aligned codes",
    }
    return json_answer(work, {**told, "regions": found})
