"""The sections of docs/speed.md that have tables or texts of their own: reverse mapping, memory, serving and a bank under hardship."""

from typing import Any

from benchmarks.kept import number, read

MEMORY = """Peak memory of the driver: `python -m benchmarks.memory`, and with `--real --rows 10000` for the jobs' own stages,
or `stats.json` of a job's output. `ready`: the stage emits rows made before; plan, streaming, reduce step, commit and report are the
job's own. `real`: all of the job is its own.
Parts are of 256 rows, or of 4,096 (`PART_ROWS=4096` before the command), as their number tells.
"""


def memory() -> str:
    """Return the section about the driver's memory."""
    found = read("memory") or ()
    least = {one["job"]: one["driver_peak_mib"] for one in reversed(found) if one["stage"] == "ready"}
    lines = [
        f"| {one['job']} | {one['stage']} | {one['rows']:,} | {one['made']:,} | {one['parts']:,} | {planned(one)} "
        f"| {one['driver_peak_mib']:.0f} | {ratio_of(one, least)} |"
        for one in found
    ]
    head = (
        "| job | stage | rows read | rows made | parts | MiB when planned | MiB at its peak | over the smallest table's |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    return "\n".join(["## Memory", "", MEMORY, head, *lines])


def planned(one: dict[str, Any]) -> str:
    """Show what the driver held before the parts began; a job's own `stats.json` does not tell."""
    return f"{one['planned_mib']:.0f}" if one["planned_mib"] else ""


def ratio_of(one: dict[str, Any], least: dict[str, float]) -> str:
    """Show how much more a table took than the job's smallest; nothing beside real stages, of which there is one size."""
    return f"{one['driver_peak_mib'] / least[one['job']]:.2f}" if one["stage"] == "ready" else ""


def reverse_mapping() -> str:
    """Return the section about reverse mapping of very many faces."""
    found = read("reverse_map_scale") or {}
    sizes = {int(name): one for name, one in found.items() if name.isdigit()}
    lines = []
    for faces, d in sorted(sizes.items()):
        speed = f"{number(d['seconds'])} | {number(d['faces_per_s'])} | {number(1e3 * d['cpu_s'] / faces)}"
        memory = f"{d['driver_peak_mib']} | {d['worker_peak_mib']}"
        size = f"{d['table_bytes'] / 1e6:,.0f} | {d['report_bytes'] / 1e6:.1f}"
        lines.append(
            f"| {faces:,} | {d['workers']} | {speed} | {d['parts']} | {memory} | {size} | {d['load_before']} |"
        )
    head = (
        "| faces | workers | s | faces a second | ms of a core per face | parts | driver, MiB at most | worker, MiB at most | table, MB"
        " | report, MB | load before |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    said = "Features to table, statistics and report: `python -m benchmarks.reverse_map_scale --features FEATURES --bank BANK"
    said += " --folder FOLDER`. The main space is computed for all faces, the two others for a tenth."
    said += " `Load before` is the machine's load average just before the run."
    if killed := found.get("killed"):
        at = ", ".join(map(str, killed["parts_at_the_kills"]))
        same = "the same to the bit" if killed["equal"] else "NOT the same"
        said += f" Killed after {at} parts of {killed['faces']:,} faces and started again, table, statistics and report were {same}."
    return "\n".join(["## Reverse mapping", "", said, "", head, *lines])


def chaos() -> str:
    """Return the section about a bank whose shards and nodes are killed."""
    lines = []
    for replicas in (1, 2):
        d = read(f"bank_chaos_{replicas}")
        waits = [kill["whole_after_s"] for kill in d["kills"]]
        lines.append(
            f"| {replicas} | {d['queries']:,} | {d['right']:,} | {d['partial']} | {d['wrong']} | {d['error']} "
            f"| {d['p50_ms']} | {d['p99_ms']} | {min(waits)} to {max(waits)} |"
        )
    head = (
        "| replicas | queries | right | partial, and said so | wrong | failed | median, ms | 99 %, ms | whole again after, s |\n"
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    said = "Ten kills under a steady load, two of them of a whole node: `python -m benchmarks.bank_chaos --bank BANK --replicas 1`."
    picture = "![latency of queries while shards and nodes are killed](../benchmarks/bank_chaos_1.png)"
    return "\n".join(["## A bank under kills", "", said, "", head, *lines, "", picture])


def hardships() -> str:
    """Return the section about serving too many, with kills, and with replicas that come and go."""
    lines = []
    if d := read("serve_overload"):
        answered, refused = d["by_status"].get("200", 0), d["by_status"].get("503", 0)
        lines.append(
            f"- At {number(d['asked_per_s'])} requests a second, twice the capacity of {number(d['capacity_per_s'])}"
            f" (`serve_overload --photo FILE`): of {d['requests']} requests {answered} were answered, {refused} got 503"
            f" ({d['refused_with_retry_after']} with Retry-After, median {number(d['refused_p50_ms'])} ms),"
            f" {d['requests'] - answered - refused} anything else."
            f" The admitted took {number(d['admitted_p50_ms'])} ms in the median, p99 {number(d['admitted_p99_ms'])};"
            f" the queue's bound over the capacity is {number(d['bound_ms'])},"
            f" and answers came at {number(d['answered_over_capacity'])} of the capacity."
        )
    if d := read("serve_chaos"):
        killed = d["killed_at_s"]
        lines.append(
            f"- A replica killed after {number(killed['replica'])} s and a bank shard after {number(killed['shard'])} s"
            f" (`serve_chaos`): {d['right']:,} of {d['admitted']:,} admitted requests right ({100 * d['share_right']:.2f} %);"
            f" searches p99 {number(d['search_p99_ms'])} ms, hybrids p99 {number(d['hybrid_p99_ms'])} ms,"
            f" the longest {number(max(d['search_p100_ms'], d['hybrid_p100_ms']))} ms."
        )
    if d := read("serve_scaling"):
        up = d["three_replicas_at_s"] - d["eight_callers_from_s"]
        down = d["one_replica_at_s"] - d["one_caller_from_s"]
        lines.append(
            f"- From one caller to eight, three replicas answered {number(up)} s later; from eight to one, one was left"
            f" {number(down)} s later (`serve_scaling`, delays {d['scale']['upscale_delay_s']} and {d['scale']['downscale_delay_s']} s):"
            f" {d['answers']:,} requests, {d['failed']} failed."
        )
    if d := read("serve_endurance"):
        after = ", ".join(f"{one:.2f}" for one in d["memory_after_gib"])
        lines.append(
            f"- `make serve` answered on every route {number(d['ready_s'])} s after its start in {d['memory_gib']:.2f} GiB; after each"
            f" round of uploads of 15 MB, slow clients and ones that go away it had {after} GiB (`serve_endurance`)."
        )
    picture = "![callers, replicas and the time of an answer](images/serving-replicas.svg)"
    return "\n".join(["## Serving under hardship", "", *lines, "", picture])
