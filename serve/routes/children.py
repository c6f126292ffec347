"""POST /v1/children: children of two people."""

from typing import Annotated, Any, Literal

import fastapi
from fastapi.responses import Response
from pydantic import Field

from serve.bodies import Body, FaceBody, read_as
from serve.faces import Face
from serve.generators import ChildAsk
from serve.pictures import Format
from serve.problems import Problem
from serve.routes.answers import ERRORS, PICTURES, ServicesDep, Wanted, WorkDep, answer_each, documented, wanted
from serve.services import Services, Work

router = fastapi.APIRouter()

Parent = FaceBody | bytes


class ChildBody(Body):
    """Two parents (in a form: photographs, or JSON as in a JSON body), and which children of theirs are wanted."""

    first: Parent = Field(description='a face: {"photo": …}, {"face": TOKEN} or {"sample": N}')
    second: Parent = Field(description="the other parent")
    count: int = Field(1, ge=1, le=64, description="siblings")
    dominance: float | dict[str, float] = Field(
        0.0, description="1 = the first parent alone, -1 = the second; or one by region"
    )
    variation: float = Field(0.5, ge=0, le=1, description="how far siblings differ")
    age: float | None = Field(None, description="age in years that they are shown at")
    edits: list[str] = Field([], max_length=16, description="changes as age=-20 or smile=1")
    surroundings: Literal["first", "second", "neutral"] = Field(
        "first", description="whose hair, clothes and background"
    )
    seed: int = Field(0, ge=0, lt=2**31)
    format: Wanted | None = Field(None, description="form of the answer; else the header Accept decides, else PNG")
    picture: Format = Field("png", description="form of the pictures inside JSON")


EXAMPLE = {"first": {"sample": 7}, "second": {"sample": 8}, "count": 4}


@router.post(
    "/v1/children",
    response_class=Response,
    responses={**PICTURES, **ERRORS},
    openapi_extra=documented(ChildBody, EXAMPLE),
)
async def breed(
    request: fastapi.Request,
    body: Annotated[ChildBody, fastapi.Depends(read_as(ChildBody))],
    services: ServicesDep,
    work: WorkDep,
) -> Response:
    """Blend two parents' codes into children, siblings by number."""
    if "children" not in services.handles:
        raise Problem("not_configured", "this server was started without children")
    most = services.config.limits.max_pictures
    if body.count > most:
        raise Problem("wrong_parameter", f"count must be at most {most}, got {body.count}")
    parents = [await _parent(services, work, one) for one in (body.first, body.second)]
    coded = await services.call(work, "hybrids", "faces", parents)
    first, second = (face for face, _, _ in coded)
    told: dict[str, Any] = {"siblings": body.count, "seed": body.seed, "dominance": body.dominance}
    told |= {
        "variation": body.variation,
        "edits": tuple(body.edits),
        "age": body.age,
        "surroundings": body.surroundings,
    }
    made = await services.call(work, "children", "generate", ChildAsk(first, second, told))
    return await answer_each(work, [(None, made)], wanted(request, body.format, body.count > 1), body.picture)


async def _parent(services: Services, work: Work, given: Parent) -> Face:
    return await services.face(work, FaceBody(photo=given) if isinstance(given, bytes) else given)
