"""What a deployment answers: a value or a problem, and the seconds of each stage. Errors travel as values, so that one request of a
batch cannot fail another."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from actors.sharded_bank import BankUnavailableError
from rupantara.errors import MissingError, Rejected, UserError
from serve.problems import Problem

Request = TypeVar("Request")


@dataclass
class Outcome:
    """A value or the problem in its place; `seconds` by stage; `batch` is how many requests were made together."""

    value: Any = None
    problem: Problem | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    batch: int = 1

    def unwrap(self, seconds: dict[str, float]) -> Any:
        """Return the value after adding the seconds of its stages to `seconds`; raise its problem."""
        for stage, spent in self.seconds.items():
            seconds[stage] = seconds.get(stage, 0.0) + spent
        problem = self.problem
        if problem is None:
            return self.value
        try:
            raise problem
        finally:
            # A problem's traceback holds this frame, and the callers' with the upload in them: without names here there is no circle,
            # and they are let go at once, not when the collector comes.
            del self, problem


@contextmanager
def timed(seconds: dict[str, float], stage: str) -> Generator[None]:
    """Add the seconds of the block to a stage."""
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start


def problem_of(error: UserError | Rejected | ValueError | OSError) -> Problem:
    """Say what a generator refused as a problem."""
    if isinstance(error, Rejected):
        code = (
            "not_made"
            if error.stage == "generate"
            else "too_large"
            if error.reason == "too_large"
            else "no_usable_face"
        )
        said = WORDS.get(error.reason, error.reason.replace("_", " "))
        detail = f"{said}: {error.detail}" if error.detail else said
        return Problem(code, detail, reason=error.reason, reject=error.as_row())
    if isinstance(error, BankUnavailableError):
        return Problem("not_ready", str(error), reason=BANK_LOST)
    if isinstance(error, MissingError | OSError):
        # A network's file, or the store that it is in: nothing that the caller could mend.
        return Problem("not_ready", " ".join(str(error).split()))
    return Problem("wrong_parameter", str(error))


BANK_LOST = "bank_lost"
"""Reason of what failed because shards do not answer: the deployment then asks the bank's owner for a new client."""

WORDS = {
    "no_face": "no face was found in the picture",
    "empty": "the file is empty",
    "undecodable": "the file is no picture that can be read",
    "truncated": "the file ends before the picture does",
    "too_large": "the picture has too many pixels",
    "bad_keypoints": "the keypoints are not a face's in this picture",
    "too_small": "the face is too small",
    "out_of_frame": "too little of the face is inside the picture",
    "too_dark": "the picture is too dark",
    "too_bright": "the picture is too bright",
    "turned_away": "the face is turned too far to the side",
    "tilted": "the face looks too far up or down",
    "rolled": "the head is tilted too far",
    "person": "the face is a person's, not an animal's",
    "animal": "the face is an animal's, not a person's",
}
"""A reject's reason in words for people."""


def each(make: Callable[[Sequence[Request]], Sequence[Any]], requests: Sequence[Request], stage: str) -> list[Outcome]:
    """Make all requests together; where one is wrong, make each by itself, so that only the wrong one fails."""
    seconds: dict[str, float] = {}
    try:
        with timed(seconds, stage):
            values = list(make(requests))
    except (UserError, Rejected, ValueError, OSError) as error:
        if len(requests) == 1:
            return [Outcome(problem=problem_of(error), seconds=seconds)]
        return [outcome for request in requests for outcome in each(make, [request], stage)]
    return [Outcome(value, None, dict(seconds), len(values)) for value in values]
