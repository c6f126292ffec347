"""GET /, /docs and their files: static, nothing from elsewhere."""

from importlib import resources

import fastapi
from fastapi.responses import Response

from serve.problems import CODES, Problem

router = fastapi.APIRouter(include_in_schema=False)

TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


def _file(name: str) -> Response:
    kind = TYPES.get(name.rpartition(".")[2])
    found = resources.files("serve") / "page" / name
    if kind is None or not found.is_file():
        raise Problem("not_found", f"there is no {name[:60]}")
    return Response(found.read_bytes(), media_type=kind, headers={"Cache-Control": "no-cache"})


@router.api_route("/", methods=["GET", "HEAD"])
async def index() -> Response:
    """Return the page for people."""
    return _file("index.html")


@router.api_route("/docs", methods=["GET", "HEAD"])
async def docs() -> Response:
    """Return the page that shows the OpenAPI document."""
    return _file("docs.html")


@router.get("/page/problems.json")
async def problems() -> dict[str, dict[str, int | str]]:
    """Return every code of a problem and what it means."""
    return {code: {"status": status, "meaning": meaning} for code, (status, meaning) in CODES.items()}


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def file(name: str) -> Response:
    """Return a file of the page."""
    if "/" in name or name.startswith("."):
        raise Problem("not_found", "there is no such file")
    return _file(name)
