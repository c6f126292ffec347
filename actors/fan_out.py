"""One question to every shard of a bank: another replica where one fails or is slow, until all have answered or time is up."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.exceptions import ActorDiedError, PendingCallsLimitExceeded, RayError, RayTaskError

from rupantara.errors import MissingError

PARTIAL_WAIT_S = 4.0
"""Who allows a partial answer waits this long for a shard that fails or is silent: Ray takes some two seconds to tell that a process
died, and another replica answers then."""

RETRY_S = 0.1
HEDGE_S = 2.0
"""A replica that is silent for so long, and not known to be dead, is not waited for alone: the next one is asked as well."""

FETCH_TIMEOUT_S = 30.0
"""An answer that is ready, and does not come over from its node in this time, is asked for again."""

MAX_PENDING = 64
"""Calls of one client that may wait at a replica; more wait at the client, or time out."""

Call = Callable[[Any], Any]
"""Submits the question to one actor and returns the reference of its answer."""


def ask_all(
    shards: Sequence[Sequence[Any]], call: Call, timeout_s: float, *, allow_partial: bool, hedge_s: float = HEDGE_S
) -> tuple[list[Any], str]:
    """Call one replica of each of `shards`; return an answer or None for each, and why one lacks ("" when none does).

    A replica that is silent for `hedge_s` is not waited for alone: for questions that take long, it has to be longer. An error of
    the question itself is raised as it is.
    """
    asked = [_Asked(shard, hedge_s) for shard in shards]
    deadline = time.monotonic() + timeout_s
    patience = min(deadline, time.monotonic() + PARTIAL_WAIT_S) if allow_partial else deadline
    try:
        _collect(asked, call, deadline, patience)
    finally:
        for one in asked:
            one.cancel()
    missing = [one for one in asked if one.answer is None]
    why = next((one.why for one in missing if one.why), f"no answer within {timeout_s:g} s") if missing else ""
    return [one.answer for one in asked], why


def _collect(asked: Sequence["_Asked"], call: Call, deadline: float, patience: float) -> None:
    """Ask until all have answered or given up, or the deadline; who may answer in part waits for silent shards until `patience`."""
    while (open_ := [one for one in asked if not one.done]) and time.monotonic() < deadline:
        if time.monotonic() > patience and any(one.done for one in asked):
            return
        for one in open_:
            one.submit(call, patience)
        refs = {ref: one for one in open_ for ref in one.refs}
        if not refs:
            time.sleep(RETRY_S)
            continue
        short = patience < deadline or any(one.may_ask_more for one in open_)
        left = max(0.0, deadline - time.monotonic())
        ready, _ = ray.wait(list(refs), num_returns=1, timeout=min(left, RETRY_S) if short else left)
        for ref in ready:
            refs[ref].receive(ref, patience)


class _Asked:
    """One shard's question: the calls that are out, and the replicas that may still be asked."""

    def __init__(self, replicas: Sequence[Any], hedge_s: float) -> None:
        self._replicas, self._hedge_s = random.sample(list(replicas), len(replicas)), hedge_s
        self._round, self._not_before = 0, 0.0
        self.refs: dict[Any, Any] = {}
        self.answer: Any = None
        self.given_up = False
        self.why = ""

    @property
    def done(self) -> bool:
        """Tell whether nothing more is to be waited for."""
        return self.answer is not None or self.given_up

    @property
    def may_ask_more(self) -> bool:
        """Tell whether a replica is left that no call is out to."""
        return not self.done and len(self.refs) < len(self._replicas)

    def submit(self, call: Call, patience: float) -> None:
        """Ask the next replica, unless it is too early to ask another, or to try again."""
        if not self.may_ask_more or time.monotonic() < self._not_before:
            return
        out = [id(actor) for actor in self.refs.values()]
        actor = next(one for one in self._replicas if id(one) not in out)
        self._replicas.append(self._replicas.pop(next(i for i, one in enumerate(self._replicas) if one is actor)))
        self._round += 1
        self._not_before = time.monotonic() + self._hedge_s
        try:
            self.refs[call(actor)] = actor
        except PendingCallsLimitExceeded:
            self._failed(f"{MAX_PENDING} calls wait at each replica", patience)

    def receive(self, ref: Any, patience: float) -> None:
        """Take the answer that is ready; an actor that died is not an answer. Errors of the question itself are raised."""
        actor = self.refs.pop(ref)
        if self.done:
            return
        try:
            self.answer = ray.get(ref, timeout=FETCH_TIMEOUT_S)
        except ActorDiedError as error:
            self._replicas = [one for one in self._replicas if one is not actor]
            self._failed(first_line(error), patience)
            self.given_up = self.given_up or not self._replicas
        except RayTaskError as error:
            # Storage may come back, and another replica may still hold a version whose files are gone; what is wrong with the
            # question itself stays wrong.
            gone = isinstance(error.cause, MissingError) and (self.refs or self._round < len(self._replicas))
            if not gone and not isinstance(error.cause, OSError):
                raise
            self._failed(first_line(error), patience)
        except RayError as error:
            self._failed(first_line(error), patience)

    def cancel(self) -> None:
        """Let go of the calls that are out."""
        for ref in self.refs:
            ray.cancel(ref)

    def _failed(self, why: str, patience: float) -> None:
        self.why = why
        # All replicas are asked at once; then the round begins again after a pause.
        pause = RETRY_S if self._replicas and self._round % len(self._replicas) == 0 else 0.0
        self._not_before = time.monotonic() + pause
        self.given_up = time.monotonic() > patience and not self.refs


def first_line(error: Exception) -> str:
    """Return the first line of what an error says."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
