"""How much memory, how many shards and nodes a bank of a given size takes, with the arithmetic."""

import math
from dataclasses import dataclass

from rupantara.bank.factory import FLAT_ROWS, plan_index
from rupantara.errors import UserError
from rupantara.landmarks.regions import REGIONS

ID_BYTES = 34 + 8 + 4
"""Of a face in memory: its id, the offset of that, and the norm of a region's code (the ids are shared by the regions)."""

ROW_BYTES = 40
"""Of a row in Parquet beside its vector: ids, species, region, norm, mean and deviation, compressed."""

NODE_SHARE = 0.7
"""Share of a node's memory that shards may take: the rest is for Ray, the object store and queries."""

GIB = 2**30


@dataclass(frozen=True)
class BankPlan:
    """What a bank takes."""

    faces: int
    vectors: int
    shards: int
    faces_a_shard: int
    index: str
    bytes_a_vector: float
    shard_gib: float
    memory_gib: float
    storage_gib: float
    nodes: int
    lines: tuple[str, ...]


def plan_bank(
    vectors: int,
    dim: int,
    *,
    node_gib: float,
    node_cpus: int = 8,
    replicas: int = 1,
    half: bool = True,
    shards: int = 0,
) -> BankPlan:
    """Plan for `vectors` vectors, those of a face in all regions; `shards` 0 = so many that a node of them
    has two processors for each.

    A shard holds two versions, the one that clients are leaving and the one that they go to: NODE_SHARE of a node holds its
    shards twice. Raise UserError for numbers that make no bank.
    """
    if vectors < len(REGIONS) or dim < 2 or node_gib <= 0 or replicas < 1 or node_cpus < 1 or shards < 0:
        raise UserError(
            f"a plan needs at least {len(REGIONS)} vectors, 2 dimensions, memory, processors and a replica, got"
            f" {vectors}, {dim}, {node_gib:g} GiB, {node_cpus}, {replicas}"
        )
    faces = math.ceil(vectors / len(REGIONS))
    room = node_gib * NODE_SHARE

    def with_shards(count: int) -> tuple[float, float, str]:
        index = plan_index(math.ceil(faces / count), dim, half=half)
        each = math.ceil(faces / count) * (len(REGIONS) * index.bytes_a_vector + ID_BYTES) / GIB
        return each, index.bytes_a_vector, index.name

    count = shards or max(1, math.ceil(faces / FLAT_ROWS) if faces <= 2 * FLAT_ROWS else 1)
    side_by_side = max(1, node_cpus // 2)
    while not shards and 2 * side_by_side * with_shards(count)[0] > room:
        count *= 2
    each, a_vector, name = with_shards(count)
    if 2 * each > room:
        raise UserError(
            f"a shard of {each:.2f} GiB does not fit twice into {room:.1f} GiB of a node: give more shards than {count}"
        )
    per_node = max(1, min(int(room / (2 * each)), side_by_side))
    nodes = max(replicas, math.ceil(count * replicas / per_node))
    stored = vectors * (dim * (2 if half else 4) + ROW_BYTES) / GIB
    files = vectors * a_vector / GIB if name != "flat" else 0.0
    lines = (
        f"{vectors:,} vectors / {len(REGIONS)} regions = {faces:,} faces",
        f"{count} shards of {math.ceil(faces / count):,} faces; index of each region: {name}",
        f"a vector: {a_vector:.0f} bytes in memory; a face beside: {ID_BYTES} bytes",
        f"a shard: {math.ceil(faces / count):,} x ({len(REGIONS)} x {a_vector:.0f} + {ID_BYTES}) bytes = {each:.2f} GiB",
        f"all: {count} x {each:.2f} GiB x {replicas} replicas = {count * each * replicas:.1f} GiB of memory",
        f"Parquet: {vectors:,} x ({dim} x {2 if half else 4} + {ROW_BYTES}) bytes = {stored:.1f} GiB; FAISS files {files:.1f} GiB",
        f"a node: {node_gib:g} GiB x {NODE_SHARE:g} = {room:.1f} GiB, {node_cpus} processors, so {per_node} shards in two"
        f" versions: {nodes} nodes",
    )
    return BankPlan(
        faces,
        vectors,
        count,
        math.ceil(faces / count),
        name,
        a_vector,
        round(each, 3),
        round(count * each * replicas, 2),
        round(stored + files, 2),
        nodes,
        lines,
    )
