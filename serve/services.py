"""What routes stand on: calls of deployments under a deadline, and faces out of photographs, tokens and samples."""

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError
from ray.serve.handle import DeploymentHandle

from serve.bodies import FaceBody, picture_bytes, points_of
from serve.config import Config
from serve.faces import Face
from serve.jobs import Jobs
from serve.problems import Problem

log = logging.getLogger("ray.serve")

TRUNCATION = 0.8
"""Of sampled people: a little nearer to the mean face than the prior's own draws."""

STATE_S = 1.5
"""Seconds that a deployment may take to say whether it is ready."""


@dataclass
class Work:
    """One request being answered: its id, when it must be done, and the seconds of its stages."""

    request_id: str = field(default_factory=lambda: secrets.token_hex(12))
    until: float = float("inf")
    seconds: dict[str, float] = field(default_factory=dict)

    def server_timing(self) -> str:
        """Return the value of the header Server-Timing, milliseconds by stage."""
        return ", ".join(f"{stage};dur={spent * 1e3:.1f}" for stage, spent in self.seconds.items())


class Services:
    """The application's deployments, by name (`variations:NAME` for each of several)."""

    def __init__(self, config: Config, handles: Mapping[str, DeploymentHandle], jobs: Jobs | None = None) -> None:
        """Keep the handles; `jobs` takes what is too large for an answer."""
        self.config, self.handles, self.jobs = config, dict(handles), jobs

    def work(self, request_id: str) -> Work:
        """Begin a request."""
        return Work(request_id, time.monotonic() + self.config.limits.deadline_s)

    async def call(self, work: Work, deployment: str, method: str, *arguments: Any) -> Any:
        """Call a method that answers an `Outcome`; return its value or raise its problem.

        What ends with a replica that died is tried once more: every request here may be made twice.
        """
        if deployment not in self.handles:
            raise Problem("not_configured", f"this server was started without {deployment.partition(':')[0]}")
        for last in (False, True):
            try:
                return (await self._in_time(work, deployment, method, arguments)).unwrap(work.seconds)
            except BackPressureError:
                raise Problem("overloaded", f"as many requests for {deployment} as are taken are waiting") from None
            except TimeoutError:
                limit = self.config.limits.deadline_s
                raise Problem("deadline", f"the request took longer than {limit:g} s and was given up") from None
            except (RayActorError, DeploymentUnavailableError):
                if last:
                    raise Problem("not_ready", f"{deployment} was lost, and is being started again") from None
            except RayTaskError as error:
                log.exception("%s %s failed", work.request_id, deployment)
                raise Problem("internal", f"{deployment} failed: {type(error.cause).__name__}") from error
        raise AssertionError("unreachable")

    async def _in_time(self, work: Work, deployment: str, method: str, arguments: tuple[Any, ...]) -> Any:
        async def ask() -> Any:
            return await getattr(self.handles[deployment], method).remote(*arguments)

        return await asyncio.wait_for(ask(), max(0.001, work.until - time.monotonic()))

    def named(self, kind: str, name: str) -> str:
        """Return the deployment of a kind and name, the first of the kind by default; raise the problem where there is none."""
        there = sorted(one.partition(":")[2] for one in self.handles if one.partition(":")[0] == kind)
        if not there:
            raise Problem("not_configured", f"this server was started without {kind}")
        if name and name not in there:
            raise Problem("wrong_parameter", f"model must be one of {', '.join(there)}, got {name[:60]!r}")
        return f"{kind}:{name or there[0]}"

    async def face(self, work: Work, body: FaceBody, photo: bytes | str | None = None) -> Face:
        """Return the face that a body gives (a token's is read by the deployments that hold codes)."""
        given = body.given()
        if photo is None and len(given) != 1:
            raise Problem(
                "wrong_parameter", f"one of photo, face and sample must be given, got {', '.join(given) or 'none'}"
            )
        if photo is None and body.face is not None:
            return Face.unread(body.face)
        if photo is None and body.sample is not None:
            return (await self.call(work, "hybrids", "sample", body.sample, TRUNCATION, False))[0]
        data = picture_bytes(photo if photo is not None else body.photo or b"", "photo")
        faces = await self.call(work, "faces", "find", data, points_of(body.keypoints), body.which)
        return faces[0]

    async def picture(self, work: Work, face: Face) -> Face:
        """Return the face with a crop: its own, or the one decoded from its codes."""
        if face.crop is not None:
            return face
        ((coded, _, picture),) = await self.call(work, "hybrids", "faces", [face], True)
        return Face(coded.face_id, coded.boxes, picture, coded.codes, shape=coded.shape)

    async def about(self, name: str) -> dict[str, Any]:
        """Return what a deployment serves; nothing while no replica of it answers."""

        async def ask() -> dict[str, Any]:
            return await self.handles[name].about.remote()

        try:
            return await asyncio.wait_for(ask(), STATE_S)
        except (TimeoutError, BackPressureError, RayActorError, DeploymentUnavailableError):
            return {}

    async def states(self) -> dict[str, str]:
        """Return for each deployment "" when it is ready, else why not; those that sleep while nobody asks are ready."""
        asked = [name for name in self.handles if self.config.scale_of(name.partition(":")[0]).min_replicas > 0]
        found = await asyncio.gather(*(self._state(name) for name in asked))
        return dict(zip(asked, found, strict=True))

    async def _state(self, name: str) -> str:
        async def ask() -> str:
            return await self.handles[name].state.remote()

        try:
            return await asyncio.wait_for(ask(), STATE_S)
        except TimeoutError:
            return "no replica answers yet: it is being started, waits for room in the cluster, or is busy"
        except (BackPressureError, RayActorError, DeploymentUnavailableError, RayTaskError) as error:
            return f"{type(error).__name__}"
