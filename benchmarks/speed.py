"""Write docs/speed.md out of the benchmarks' JSON files: every number in its table is read, none is typed.

python -m benchmarks.speed            # writes docs/speed.md
"""

from collections.abc import Iterator
from itertools import pairwise
from statistics import mean
from typing import NamedTuple

from benchmarks.kept import HERE, number, read
from benchmarks.speed_sections import chaos, hardships, memory, reverse_mapping

PAGE = HERE.parent / "docs/speed.md"

INTRO = """# Speed

Each row is one run of a benchmark on two CPU cores: what is measured, the peer or limit that ran beside it, and the ratio
(above 1 = faster than the peer); where both ran several rounds in turn, the medians. Other programs often ran on the cores too;
some files say the machine's load before the run. `python -m benchmarks.speed` writes this page from `benchmarks/*.json`; the command
of a row makes its file anew. Machines differ: trust the ratios, not the seconds.
"""


class Row(NamedTuple):
    """One line of the table."""

    what: str
    ours: str
    peer: str
    ratio: str
    command: str


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
        does = {
            "latent": "mixing and decoding",
            "exemplar": "decoding people, laying animals prepared before",
        }[renderer]
        rounds = "" if len(d["ratios"]) < 2 else f" (rounds: {', '.join(number(one) for one in d['ratios'])})"
        yield Row(
            f"bulk hybrids at 256 x 256, `--renderer {renderer}`",
            f"{number(d['bulk_per_s'])} pictures a second",
            f"the renderer alone, {does} in a loop: {number(d['alone_per_s'])}",
            f"{number(d['ratio'])}{rounds}",
            f"generate --faces {d['faces']} --rounds {len(d['ratios'])}",
        )
        ours, theirs = (f"{number(d[name])} ms of a CPU per picture" for name in ("bulk_cpu_ms", "alone_cpu_ms"))
        yield Row("…", ours, f"the renderer alone: {theirs}", number(d["cpu_ratio"]), "generate --faces 256")


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
        between = [(before + after) / 2 for before, after in pairwise(d["plain_s_per_step"])]
        for ray, plain, ratio in zip(d["ray_s_per_step"], between, d["ray_train_over_plain"], strict=True):
            yield Row(
                f"a training step under Ray Train ({setting})",
                f"{number(ray)} s",
                f"the plain loop, before and after: {number(plain)} s",
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
            f"{number(mean(d['ours_images_per_s']))} images a second",
            f"pythae {d['versions']['theirs']['pythae']} on the same network and loss: {number(mean(d['theirs_images_per_s']))}",
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
                f"the same means by one matrix product per species, nothing precomputed: {number(1e3 * d['brute_force_s'])} ms",
                number(d["ratio"]),
                "affinity",
            )


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
