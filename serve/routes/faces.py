"""POST /v1/faces: the faces of a photograph, or a person who does not exist, each with a token for further requests."""

import base64
from typing import Annotated, Any

import fastapi
from fastapi.responses import Response
from pydantic import Field

from rupantara.generation.provenance import SOURCE_TYPE
from rupantara.imaging import codec
from rupantara.landmarks.regions import PARTS
from serve.bodies import FaceBody, picture_bytes, points_of, read_as
from serve.faces import Face
from serve.problems import Problem
from serve.routes.answers import ERRORS, ServicesDep, WorkDep, documented, json_answer
from serve.services import TRUNCATION

router = fastapi.APIRouter()


class FacesBody(FaceBody):
    """A photograph (all its faces are answered), or a sampled person."""

    truncation: float = Field(TRUNCATION, ge=0, le=1.5, description="of a sample: below 1 nearer the mean face")


@router.post("/v1/faces", responses=ERRORS, openapi_extra=documented(FacesBody, {"sample": 7}))
async def find_faces(
    body: Annotated[FacesBody, fastapi.Depends(read_as(FacesBody))], services: ServicesDep, work: WorkDep
) -> Response:
    """Find faces; each answer holds the aligned crop, the boxes of its regions, and a token that stands for it."""
    if body.face is not None or len(body.given()) != 1:
        raise Problem(
            "wrong_parameter", f"one of photo and sample must be given, got {', '.join(body.given()) or 'none'}"
        )
    if body.sample is not None:
        face, token, picture = await services.call(work, "hybrids", "sample", body.sample, body.truncation, True)
        return json_answer(work, {"faces": [_told(face, token, picture, synthetic=True)]})
    data = picture_bytes(body.photo or b"", "photo")
    which = "all" if body.which == "subject" else body.which
    found = await services.call(work, "faces", "find", data, points_of(body.keypoints), which)
    found = found[: services.config.limits.max_pictures]
    coded = await services.call(work, "hybrids", "faces", found)
    told = [_told(face, token, face.crop, synthetic=False) for face, token, _ in coded]
    return json_answer(work, {"num_faces": found[0].place.num_faces, "faces": told})


def _told(face: Face, token: str, picture: Any, *, synthetic: bool) -> dict[str, Any]:
    boxes = {part: [round(float(v), 4) for v in box] for part, box in zip(PARTS, face.boxes, strict=True)}
    return {
        "face": token,
        "face_id": face.face_id,
        "place": face.place.as_json(),
        "boxes": boxes,
        "media_type": "image/jpeg",
        "picture": base64.b64encode(codec.encode_jpeg(picture, 92)).decode(),
        "synthetic": synthetic,
        "digital_source_type": SOURCE_TYPE if synthetic else None,
    }
