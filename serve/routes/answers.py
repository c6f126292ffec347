"""What routes share: documents of bodies and answers, and generated pictures as an answer."""

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import fastapi
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from rupantara.generation.protocol import Generated
from serve.faces import Face
from serve.outcome import problem_of, timed
from serve.pictures import MEDIA_TYPES, Format, as_json, encode
from serve.problems import CODES, MEDIA_TYPE, Problem
from serve.services import Services, Work

Wanted = Literal["png", "webp", "jpeg", "json"]


def services_of(request: fastapi.Request) -> Services:
    """Return the application's services."""
    return request.app.state.services


def work_of(request: fastapi.Request) -> Work:
    """Begin a request."""
    return services_of(request).work(request.scope.get("request_id", ""))


ServicesDep = Annotated[Services, fastapi.Depends(services_of)]
WorkDep = Annotated[Work, fastapi.Depends(work_of)]

PROBLEM_SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "what is wrong, in words"},
        "code": {"type": "string", "enum": list(CODES)},
        "instance": {"type": "string"},
        "reason": {"type": "string", "description": "of a picture that cannot be used"},
    },
}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Document the errors of a route."""
    content = {MEDIA_TYPE: {"schema": PROBLEM_SCHEMA}}
    told = {status: "; ".join(why for of, why in CODES.values() if of == status) for status in statuses}
    return {status: {"description": why, "content": content} for status, why in told.items()}


ERRORS = problems(400, 401, 403, 408, 413, 415, 422, 429, 503)
PICTURES = {
    200: {
        "description": "The picture, or with `format` json (or `Accept: application/json`) pictures and records",
        "content": {
            **{name: {"schema": {"type": "string", "format": "binary"}} for name in MEDIA_TYPES},
            "application/json": {},
        },
    }
}


def documented(model: type[BaseModel], example: dict[str, Any]) -> dict[str, Any]:
    """Return the OpenAPI of a body that may be a form or JSON; the example works as it is."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    form = {**schema, "properties": {**schema["properties"]}}
    for name in ("photo", "photos"):
        if name in form["properties"]:
            told = schema["properties"][name].get("description", "")
            form["properties"][name] = {"type": "string", "format": "binary", "description": told}
    content = {
        "application/json": {"schema": schema, "example": example},
        "multipart/form-data": {"schema": form, "example": example},
    }
    return {"requestBody": {"required": True, "content": content}}


def wanted(request: fastapi.Request, asked: Wanted | None, several: bool) -> Wanted:
    """Return the form of the answer: the body's `format`, else by Accept, else PNG (JSON for several pictures)."""
    if asked is not None:
        if several and asked != "json":
            raise Problem("wrong_parameter", f"format must be json for several pictures, got {asked}")
        return asked
    accepts = request.headers.get("accept", "")
    if several or "application/json" in accepts:
        return "json"
    return next((kind for name, kind in MEDIA_TYPES.items() if name in accepts), "png")


Made = tuple[Face | None, list[Generated]]
"""The face that was taken, and what was made of it."""


async def answer_each(work: Work, made: Sequence[Made | BaseException], form: Wanted, inside: Format) -> Response:
    """Answer with one picture as a file, or with all in JSON, where each photograph that was refused has its problem instead."""
    if form != "json":
        (one,) = made
        if isinstance(one, BaseException):
            raise one
        return await picture_answer(work, one, form)
    with timed(work.seconds, "write"):
        told = [row for rows in await asyncio.gather(*(_rows(one, inside) for one in made)) for row in rows]
    return json_answer(work, {"pictures": told})


async def _rows(made: Made | BaseException, inside: Format) -> list[dict[str, Any]]:
    if isinstance(made, Problem) and made.status == 422:
        return [{"problem": made.document()}]
    if isinstance(made, BaseException):
        raise made
    face, pictures = made
    place = {"face": None if face is None else face.place.as_json()}
    # Compression lets go of Python: the event loop goes on.
    return [place | await asyncio.to_thread(as_json, one, inside) for one in pictures]


async def picture_answer(work: Work, made: Made, form: Format) -> Response:
    """Answer with a picture's file; its record is in the headers and the file's metadata."""
    face, (one, *_) = made
    if one.picture is None:
        assert one.reject is not None
        raise problem_of(one.reject)
    with timed(work.seconds, "write"):
        data = await asyncio.to_thread(encode, one.picture, one.record, form)
    record = one.record
    headers = {
        "X-Rupantara-Request": record.request_id,
        "X-Rupantara-Synthetic": "true",
        "X-Rupantara-Model": ",".join(record.model_sha256),
        "X-Rupantara-Seed": str(record.seed),
        "X-Rupantara-Bank-Ids": ",".join(record.bank_ids)[:4000],
        "Server-Timing": work.server_timing(),
    }
    if face is not None:
        headers["X-Rupantara-Face"] = f"{face.place.number} of {face.place.num_faces}"
    return Response(data, media_type=f"image/{form}", headers=headers)


def json_answer(work: Work, told: dict[str, Any]) -> JSONResponse:
    """Answer with JSON, the request's id and the seconds of its stages."""
    seconds = {stage: round(spent, 4) for stage, spent in work.seconds.items()}
    document = {"request_id": work.request_id, **told, "seconds": seconds}
    return JSONResponse(document, headers={"Server-Timing": work.server_timing()})
