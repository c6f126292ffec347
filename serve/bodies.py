"""Bodies of requests, multipart or JSON, into one typed model; each field once, no bombs."""

import base64
import binascii
import json
import math
import typing
from collections.abc import Callable
from typing import Any, TypeVar

import fastapi
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from starlette.datastructures import UploadFile

from rupantara.landmarks.regions import REGIONS
from serve.problems import Problem, described

Model = TypeVar("Model", bound=BaseModel)

MOST_DIGITS = 40
"""Of a number in JSON: nothing here has more, and Python multiplies long ones for seconds."""
MOST_FIELDS, MOST_FILES = 32, 10_000
FILES = ("photo", "photos", "first", "second")


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError(f"a number must have at most {MOST_DIGITS} digits, got {len(text)}")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"a number must be finite, got {text[:20]}")
    return value


def _constant(text: str) -> float:
    raise ValueError(f"a number must be finite, got {text}")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise ValueError(f"a field must be given once, got {', '.join(twice)[:60]} twice")
    return dict(pairs)


def parse_json(text: str | bytes, what: str) -> Any:
    """Read JSON without deep nests, long or infinite numbers and names given twice; raise the problem that says which."""
    try:
        return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_constant, object_pairs_hook=_once)
    except RecursionError:
        raise Problem("wrong_parameter", f"{what} must not be nested so deeply") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise Problem("wrong_parameter", f"{what} must be JSON: {str(error)[:120]}") from None


class Body(BaseModel):
    """What bodies share: unknown fields are refused."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _flags_are_no_numbers(cls, values: Any) -> Any:
        """Refuse true and false where a number is wanted: they would count as 1 and 0."""
        for name, value in values.items() if isinstance(values, dict) else ():
            info = cls.model_fields.get(name)
            if isinstance(value, bool) and info is not None and info.annotation is not bool:
                raise ValueError(f"{name} must not be true or false")
        return values


def read_as(model: type[Model]) -> Callable[..., Any]:
    """Return a FastAPI dependency that reads the body as `model`."""

    async def read(request: fastapi.Request) -> Model:
        if request.query_params:
            named = ", ".join(sorted(request.query_params))[:60]
            raise Problem("wrong_parameter", f"parameters belong into the body, got {named} in the address")
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == "application/json":
            fields = parse_json(await request.body(), "the body")
            if not isinstance(fields, dict):
                raise Problem("wrong_parameter", "the body must be a JSON object")
        elif kind == "multipart/form-data":
            fields = await _form(request, model)
        else:
            raise Problem(
                "wrong_media_type", f"the body must be multipart/form-data or application/json, got {kind[:60]!r}"
            )
        try:
            return model.model_validate(fields)
        except ValidationError as error:
            raise Problem("wrong_parameter", "; ".join(described(one) for one in error.errors()[:5])) from None

    return read


async def _form(request: fastapi.Request, model: type[BaseModel]) -> dict[str, Any]:
    form = await request.form(max_files=MOST_FILES, max_fields=MOST_FIELDS, max_part_size=2**20)
    fields: dict[str, Any] = {}
    for name, value in form.multi_items():
        info = model.model_fields.get(name)
        if name in fields and name != "photos":
            raise Problem("wrong_parameter", f"a field must be given once, got {name[:60]} twice")
        if isinstance(value, UploadFile):
            if name not in FILES:
                raise Problem("wrong_parameter", f"{name[:60]} must not be a file")
            content = await value.read()
            fields[name] = [*fields.get(name, []), content] if name == "photos" else content
        else:
            fields[name] = _typed(name, value, info)
    return fields


def _typed(name: str, value: str, info: Any) -> Any:
    """Return a field of a form as the model takes it: what may be more than a string may be JSON."""
    if name in ("photo", "photos"):
        raise Problem("wrong_parameter", f"{name} must be a file")
    if info is not None and value[:1] in ("{", "["):
        return parse_json(value, name)
    many = info is not None and any(typing.get_origin(one) is list for one in _alternatives(info.annotation))
    return [part.strip() for part in value.split(",") if part.strip()] if many else value


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return (annotation, *typing.get_args(annotation))


def picture_bytes(value: bytes | str, name: str) -> bytes:
    """Return a picture's bytes: a form's file as it is, of JSON from base64 (a data: URL too)."""
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value.partition(",")[2] if value.startswith("data:") else value, validate=True)
    except (binascii.Error, ValueError):
        raise Problem("wrong_parameter", f"{name} must be base64") from None


def points_of(keypoints: list[list[float]] | None) -> np.ndarray | None:
    """Return known keypoints as an array [3, 5 or 68, 2]."""
    if keypoints is None:
        return None
    if len(keypoints) not in (3, 5, 68) or any(len(point) != 2 for point in keypoints):
        raise Problem("wrong_parameter", f"keypoints must be 3, 5 or 68 points [x, y], got {len(keypoints)}")
    points = np.array(keypoints, np.float64)
    if not (np.isfinite(points).all() and (np.abs(points) < 1e6).all()):
        raise Problem("wrong_parameter", "keypoints must be finite numbers below a million")
    return points.astype(np.float32)


def by_region(value: Any, regions: list[str] | None, name: str) -> dict[str, Any]:
    """Return one value for all wanted regions, or the given one of each; the regions must be known."""
    wanted = list(REGIONS) if regions is None else regions
    given = value if isinstance(value, dict) else dict.fromkeys(wanted, value)
    unknown = [region for region in (*wanted, *given) if region not in REGIONS]
    if unknown or not wanted:
        raise Problem(
            "wrong_parameter",
            f"{name}: regions must be of {', '.join(REGIONS)}, got {', '.join(unknown)[:60] or 'none'}",
        )
    return {region: one for region, one in given.items() if region in wanted}


class FaceBody(Body):
    """A face: a photograph, a token of /v1/faces, or the number of a sampled person; exactly one of them."""

    photo: bytes | str | None = Field(
        None, description="photograph (JSON: base64)", json_schema_extra={"format": "byte"}
    )
    face: str | None = Field(None, max_length=65536, description="token that /v1/faces gave for a face")
    sample: int | None = Field(None, ge=0, lt=2**31, description="number of a person who does not exist")
    which: int | typing.Literal["subject"] = Field(
        "subject",
        description="which face of several: the subject (surest, largest, most central), or its number from 0 on",
    )
    keypoints: list[list[float]] | None = Field(
        None,
        max_length=68,
        description="known keypoints, 3, 5 or 68 points [x, y] in pixels: then no face is looked for",
    )

    def given(self) -> list[str]:
        """Return which of the sources is there."""
        return [name for name in ("photo", "face", "sample") if getattr(self, name) is not None]
