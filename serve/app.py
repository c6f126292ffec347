"""The application: one gateway over generators over the bank's shard actors.

    serve run serve.app:build checkpoint=$PWD/pretrained/region_vae bank=$PWD/pretrained/bank weights=WEIGHTS

or, on a cluster, `serve deploy serve/config.yaml`.
"""

import asyncio
import logging
import threading
import time
from typing import Annotated

import fastapi
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.exceptions import HTTPException

from actors.sharded_bank import ShardedBank
from rupantara.errors import Rejected, UserError
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.storage import manifest
from serve.hybrids import HybridMaker, HybridRequest

log = logging.getLogger("ray.serve")
MAX_UPLOAD_BYTES = 20 * 2**20

api = fastapi.FastAPI(title="Rupantara", version="1")


FIELDS = frozenset({"photo", "species", "regions", "weight", "keypoints"})


@api.exception_handler(RequestValidationError)
async def wrong_parameters(_: fastapi.Request, error: RequestValidationError) -> JSONResponse:
    """Answer like any other wrong parameter is answered."""
    wrong = []
    for one in error.errors():
        got = "" if one["type"] == "missing" else f", got {str(one.get('input'))[:60]!r}"
        wrong.append(f"{one['loc'][-1]}: {one['msg']}{got}")
    return JSONResponse({"error": "; ".join(wrong)}, 400)


@api.exception_handler(HTTPException)
async def refused(_: fastapi.Request, error: HTTPException) -> JSONResponse:
    """Answer in the same shape what the framework refuses, a body that is no form, say."""
    return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)


class Settings(BaseModel):
    """Arguments of the application."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str = Field(description="checkpoint of jobs.train_vae")
    bank: str = Field(description="bank of jobs.build_bank, made with that checkpoint")
    weights: str = Field("", description="folder of the detector and landmark networks; empty = callers give keypoints")
    min_replicas: int = Field(1, ge=0)
    max_replicas: int = Field(4, ge=1)
    target_ongoing_requests: float = Field(2, gt=0)
    num_cpus: float = Field(1.0, ge=0, description="Ray CPUs of one generator")
    threads: int = Field(1, ge=1, description="torch threads of one generator")
    refresh_s: float = Field(60, ge=0, description="seconds between looks for a new version of the bank; 0 = never")


def keep_fresh(bank: ShardedBank, every_s: float) -> None:
    """Go over to each new version of the bank, for ever; what fails is said and tried again."""
    while True:
        time.sleep(every_s)
        try:
            if bank.refresh():
                log.info("bank %s: version %d", bank.uri, bank.version)
        except Exception:
            log.exception("bank %s: stays at version %d", bank.uri, bank.version)


class Generator:
    """Deployment: makes hybrids; the bank's actors are shared by all replicas and found by name."""

    def __init__(self, settings: Settings) -> None:
        """Load the model and find or start the bank."""
        manifest.require(settings.bank, "bank")
        bank = ShardedBank.start(settings.bank)
        if bank.model_sha256 != loading.model_sha256(settings.checkpoint):
            raise UserError(
                f"bank must be made with checkpoint: {settings.bank} is of another model than {settings.checkpoint}"
            )
        self._maker = HybridMaker(settings.checkpoint, bank, settings.weights, settings.threads)
        if settings.refresh_s > 0:
            threading.Thread(target=keep_fresh, args=(bank, settings.refresh_s), daemon=True).start()

    async def ready(self) -> str:
        """Answer once the model and the bank are loaded."""
        return "ok"

    async def make(self, request: HybridRequest) -> dict:
        """Make one hybrid, off the event loop; wrong input comes back as a status and a message, not as an error."""
        try:
            row = await asyncio.to_thread(self._maker.make, request)
        except UserError as error:
            return {"status": 400, "error": str(error)}
        except Rejected as error:
            return {"status": 422, "error": f"no usable face: {error.reason}", "reject": error.as_row()}
        return {"status": 200, "row": row}


@serve.ingress(api)
class Gateway:
    """Deployment: HTTP to requests and back."""

    def __init__(self, generator: DeploymentHandle) -> None:
        """Keep the generator's handle."""
        self._generator = generator

    @api.get("/healthz")
    async def healthz(self) -> dict[str, str]:
        """Tell that the gateway and a generator, with its model and bank, answer."""
        return {"status": await self._generator.ready.remote()}

    @api.post("/v1/hybrids", response_class=Response, responses={200: {"content": {"image/png": {}}}})
    async def hybrids(
        self,
        request: fastapi.Request,
        photo: Annotated[fastapi.UploadFile, fastapi.File(description="photograph with one face")],
        species: Annotated[str, fastapi.Form(description="a species of the bank, or nearest")] = "nearest",
        regions: Annotated[str, fastapi.Form(description="comma-separated regions")] = ",".join(REGIONS),
        weight: Annotated[float, fastapi.Form(description="0 = the human's, 1 = the animal's region")] = 1.0,
        keypoints: Annotated[str, fastapi.Form(description="known keypoints, JSON [[x, y], …]")] = "",
    ) -> Response:
        """Answer with the hybrid as PNG; its parameters stand in the PNG's metadata and in X-Rupantara-Request."""
        unknown = sorted((set(await request.form()) - FIELDS) | set(request.query_params))
        if unknown:
            return JSONResponse(
                {"error": f"fields of the form must be {', '.join(sorted(FIELDS))}, got {', '.join(unknown)}"}, 400
            )
        data = await photo.read(MAX_UPLOAD_BYTES + 1)
        if len(data) > MAX_UPLOAD_BYTES:
            return JSONResponse({"error": f"photo must be at most {MAX_UPLOAD_BYTES} bytes"}, 413)
        names = tuple(r.strip() for r in regions.split(",") if r.strip())
        answer = await self._generator.make.remote(HybridRequest(data, species, names, weight, keypoints))
        if answer["status"] != 200:
            return JSONResponse({k: v for k, v in answer.items() if k != "status"}, answer["status"])
        headers = {"X-Rupantara-Request": answer["row"]["request_id"], "X-Rupantara-Synthetic": "true"}
        return Response(answer["row"]["image"], media_type="image/png", headers=headers)


def build(settings: Settings) -> serve.Application:
    """Wrap the classes as deployments and bind them."""
    autoscaling = {
        "min_replicas": settings.min_replicas,
        "max_replicas": settings.max_replicas,
        "target_ongoing_requests": settings.target_ongoing_requests,
    }
    generator = serve.deployment(
        autoscaling_config=autoscaling, max_ongoing_requests=8, ray_actor_options={"num_cpus": settings.num_cpus}
    )(Generator)
    gateway = serve.deployment(max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.1})(Gateway)
    return gateway.bind(generator.bind(settings))
