"""The application: one ingress over the generators' deployments.

make serve                                            # the shipped models on http://127.0.0.1:8000
python -m serve port=8080 checkpoint=… bank=…         # your own
serve run serve.app:build checkpoint=… bank=…         # the same by Ray's own command
serve deploy serve/config.yaml                        # on a cluster
"""

import os
from typing import Any

import ray
from ray import serve

from rupantara.errors import UserError
from rupantara.storage import manifest
from serve import auth
from serve.auth import Tokens
from serve.bank import is_small
from serve.config import Config, Scale
from serve.deployments import BankOwner, Faces, Hybrids, Likeness, Pictures
from serve.ingress import Ingress, listening_host

NAME = "rupantara"


def deployed(scale: Scale, cls: Any, name: str) -> Any:
    """Wrap a class as a deployment of that scale; batches only fill where as many requests are let in at once."""
    return serve.deployment(
        name=name,
        autoscaling_config={
            "min_replicas": scale.min_replicas,
            "initial_replicas": max(1, scale.min_replicas),
            "max_replicas": max(scale.min_replicas, scale.max_replicas),
            "target_ongoing_requests": scale.target_ongoing_requests,
            "upscale_delay_s": scale.upscale_delay_s,
            "downscale_delay_s": scale.downscale_delay_s,
        },
        max_ongoing_requests=max(2 * scale.max_batch, 8),
        max_queued_requests=scale.max_queued,
        ray_actor_options={"num_cpus": scale.num_cpus, "num_gpus": scale.num_gpus},
    )(cls)


def single(scale: Scale, cls: Any, name: str, ongoing: int) -> Any:
    """Wrap a class as a deployment of a fixed number of replicas."""
    options = {"num_cpus": scale.num_cpus, "num_gpus": scale.num_gpus}
    return serve.deployment(
        name=name, num_replicas=max(1, scale.min_replicas), max_ongoing_requests=ongoing, ray_actor_options=options
    )(cls)


def build(config: Config) -> serve.Application:
    """Bind what the configuration names; UserError where tokens lack, or a checkpoint or bank is not there."""
    tokens = Tokens(config.tokens, os.environ.get(auth.VARIABLE, ""))
    if ray.is_initialized():
        auth.require(listening_host(), tokens)
    if config.bank and not config.checkpoint:
        raise UserError("checkpoint must be given with a bank, got none")
    handles: dict[str, Any] = {"faces": deployed(config.scale_of("faces"), Faces, "faces").bind(config)}
    if config.checkpoint:
        manifest.require(config.checkpoint, "region_vae")
        owner = None
        if config.bank and not is_small(config.bank, config.bank_in_process_bytes):
            # One owner: a second one would hold every shard twice.
            owner = single(Scale(num_cpus=config.scale_of("bank").num_cpus), BankOwner, "bank", 64).bind(config)
            handles["bank"] = owner
        handles["hybrids"] = deployed(config.scale_of("hybrids"), Hybrids, "hybrids").bind(config, owner)
    if config.likeness:
        manifest.require(config.likeness, "bank")
        handles["likeness"] = deployed(config.scale_of("likeness"), Likeness, "likeness").bind(config)
    if config.children:
        if not config.checkpoint:
            raise UserError("checkpoint must be given with children: its codes are blended, got none")
        children = deployed(config.scale_of("children"), Pictures, "children")
        handles["children"] = children.bind("children", config.children, config)
    for kind, named in (("variations", config.variations), ("inversions", config.inversions)):
        for name, checkpoint in named.items():
            one = deployed(config.scale_of(kind), Pictures, f"{kind}:{name}")
            handles[f"{kind}:{name}"] = one.bind(kind, checkpoint, config)
    # The ingress bounds what it works on itself, so that what is too much gets a problem document, not Serve's plain text.
    ingress = single(config.scale_of("ingress"), Ingress, "ingress", 10 * config.limits.max_in_flight)
    return ingress.bind(config, NAME, handles)
