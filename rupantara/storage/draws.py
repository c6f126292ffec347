"""Draws that a row's id and the seed alone decide, so that rows are chosen alike wherever they lie."""

import hashlib
from collections.abc import Mapping


def draw(row_id: str, seed: int) -> float:
    """Return a number in [0, 1) that depends on the id and the seed alone."""
    digest = hashlib.blake2b(f"{seed}/{row_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def lowest(ids: Mapping[str, str], most: int, seed: int) -> dict[str, str]:
    """Keep the `most` (0 = all) of lowest draw, ordered by it."""
    return dict(sorted(ids.items(), key=lambda row: draw(row[0], seed))[: most or None])
