"""What an application serves, on how much of the cluster, and within which limits: the arguments of `serve.app:build`."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, field_validator

DEPLOYMENTS = ("ingress", "faces", "bank", "hybrids", "likeness", "variations", "inversions", "children")
"""What `scale` may name; a deployment of each checkpoint of variations and inversions goes by its kind."""


class Strict(BaseModel):
    """A model that refuses unknown fields: a mistyped option must not be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Scale(Strict):
    """Replicas of a deployment and what each reserves of the cluster."""

    min_replicas: int = Field(1, ge=0, description="0 = none while nobody asks")
    max_replicas: int = Field(1, ge=1)
    target_ongoing_requests: float = Field(2, gt=0, description="requests a replica at which another is started")
    upscale_delay_s: float = Field(30, ge=0, description="seconds of more requests than that until another is started")
    downscale_delay_s: float = Field(600, ge=0, description="seconds of fewer requests until a replica is ended")
    num_cpus: float = Field(0.25, ge=0, description="Ray CPUs reserved by a replica")
    num_gpus: float = Field(0, ge=0, description="share of a GPU of a replica")
    threads: int = Field(1, ge=1, description="torch threads of a replica")
    max_batch: int = Field(8, ge=1, description="requests made together")
    max_queued: int = Field(64, ge=1, description="requests that wait, a caller of the deployment; beyond: 503")


class Limits(Strict):
    """What one caller may ask for."""

    max_body_bytes: int = Field(20 * 2**20, ge=1024)
    max_pixels: int = Field(50_000_000, ge=1)
    max_pictures: int = Field(8, ge=1, description="photographs, or pictures made, a call")
    max_job_pictures: int = Field(10_000, ge=1, description="photographs of a request that becomes a job")
    max_in_flight: int = Field(64, ge=1, description="requests that an ingress works on; beyond: 503")
    deadline_s: float = Field(30, gt=0, description="seconds a request may take; beyond: 503")
    body_s: float = Field(30, gt=0, description="seconds a body may take to arrive; beyond: 408")
    rate_per_s: float = Field(0, ge=0, description="requests a second of each caller; 0 = no limit")
    burst: float = Field(20, ge=1, description="requests a caller may make at once")


class Config(Strict):
    """Arguments of the application; a route whose checkpoint is empty answers that it is not configured."""

    checkpoint: str = Field("", description="region VAE (jobs.train_vae): hybrids, search, affinities, faces")
    bank: str = Field("", description="bank (jobs.build_bank) made with that checkpoint")
    likeness: str = Field("", description="bank of region_features: search and affinities by likeness, not by codes")
    weights: str = Field(
        "", description="folder of networks that find faces; empty = the shipped ones, or keypoints of callers"
    )
    variations: dict[str, str] = Field({}, description="name -> VAE of the zoo; `NAME=URI,NAME=URI` on a command line")
    inversions: dict[str, str] = Field({}, description="name -> decoders of jobs.train_decoder")
    children: str = Field("", description="blender (jobs.train_blender) of codes of `checkpoint`")
    edits: str = Field("", description="edits (jobs.train_edits) of the same codes: ages of children")
    tokens: str = Field("", description="file of hashed tokens (python -m serve.auth); RUPANTARA_TOKENS adds to it")
    jobs: str = Field(
        "", description="URI below which requests with very many photographs become Ray jobs; empty = refused"
    )
    refresh_s: float = Field(60, ge=0, description="seconds between looks for a new bank or checkpoint; 0 = never")
    bank_in_process_bytes: int = Field(
        64 * 2**20, ge=0, description="a smaller bank is searched inside the replicas, without shard actors"
    )
    scale: dict[str, Scale] = {}
    limits: Limits = Limits()

    @field_validator("variations", "inversions", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        """Read `NAME=URI,…`, or one URI, which is then named `default`."""
        if not isinstance(value, str):
            return value
        parts = [part for part in value.split(",") if part]
        return dict(part.split("=", 1) if "=" in part else ("default", part) for part in parts)

    @field_validator("scale", "limits", mode="before")
    @classmethod
    def _parsed(cls, value: Any) -> Any:
        """Read JSON, as a command line gives it."""
        return json.loads(value) if isinstance(value, str) else value

    @field_validator("scale")
    @classmethod
    def _known(cls, value: dict[str, Scale]) -> dict[str, Scale]:
        unknown = sorted(set(value) - set(DEPLOYMENTS))
        if unknown:
            raise ValueError(f"scale must name {', '.join(DEPLOYMENTS)}, got {', '.join(unknown)}")
        return value

    def scale_of(self, deployment: str) -> Scale:
        """Return the scale of a deployment: the given one, or the default."""
        return self.scale.get(deployment, DEFAULT_SCALE.get(deployment, Scale()))


DEFAULT_SCALE = {
    "ingress": Scale(num_cpus=0.1, max_queued=1024),
    "bank": Scale(num_cpus=0),
    "hybrids": Scale(num_cpus=0.5),
}
