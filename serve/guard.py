"""What stands before every route: who asks, how often, how much at a time; and how each answer says what it is."""

import asyncio
import logging
import re
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ray.serve import metrics
from ray.serve.context import _serve_request_context

from serve.auth import Caller, Tokens, is_loopback
from serve.config import Limits
from serve.memory import LARGE_BYTES, Returner
from serve.problems import Problem

log = logging.getLogger("ray.serve")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
Take = Callable[[str, float, float], Awaitable[float]]
"""Caller's name, its rate and burst -> seconds to wait (`serve.limits.Buckets.take`)."""

SOUND_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
ALIVE = ("/healthz", "/readyz")
OPEN = ("/", "/docs", "/openapi.json", *ALIVE)
"""What is answered without a token: the page and the documents hold nothing of anybody."""
OPEN_UNDER = "/page/"
SECURITY = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"content-security-policy": b"default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none';"
    b" frame-ancestors 'none'; form-action 'self'",
}


class Guard:
    """ASGI middleware."""

    def __init__(self, app: App, tokens: Tokens, limits: Limits, take: Take) -> None:
        """Guard `app`; `take` asks the buckets that all replicas share."""
        self._app, self._tokens, self._limits, self._take = app, tokens, limits, take
        self._in_flight = 0
        self._memory = Returner()
        self._seconds = metrics.Histogram(
            "rupantara_http_seconds",
            description="seconds of a request",
            boundaries=[0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5, 10, 30],
            tag_keys=("path", "status"),  # ty: ignore[invalid-argument-type]
        )

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Let a request through, or answer why not."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(scope, send)
        try:
            path = _path(scope)
            if path in OPEN or path.startswith(OPEN_UNDER):
                await self._app(scope, receive, answer.send)
            else:
                await self._admitted(scope, receive, answer)
        except Problem as problem:
            if not answer.started:
                await problem.response(answer.request_id)(scope, receive, answer.send)
        except Exception:
            # The application has answered with a problem; what failed is for the log.
            log.exception("%s failed", answer.request_id)
            if not answer.started:
                raise
        finally:
            path = str(getattr(scope.get("route"), "path", "other"))
            spent = time.perf_counter() - answer.start
            self._seconds.observe(spent, {"path": path, "status": str(answer.status)})
            if path.startswith("/v1"):
                log.info(
                    "%s %s %d %.0f ms caller %s", answer.request_id, path, answer.status, spent * 1e3, answer.caller
                )

    async def _admitted(self, scope: MutableMapping[str, Any], receive: Receive, answer: "_Answer") -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        caller = self._caller(scope, headers)
        answer.caller = caller.name
        await self._in_rate(caller)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > self._limits.max_body_bytes:
            raise self._too_large(length)
        if self._in_flight >= self._limits.max_in_flight:
            raise Problem(
                "overloaded", f"{self._in_flight} requests are being worked on, as many as are taken at a time"
            )
        self._in_flight += 1
        try:
            await self._app(scope, self._bounded(receive), answer.send)
        finally:
            self._in_flight -= 1
            # A body of unknown length may be of any; without either header there is none.
            unknown = LARGE_BYTES if "transfer-encoding" in headers else 0
            self._memory.after(int(length[:20]) if length.isdigit() else unknown)

    def _caller(self, scope: MutableMapping[str, Any], headers: dict[str, str]) -> Caller:
        """Return who asks; without tokens it is the address, and pages of other sites are refused."""
        if self._tokens:
            caller = self._tokens.caller(headers.get("authorization", ""))
            if caller is None:
                wanted = {"WWW-Authenticate": 'Bearer realm="rupantara"'}
                raise Problem(
                    "no_token", "the request must bear a known token: Authorization: Bearer TOKEN", headers=wanted
                )
            return caller
        host = (
            headers.get("host", "localhost").rsplit(":", 1)[0]
            if headers.get("host", "")[-1:] != "]"
            else headers["host"]
        )
        if not is_loopback(host):
            raise Problem("forbidden", f"without tokens this server answers to localhost alone, got host {host[:60]!r}")
        if headers.get("sec-fetch-site") == "cross-site":
            raise Problem("forbidden", "without tokens this server does not answer to pages of other sites")
        return Caller(f"address {(scope.get('client') or ('unknown',))[0]}")

    async def _in_rate(self, caller: Caller) -> None:
        rate = caller.rate_per_s or self._limits.rate_per_s
        if not rate:
            return
        wait_s = await self._take(caller.name, rate, caller.burst or self._limits.burst)
        if wait_s > 0:
            detail = f"{caller.name} may ask {rate:g} times a second; the next is answered in {wait_s:.1f} s"
            raise Problem("rate_limited", detail, headers={"Retry-After": str(int(wait_s) + 1)})

    def _bounded(self, receive: Receive) -> Receive:
        """Return `receive` that ends with a problem where the body is too long, or too slow."""
        got, until = 0, time.monotonic() + self._limits.body_s
        whole = False

        async def bounded() -> Message:
            nonlocal got, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.001, until - time.monotonic()))
            except TimeoutError:
                raise Problem("slow_body", f"the body must arrive within {self._limits.body_s:g} s") from None
            got += len(message.get("body", b""))
            if got > self._limits.max_body_bytes:
                raise self._too_large("more")
            whole = not message.get("more_body", False)
            return message

        return bounded

    def _too_large(self, got: str) -> Problem:
        # The rest of the body is not read: the connection cannot be used again.
        return Problem(
            "too_large",
            f"the body must be at most {self._limits.max_body_bytes} bytes, got {got}",
            headers={"Connection": "close"},
        )


def _path(scope: MutableMapping[str, Any]) -> str:
    """Return the path below the application's route prefix."""
    return scope["path"].removeprefix(scope.get("root_path", "")) or "/"


class _Answer:
    """The answer on its way out: it gets the request's id and the headers that all have."""

    def __init__(self, scope: MutableMapping[str, Any], send: Send) -> None:
        # Serve gives each request an id (or takes the caller's X-Request-ID) and returns it as a header.
        context = _serve_request_context.get()
        given = context.request_id if context is not None else ""
        self.request_id = scope["request_id"] = given if SOUND_ID.fullmatch(given) else secrets.token_hex(12)
        self.caller, self.status, self.started, self.start = "", 0, False, time.perf_counter()
        self._send, self._head = send, scope["method"] == "HEAD"
        self._api = _path(scope).startswith("/v1/") or _path(scope) in ALIVE

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            own = {**SECURITY, b"cache-control": b"no-store"} if self._api else SECURITY
            there = {name.lower() for name, _ in message["headers"]}
            message["headers"] = [*message["headers"], *((k, v) for k, v in own.items() if k not in there)]
        elif self._head:
            message = {**message, "body": b""}
        await self._send(message)
