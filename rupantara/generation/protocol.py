"""What every generator is: typed requests in, pictures with a record of how each was made out.

A generator knows no Arrow, no HTTP and no storage of results: jobs (`jobs.generate`) and endpoints (`serve/`) call the same object.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from rupantara.errors import Rejected
from rupantara.types import Picture


@dataclass(frozen=True)
class Record:
    """How one picture was made: enough to make it again.

    `parameters` is JSON; `scores` are named numbers (a retrieval's cosine, an identity cosine); `bank_ids` are the
    features of the bank that lent something; `species` is "human" where no animal did.
    """

    request_id: str
    kind: str
    face_ids: tuple[str, ...]
    parameters: dict[str, Any]
    seed: int
    model_sha256: tuple[str, ...]
    species: str = "human"
    bank_ids: tuple[str, ...] = ()
    scores: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Generated:
    """A picture (RGB, 0..255) and its record, or no picture and the reason."""

    record: Record
    picture: Picture | None = None
    reject: Rejected | None = None


Request = TypeVar("Request", contravariant=True)


class Generator(Protocol[Request]):
    """Makes pictures in batches; loads its networks when it is built, and is safe to call from one thread at a time."""

    kind: str

    def generate(self, requests: Sequence[Request]) -> list[list[Generated]]:
        """Return for each request, in order, what it asked for: one picture or several.

        A request that cannot be met gives a `Generated` with its `reject`; one that could never be met by anybody (an
        unknown species, a weight of 2) raises UserError before any network runs.
        """
        ...
