"""Every error as RFC 9457 problem+json: what is wrong, in words, under a code that programs can tell."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import fastapi
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"

CODES = {
    "wrong_parameter": (400, "A parameter, field or body is not as the API demands"),
    "no_token": (401, "The request bears no token, or an unknown one"),
    "forbidden": (403, "The request comes from another site's page, or asks by a foreign host name"),
    "not_found": (404, "There is nothing at this address"),
    "wrong_method": (405, "The address does not take this method"),
    "slow_body": (408, "The body did not arrive in time"),
    "too_large": (413, "The body or the picture is larger than is taken"),
    "wrong_media_type": (415, "The body must be multipart/form-data or application/json"),
    "no_usable_face": (422, "The picture cannot be used; `reason` and `detail` say why"),
    "not_made": (422, "The picture could not be made; `reason` and `detail` say why"),
    "rate_limited": (429, "The caller asked more often than it may"),
    "internal": (500, "A fault of the server"),
    "not_configured": (503, "This server was started without what the route needs"),
    "not_ready": (503, "A model or the bank is not there yet"),
    "overloaded": (503, "As many requests as are taken are waiting"),
    "deadline": (503, "The request took longer than it may"),
}
"""Code -> (status, what it means); the page /docs lists them."""

RETRY_AFTER_S = {"overloaded": 1, "not_ready": 5, "deadline": 1, "not_configured": 3600}


class Problem(Exception):
    """An answer that is an error; `more` are further members of the problem document."""

    def __init__(self, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **more: Any) -> None:
        super().__init__(code, detail)
        self.code, self.detail, self.more = code, detail, more
        self.status = CODES[code][0]
        self.headers = dict(headers or {})
        if code in RETRY_AFTER_S:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER_S[code]))

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.code, self.detail, self.headers, self.more)

    def document(self, request_id: str = "") -> dict[str, Any]:
        """Return the problem document."""
        told = {
            "type": f"/docs#problem-{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return told | ({"instance": f"urn:rupantara:request:{request_id}"} if request_id else {}) | self.more

    def response(self, request_id: str = "") -> JSONResponse:
        """Return the answer."""
        return JSONResponse(self.document(request_id), self.status, self.headers, MEDIA_TYPE)


def _again(code: str, detail: str, headers: Mapping[str, str], more: Mapping[str, Any]) -> Problem:
    return Problem(code, detail, headers=headers, **more)


def described(error: Mapping[str, Any]) -> str:
    """Say in one clause what pydantic found wrong, with the value, cut short."""
    where = ".".join(str(part) for part in error["loc"] if part != "body") or "body"
    got = "" if error["type"] in ("missing", "value_error") else f", got {str(error.get('input'))[:60]!r}"
    return f"{where}: {error['msg']}{got}"


def install(app: fastapi.FastAPI) -> None:
    """Make the application answer every error as a problem."""

    async def problem(request: fastapi.Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Problem)
        return error.response(request.scope.get("request_id", ""))

    async def invalid(request: fastapi.Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        detail = "; ".join(described(one) for one in error.errors())
        return await problem(request, Problem("wrong_parameter", detail))

    async def refused(request: fastapi.Request, error: Exception) -> JSONResponse:
        assert isinstance(error, HTTPException)
        code = {404: "not_found", 405: "wrong_method", 413: "too_large", 415: "wrong_media_type"}
        made = Problem(code.get(error.status_code, "wrong_parameter"), str(error.detail), headers=error.headers)
        return await problem(request, made)

    async def fault(request: fastapi.Request, error: Exception) -> JSONResponse:
        return await problem(request, Problem("internal", f"the server failed: {type(error).__name__}"))

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(Exception, fault)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, refused)
