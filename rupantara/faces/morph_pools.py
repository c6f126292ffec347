"""Which faces morphs are made of: possible parents, the pools that they are drawn from, and the parts that the morphs are made in."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from rupantara import schema
from rupantara.storage import tables
from rupantara.storage.manifest import Manifest
from rupantara.storage.plan import Part

SPLIT = "train"
PLAN_COLUMNS = ("domain", "landmarks", "quality", "split", "reject")


@dataclass(frozen=True)
class PoolFile:
    """A file of the faces table, and the file of the features table with its faces' vectors ("" without)."""

    faces: str
    features: str = ""


Pooled = tuple[list[PoolFile], int]
"""The files of a pool, and its number of possible parents."""


def parents(table: pa.Table, max_yaw: float) -> pa.Table:
    """Keep the rows that may be parents: accepted humans of the train split with 68 points, turned by at most `max_yaw`.

    Landmarks of faces turned further drift, and their morphs show it.
    """
    table = schema.where(schema.accepted(table), domain="human", split=SPLIT)
    yaw = pc.field("quality", "yaw")
    return table.filter(pc.field("landmarks").is_valid() & (yaw >= -max_yaw) & (yaw <= max_yaw))


def pools_of(uri: str, faces: Manifest, features: Manifest | None, pool_faces: int, max_yaw: float) -> list[Pooled]:
    """Group the files of a faces table until a pool holds so many possible parents; `features` are of the same files."""
    pools: list[Pooled] = []
    for i, file in enumerate(faces.data):
        members = parents(tables.read_file(uri, file.path, PLAN_COLUMNS), max_yaw).num_rows
        files = PoolFile(file.path, features.data[i].path if features else "")
        if not pools or pools[-1][1] >= pool_faces:
            pools.append(([], 0))
        pools[-1] = ([*pools[-1][0], files], pools[-1][1] + members)
    if len(pools) > 1 and pools[-1][1] < pool_faces // 2:
        rest, members = pools.pop()
        pools[-1] = (pools[-1][0] + rest, pools[-1][1] + members)
    return pools


def shares(count: int, pools: Sequence[Pooled]) -> list[int]:
    """Share the morphs out by the pools' sizes, summing to `count`."""
    total, given, seen = sum(n for _, n in pools), 0, 0
    out = []
    for _, n in pools:
        seen += n
        out.append(count * seen // total - given)
        given += out[-1]
    return out


def cut(wanted: Sequence[int], part_morphs: int) -> list[Part]:
    """Cut each pool's morphs into parts."""
    planned: list[Part] = []
    for pool, count in enumerate(wanted):
        for start in range(0, count, part_morphs):
            index = range(start, min(start + part_morphs, count))
            rows = pa.table({"pool": [pool] * len(index), "index": list(index)}, schema=schema.MORPHS_PLANNED)
            planned.append(Part(len(planned), rows=rows))
    return planned
