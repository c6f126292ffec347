"""POST /v1/inversions: a face out of the vector of an identity network."""

from typing import Annotated

import fastapi
import numpy as np
from fastapi.responses import Response
from pydantic import Field

from serve.bodies import FaceBody, read_as
from serve.generators import InversionAsk
from serve.pictures import Format
from serve.problems import Problem
from serve.routes.answers import ERRORS, PICTURES, ServicesDep, Wanted, WorkDep, answer_each, documented, wanted

router = fastapi.APIRouter()


class InversionBody(FaceBody):
    """A vector, or a face whose vector is made first."""

    vector: list[float] | None = Field(
        None, max_length=8192, description="numbers of the decoder's network (/v1/models)"
    )
    model: str = Field("", max_length=100, description="name of the decoder (/v1/models); the first by default")
    seed: int = Field(0, ge=0, lt=2**31)
    format: Wanted | None = Field(None, description="form of the answer; else the header Accept decides, else PNG")
    picture: Format = Field("png", description="form of the pictures inside JSON")


EXAMPLE = {"sample": 7, "format": "json"}


@router.post(
    "/v1/inversions",
    response_class=Response,
    responses={**PICTURES, **ERRORS},
    openapi_extra=documented(InversionBody, EXAMPLE),
)
async def invert(
    request: fastapi.Request,
    body: Annotated[InversionBody, fastapi.Depends(read_as(InversionBody))],
    services: ServicesDep,
    work: WorkDep,
) -> Response:
    """Make a face from a vector, or from the vector of a given face: its landmarks and texture are decoded, and the texture is warped.

    The answer is the face's picture; as JSON, the face and its texture.
    """
    name = services.named("inversions", body.model)
    if (body.vector is None) == (not body.given()):
        raise Problem("wrong_parameter", "either a vector or a face must be given")
    face = None if body.vector is not None else await services.picture(work, await services.face(work, body))
    vector = None if body.vector is None else np.array(body.vector, np.float32)
    made = await services.call(work, name, "generate", InversionAsk(face, vector, body.seed))
    return await answer_each(work, [(face, made)], wanted(request, body.format, False), body.picture)
