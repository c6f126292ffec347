"""Statistics that a part leaves beside its rows, and that the commit merges into the output: sums that add, lists that follow each other.

A part keeps them in its file's own metadata, so that they appear with its rows and can always be had again; the output keeps
their merger in one file, which its manifest lists. Merged in the order of the parts they are the same to the bit for one plan;
whole numbers are so for any plan, and sums of floats to 1e-9.
"""

import base64
import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from safetensors.numpy import load, save

from rupantara.storage import uris

Arrays = Mapping[str, np.ndarray]
METADATA = b"rupantara_statistics"
SUM, LIST = "sum:", "list:"


@dataclass(frozen=True)
class Statistics:
    """Arrays by name: `sums` of equal shape add up, and `lists` are laid end to end. What lacks a name adds nothing to it."""

    sums: Arrays = field(default_factory=dict)
    lists: Arrays = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Encode as safetensors."""
        named = {SUM + k: v for k, v in self.sums.items()} | {LIST + k: v for k, v in self.lists.items()}
        return save({name: np.array(value, order="C") for name, value in named.items()})

    @staticmethod
    def from_bytes(data: bytes) -> "Statistics":
        """Decode what `to_bytes` wrote."""
        found = load(data)
        kinds = ({k.removeprefix(p): v for k, v in found.items() if k.startswith(p)} for p in (SUM, LIST))
        return Statistics(*kinds)


Measure = Callable[[pa.Table], Statistics]
"""What a job measures of the rows that a part writes."""


def merge(parts: Iterable[Statistics]) -> Statistics:
    """Merge statistics in the order given, one at a time."""
    sums: dict[str, Any] = {}
    lists: dict[str, list[np.ndarray]] = {}
    for part in parts:
        for name, value in part.sums.items():
            sums[name] = sums[name] + value if name in sums else value
        for name, value in part.lists.items():
            lists.setdefault(name, []).append(value)
    ends = {name: np.concatenate(values) for name, values in sorted(lists.items())}
    return Statistics({name: np.asarray(value) for name, value in sorted(sums.items())}, ends)


def attach(rows: pa.Table, measured: Statistics) -> pa.Table:
    """Return rows that carry statistics in their metadata, as a stage hands them on."""
    text = base64.b64encode(zlib.compress(measured.to_bytes(), 1))
    return rows.replace_schema_metadata({**(rows.schema.metadata or {}), METADATA: text})


def attached(metadata: Mapping[bytes, bytes] | None) -> Statistics | None:
    """Read the statistics in a file's or a table's metadata; None where there are none."""
    text = (metadata or {}).get(METADATA)
    return None if text is None else Statistics.from_bytes(zlib.decompress(base64.b64decode(text)))


def path_of(fingerprint: str) -> str:
    """Name the file of an output's merged statistics, relative to the output."""
    return f"statistics-{fingerprint[:12]}.safetensors"


def write(uri: str, fingerprint: str, merged: Statistics) -> int:
    """Write an output's merged statistics; return the size in bytes."""
    data = merged.to_bytes()
    uris.write_bytes(uris.join(uri, path_of(fingerprint)), data)
    return len(data)
