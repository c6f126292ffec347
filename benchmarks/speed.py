"""Write docs/speed.md out of the benchmarks' JSON files: every number in its table is read, none is typed.

python -m benchmarks.speed            # writes docs/speed.md
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
PAGE = HERE.parent / "docs/speed.md"

INTRO = """# Speed

Each row is one run of a benchmark on two CPU cores: what is measured, the peer or limit that ran beside it, and the ratio
(above 1 = faster than the peer). `python -m benchmarks.speed` writes this page from `benchmarks/*.json`; the command of a
row makes its file anew. Machines differ: trust the ratios, not the seconds.
"""


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ours: str
    peer: str
    ratio: str
    command: str


def read(name: str) -> Any:
    """Read a benchmark's file; None where it has not been run."""
    path = HERE / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else None


def number(value: float) -> str:
    """Show a number with three figures."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def stages() -> Iterator[Row]:
    """Jobs against the same stage without Ray."""
    if d := read("curate"):
        yield Row(
            f"curate {d['photographs']} photographs, {d['workers']} workers",
            f"{number(d['ray_per_s'])} a second",
            f"the same stage on a plain process pool: {number(d['pool_per_s'])}",
            number(d["ratio"]),
            "curate --photos PHOTOS --weights WEIGHTS",
        )
    for name, d in (read("extract") or {}).items():
        command = "extract --faces FACES --weights WEIGHTS --count 3072"
        ours = f"{number(d['ray_per_s'])} a second"
        pool = f"the same stage on a process pool: {number(d['pool_per_s'])}"
        yield Row(f"extract `{name}`, {d['faces']} faces, 2 workers", ours, pool, number(d["ratio"]), command)
        bare = f"the bare network in a loop, no decoding: {number(d['bare_loop_per_s'])}"
        yield Row("…", ours, bare, number(d["over_bare_loop"]), command)
    for renderer, d in (read("generate") or {}).items():
        yield Row(
            f"bulk hybrids at 256 x 256, `--renderer {renderer}`",
            f"{number(d['bulk_per_s'])} pictures a second",
            f"the model alone, mixing and decoding in a loop: {number(d['alone_per_s'])}",
            number(d["ratio"]),
            "generate",
        )
        ours, theirs = (f"{number(d[name])} ms of a CPU a picture" for name in ("bulk_cpu_ms", "alone_cpu_ms"))
        yield Row("…", ours, f"the model alone: {theirs}", number(d["cpu_ratio"]), "generate")


def pictures() -> Iterator[Row]:
    """Picture operations against the libraries that people use."""
    if d := read("morph"):
        peer = f"face_morpher's two warps and `cv2.seamlessClone`: {number(d['face_morpher_ms'])} ms"
        yield Row(
            "a morph at 256 x 256, one thread",
            f"{number(d['ours_ms'])} ms",
            peer,
            number(d["ratio"]),
            "morph --face-morpher FOLDER",
        )
    if d := read("spline_warp"):
        for ours, name in (("ours_compiled", "compiled"), ("ours", "not compiled")):
            for peer, said in (
                ("kornia", "kornia's thin-plate spline"),
                ("scipy_remap", "scipy's flow and `cv2.remap`"),
            ):
                yield Row(
                    f"the spline warp of {d['batch']} pictures of {d['size']} px, {d['points']} points, {name}",
                    f"{number(d['forward_ms'][ours])} ms",
                    f"{said}: {number(d['forward_ms'][peer])} ms",
                    number(d["forward_ratio"][ours][peer]),
                    "spline_warp --kornia FOLDER",
                )
    for name, d in (read("enhance") or {}).items():
        peer = f"{d['peer']}: {number(d['peer_ms'])} ms"
        yield Row(f"{name} at 256 x 256, one thread", f"{number(d['ours_ms'])} ms", peer, number(d["ratio"]), "enhance")


def serving() -> Iterator[Row]:
    """Hybrids over HTTP against the same chain in one process."""
    if d := read("serve"):
        what, command = "a hybrid at 256 x 256 of an uploaded photograph, over HTTP", "serve --photo FILE"
        peer = f"the same chain in a loop: {number(d['loop_p50_ms'])} ms"
        yield Row(
            f"{what}, one caller, p50", f"{number(d['one_p50_ms'])} ms", peer, number(1 / d["p50_over_loop"]), command
        )
        peer = f"the loop: {number(d['loop_per_s'])}"
        yield Row(
            "…, eight callers", f"{number(d['eight_per_s'])} a second", peer, number(d["eight_over_loop"]), command
        )
    yield from peers_of_serving()


def peers_of_serving() -> Iterator[Row]:
    """The same chain behind other servers, and behind Serve with its switches on."""
    if not (d := read("serve_peers")) or "serve" not in d["servers"]:
        return
    command, versions = "serve_peers --photo FILE --litserve PYTHON", d["versions"]
    ours = d["servers"]["serve"]
    names = {"litserve": f"LitServe {versions['litserve']}", "fastapi": f"FastAPI {versions['fastapi']} and uvicorn"}
    for name, one in d["servers"].items():
        if name == "serve":
            continue
        kind, _, rest = name.replace("+", "-", 1).partition("-")
        said = f"{names[kind]}, processes: {rest}" if kind in names else f"Serve with {rest.replace('+', ' and ')}"
        said = (
            said.replace("haproxy", "HAProxy")
            .replace("grpc", "gRPC")
            .replace("threads", "two threads of the VAE")
            .replace("replicas", "two replicas of the VAE")
        )
        what = f"hybrids over HTTP, {d['callers']} callers, against: {said}"
        p99 = f"p99 {number(ours['eight_p99_ms'])} ms"
        yield Row(
            what,
            f"{number(ours['per_s'])} a second, {p99}",
            f"{number(one['per_s'])} a second, p99 {number(one['eight_p99_ms'])} ms",
            number(ours["per_s"] / one["per_s"]),
            command,
        )


def training() -> Iterator[Row]:
    """The training step against a plain loop, fp32 and pythae."""
    for name, d in (read("train_step") or {}).items():
        setting = name + ("" if "AMX" in name or not d["amx"] else ", AMX")
        plain = sorted(d["plain_s_per_step"])[len(d["plain_s_per_step"]) // 2]
        for ray, ratio in zip(d["ray_s_per_step"], d["ray_train_over_plain"], strict=True):
            yield Row(
                f"a training step under Ray Train ({setting})",
                f"{number(ray)} s",
                f"the plain loop: {number(plain)} s",
                number(ratio),
                f"train_step --size {d['size']} --threads {d['threads']}",
            )
        yield Row(
            f"the plain step ({setting})",
            f"{number(d['plain_s_per_step_in_turns'])} s",
            f"fp32, default AdamW and allocator, torch's layers: {number(d['fp32_torch_s_per_step_in_turns'])} s",
            number(d["ours_over_fp32_of_torchs_blocks"]),
            f"train_step --size {d['size']} --threads {d['threads']}",
        )
    for name, d in (read("pythae_trainer") or {}).items():
        yield Row(
            f"a training, Ray Train and all ({name})",
            f"{number(max(d['ours_images_per_s']))} images a second",
            f"pythae {d['versions']['theirs']['pythae']} on the same network and loss: {number(max(d['theirs_images_per_s']))}",
            number(d["ours_over_theirs"]),
            "pythae_trainer --size 256 --steps 20",
        )


def banks() -> Iterator[Row]:
    """The bank against FAISS in one process, and mean affinity against matrix products."""
    for shards, d in (read("bank") or {}).items():
        for kind in ("flat", "auto"):
            for batch in ("batch_64", "batch_256", "batch_1024"):
                found = d[kind][batch]
                yield Row(
                    f"{d['faces']:,} vectors, {shards.replace('_', ' ')}, {d[kind]['index']['kind']}, "
                    f"recall@10 {d[kind]['recall_at_10']:.3f}, {batch.replace('_', ' ')}",
                    f"{number(found['ours_qps'])} queries a second",
                    f"FAISS's scan in one process: {number(found['faiss_flat_qps'])}",
                    number(found["ratio"]),
                    f"bank --shards {d['shards']}",
                )
    if d := read("bank_large"):
        yield Row(
            f"{d['vectors']:,} vectors in one process, {d['index']}, recall@10 {d['recall_at_10']:.3f}",
            f"{number(d['queries_per_s'])} queries a second",
            f"FAISS's scan: {number(d['scan_queries_per_s'])}",
            number(d["ratio"]),
            "bank_large",
        )
    for size, d in (read("affinity") or {}).items():
        if size != "queries":
            yield Row(
                f"mean affinity to 8 species and 5 regions, {int(size):,} features",
                f"{number(1e3 * d['means_s'])} ms",
                f"one matrix product a species: {number(1e3 * d['brute_force_s'])} ms",
                number(d["ratio"]),
                "affinity",
            )


MEMORY = """Peak memory of the driver: `python -m benchmarks.memory`, and with `--real --rows 10000` for the jobs' own stages,
or `stats.json` of a job's output. With a stage of rows made ready, plan, streaming, reduce step, commit and report are the job's own.
A million rows were in parts of 4,096 (`PART_ROWS=4096` before the command), the others in parts of 256.
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
        "| faces | workers | s | faces a second | ms of a core a face | parts | driver, MiB at most | worker, MiB at most | table, MB"
        " | report, MB | load before |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    )
    said = "Features to table, statistics and report: `python -m benchmarks.reverse_map_scale --features FEATURES --bank BANK"
    said += " --folder FOLDER`. The table's space is of all faces, the two others of a tenth."
    said += " Load before is of other work on the two cores while it was measured."
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
            f" the queue's bound over the capacity is {number(d['bound_ms'])}."
            f" Answers came at {number(d['answered_over_capacity'])} of the capacity."
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


def page() -> str:
    """Return the whole page."""
    tables = []
    groups = {"Jobs": stages, "Pictures": pictures, "Training": training, "Serving": serving, "The bank": banks}
    for title, rows in groups.items():
        head = "| what | ours | against | ratio | `python -m benchmarks.…` |\n| --- | --- | --- | --- | --- |"
        lines = [f"| {r.what} | {r.ours} | {r.peer} | {r.ratio} | `{r.command}` |" for r in rows()]
        tables.append("\n".join([f"## {title}", "", head, *lines]))
    return "\n\n".join([INTRO.rstrip(), *tables, reverse_mapping(), memory(), hardships(), chaos()]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    print(PAGE)
