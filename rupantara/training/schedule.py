"""Schedules by images seen, so that a batch size changes nothing but the noise."""

import math


def warm_up(seen: int, length: int) -> float:
    """Rise linearly from 0 to 1 over `length` images."""
    return min(1.0, seen / max(length, 1))


def cosine(seen: int, total: int, *, warm_up_images: int, floor: float = 0.02) -> float:
    """Rise over `warm_up_images`, then fall by half a cosine to `floor` at `total`."""
    progress = min(1.0, seen / max(total, 1))
    return min(1.0, (seen + 1) / max(warm_up_images, 1)) * (
        floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    )
