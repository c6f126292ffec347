"""Whether a bank's shards fit into the cluster: asked before any is started, so that nothing waits in silence."""

from collections.abc import Sequence

import ray

from rupantara.bank.versions import BankVersion

PROCESS_BYTES = 200 * 2**20
"""Of a shard's process before it holds a vector (Python, numpy, pyarrow, FAISS: 180 MB measured)."""
ROW_BYTES = 150
"""Of a row beside its vector: ids, norm, and what pyarrow holds while a shard is read."""


def shard_bytes(found: BankVersion) -> list[int]:
    """Return the memory that each shard of a version takes, from its manifest."""
    rows = {file.path: file.rows for file in found.manifest.files}
    vector = found.manifest.extra["index"].get("bytes_a_vector") or 4 * found.manifest.extra["region_dim"]
    counts = [sum(rows.get(path, 0) for path in shard.segments) for shard in found.shards]
    return [PROCESS_BYTES + int(count * (vector + ROW_BYTES)) for count in counts]


def lacking(wanted: Sequence[int]) -> str:
    """Return "" where actors of so many bytes fit beside each other into the nodes, else what does not and what would, in one line.

    Judged by what the nodes have, not by what is free now: that changes.
    """
    nodes = [int(node["Resources"].get("memory", 0)) for node in ray.nodes() if node["Alive"]]
    free = list(nodes)
    for need in sorted(wanted, reverse=True):
        place = next((i for i, room in enumerate(free) if room >= need), None)
        if place is None:
            return (
                f"the bank's {len(wanted)} shards need {gib(sum(wanted))} of memory, the largest {gib(max(wanted))}; the cluster's"
                f" {len(nodes)} nodes offer {', '.join(gib(room) for room in sorted(nodes, reverse=True)[:5]) or 'none'}:"
                " add nodes, build the bank with more shards, or keep fewer features (build_bank --most)"
            )
        free[place] -= need
    return ""


def gib(number: float) -> str:
    """Show bytes in GiB."""
    return f"{number / 2**30:.2f} GiB"
