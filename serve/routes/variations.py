"""POST /v1/variations: faces like one face, or faces of nobody."""

from typing import Annotated, Literal

import fastapi
from fastapi.responses import Response
from pydantic import Field

from serve.bodies import FaceBody, read_as
from serve.generators import VariationAsk
from serve.pictures import Format
from serve.problems import Problem
from serve.routes.answers import ERRORS, PICTURES, ServicesDep, Wanted, WorkDep, answer_each, documented, wanted

router = fastapi.APIRouter()


class VariationBody(FaceBody):
    """A face, and how it is varied; in mode `prior` none."""

    model: str = Field("", max_length=100, description="name of the VAE (/v1/models); the first by default")
    count: int = Field(1, ge=1, le=64)
    mode: Literal["posterior", "input_noise", "prior"] = Field(
        "posterior", description="draws of the face's code; noise on its picture; faces of nobody"
    )
    noise: float = Field(0.1, ge=0, le=1, description="standard deviation of the noise on the scale [0, 1]")
    seed: int = Field(0, ge=0, lt=2**31)
    format: Wanted | None = Field(None, description="form of the answer; else the header Accept decides, else PNG")
    picture: Format = Field("png", description="form of the pictures inside JSON")


@router.post(
    "/v1/variations",
    response_class=Response,
    responses={**PICTURES, **ERRORS},
    openapi_extra=documented(VariationBody, {"sample": 7, "count": 4}),
)
async def vary(
    request: fastapi.Request,
    body: Annotated[VariationBody, fastapi.Depends(read_as(VariationBody))],
    services: ServicesDep,
    work: WorkDep,
) -> Response:
    """Make variations of a face with a VAE of the zoo."""
    name, most = services.named("variations", body.model), services.config.limits.max_pictures
    if body.count > most:
        raise Problem("wrong_parameter", f"count must be at most {most}, got {body.count}")
    if body.mode == "prior" and body.given():
        raise Problem("wrong_parameter", "in mode prior no face plays a part: give none")
    face = None
    if body.mode != "prior":
        face = await services.picture(work, await services.face(work, body))
    asked = VariationAsk(face, body.count, body.mode, body.noise, body.seed)
    made = await services.call(work, name, "generate", asked)
    return await answer_each(work, [(face, made)], wanted(request, body.format, body.count > 1), body.picture)
