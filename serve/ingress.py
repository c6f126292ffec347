"""The HTTP front: a FastAPI application of small routers behind the guard, built inside the replica."""

import os
from typing import Any

import fastapi
import ray
from ray import serve
from ray.dashboard.utils import ray_address_to_api_server_url
from ray.job_submission import JobSubmissionClient
from ray.serve.context import _get_global_client
from ray.serve.handle import DeploymentHandle

from actors.token_buckets import SharedBuckets
from rupantara import __version__
from serve import auth, problems
from serve.auth import Tokens
from serve.config import Config
from serve.guard import Guard
from serve.jobs import Jobs
from serve.routes import (
    affinities,
    children,
    faces,
    hybrids,
    inversions,
    jobs,
    models,
    page,
    search,
    status,
    variations,
)
from serve.services import Services

ABOUT = """Faces, their codes, hybrids of people and animals, and what is nearest to them.

Every body is `multipart/form-data` or `application/json` (pictures in base64); every error is `application/problem+json`;
every picture says in its metadata that it is synthetic and how it was made."""


def make_app(services: Services) -> fastapi.FastAPI:
    """Return the API without its guard."""
    # /docs is a page of our own: FastAPI's takes its scripts from elsewhere.
    app = fastapi.FastAPI(title="Rupantara", version=__version__, description=ABOUT, docs_url=None, redoc_url=None)
    app.state.services = services
    problems.install(app)
    for one in (hybrids, variations, inversions, children, faces, search, affinities, jobs, models, status, page):
        app.include_router(one.router)
    return app


def listening_host() -> str:
    """Return the address that Serve's proxies listen on."""
    client = _get_global_client(raise_if_no_controller_running=False)
    return "127.0.0.1" if client is None else client.http_config.host


def submitter(prefix: str) -> Jobs | None:
    """Return what submits jobs to this cluster; None without a place for them."""
    if not prefix:
        return None
    dashboard = ray_address_to_api_server_url(ray.get_runtime_context().gcs_address)
    return Jobs(prefix, JobSubmissionClient(dashboard))


@serve.ingress()
class Ingress:
    """Deployment: HTTP to calls and back."""

    def __init__(self, config: Config, name: str, handles: dict[str, DeploymentHandle]) -> None:
        """Keep the handles; UserError where the address reaches beyond loopback and there are no tokens."""
        self._config, self._name, self._handles = config, name, handles
        self._tokens = Tokens(config.tokens, os.environ.get(auth.VARIABLE, ""))
        auth.require(listening_host(), self._tokens)

    def __serve_build_asgi_app__(self) -> Any:
        services = Services(self._config, self._handles, submitter(self._config.jobs))
        return Guard(make_app(services), self._tokens, self._config.limits, SharedBuckets(self._name).take)
