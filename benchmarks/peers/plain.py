"""The chain behind FastAPI and uvicorn: a plain function that runs in the thread pool, a process a core, no batching.

`python -m benchmarks.peers.plain PORT WORKERS`
"""

import sys
from contextlib import asynccontextmanager
from typing import Annotated

import fastapi
import uvicorn

from benchmarks.peers.chain import Chain, photo_of


@asynccontextmanager
async def loaded(app):
    app.state.chain = Chain()
    yield


app = fastapi.FastAPI(lifespan=loaded)


@app.get("/health")
def health() -> str:
    return "alive"


@app.post("/v1/hybrids")
def hybrids(request: fastapi.Request, body: Annotated[dict[str, str], fastapi.Body()]) -> fastapi.Response:
    (made,) = request.app.state.chain.make([photo_of(body)])
    return fastapi.Response(made, media_type="image/png")


if __name__ == "__main__":
    workers = int(sys.argv[2])
    uvicorn.run(
        "benchmarks.peers.plain:app", host="127.0.0.1", port=int(sys.argv[1]), workers=workers, log_level="error"
    )
