"""What a stage computes on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Compute:
    """A device as torch names it, and the threads of computation on the CPU."""

    device: str = "cpu"
    threads: int = 1
