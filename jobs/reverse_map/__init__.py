"""Reverse mapping: `python -m jobs.reverse_map`; flags in config, what is mapped in inputs, the table run in run, and the report."""

from jobs.reverse_map.config import Config
from jobs.reverse_map.run import build, main

__all__ = ["Config", "build", "main"]
