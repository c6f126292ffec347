"""Table 2 of `001_…`: single decoder, without warp, joint loss, full; and what each loss on top of the paper's is worth. Over seeds.

    python -m benchmarks.inversion_ablation --faces FACES --features FEATURES --morphs MORPH_FEATURES --weights WEIGHTS --out FOLDER \
        [--vector arcface_features] [--size 56] [--epochs 3] [--batch 16] [--max-faces 4000] [--seeds 0 1] [--dry-run]

Each training and evaluation is the job itself; a run that is measured is not begun again, and an unfinished one goes on. All four of
table 2 are trained by the paper's errors alone and at its rate, over a linear path (which ridge regression starts: from random weights
so short a training hardly leaves the mean face), on the same faces for as long; the others are "full" without the path, or with a
loss on top. Means over seeds with the 95 % interval of their mean (Student's t). Prints Markdown; writes
benchmarks/inversion_ablation.json and .md after every configuration.
"""

import argparse
import json
import time
from pathlib import Path

from benchmarks.ablation import run, summaries, table
from jobs import train_decoder
from jobs.evaluate import inversion as evaluation
from rupantara.reports import inversion
from rupantara.storage import manifest


def _flags(perceptual="0", moment="0", identity="0", *, path=True, centers="0"):
    weights = ("--perceptual-weight", perceptual, "--moment-weight", moment, "--identity-weight", identity)
    # As the paper has it: a rate that only decays, every hidden unit in every step. So short a training is not averaged over 500 steps.
    training = ("--no-annealed", "--dropout", "0", "--ema-decay", "0.99")
    return (*weights, *training, "--kernel-centers", centers, "--linear" if path else "--no-linear")


CONFIGS = {
    "paper": ("landmarks,texture,joint,single", _flags()),
    "without path": ("landmarks,texture", _flags(path=False)),
    "and perceptual": ("landmarks,texture", _flags(perceptual="0.2")),
    "and identity": ("landmarks,texture", _flags(identity="0.3")),
    "and both": ("landmarks,texture", _flags("0.2", "0", "0.3")),
    "and moments": ("landmarks,texture", _flags(moment="0.02")),
    "and kernel": ("landmarks,texture", _flags(centers="8192")),
}
MEANS = ("psnr", "face_psnr", "ssim", "lpips_caffe_squeezenet", "identity", "nme")


def measure(metrics):
    """Return the means of every method of an evaluation."""
    rows = inversion.by_method(metrics)
    source, out = rows.pop("source"), {}
    for name, made in rows.items():
        values = {key: made.mean(key).value for key in (*MEANS, inversion.LANDMARKS) if made.mean(key).count}
        if cell := inversion.frechet_cell(made, source):
            values["frechet"] = float(cell)
        if len(right := inversion.recognised(made, source)):
            values["rank_1"] = float(right.mean())
        out[inversion.TITLES[name]] = values
    return out


def one_run(name, seed, args, settings):
    """Train and evaluate one configuration with one seed, or read what it gave: method -> means (None = not yet, with --measured)."""
    parts, flags = CONFIGS[name]
    at = Path(args.out, f"{name.replace(' ', '_')}-{seed}")
    kept, made = at / "measured.json", settings | {"flags": list(flags), "parts": parts}
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("settings") == made:
        return found["rows"]
    if args.measured:
        return None
    started = time.monotonic()
    common = ["--features", args.features, "--checkpoint", at / "decoder", "--weights", args.weights]
    train = [
        "--preset",
        "112",
        "--parts",
        parts,
        "--size",
        args.size,
        "--epochs",
        args.epochs,
        "--max-faces",
        args.max_faces,
    ]
    # All parts see the faces as often, in as many steps: joint's landmarks do too.
    train += ["--vector", args.vector, "--landmark-epochs", args.epochs, "--landmark-batch", args.batch]
    train += ["--batch", args.batch, "--seed", seed, *flags, *(("--morphs", args.morphs) if args.morphs else ())]
    run("train_decoder", *common, *train)
    run("evaluate", *common, "--faces", args.faces, "--metrics", at / "metrics")
    rows = measure(str(at / "metrics"))
    kept.write_text(
        json.dumps({"settings": made, "rows": rows, "seconds": time.monotonic() - started}, indent=1) + "\n"
    )
    return rows


def write(found, settings):
    """Write what is measured so far and return it as Markdown."""
    rows = {}
    for name, seeds in found.items():
        for method in seeds[0]:
            baseline = method in [inversion.TITLES[n] for n in ("ridge", "nearest", "mean_face")]
            if name == "paper":
                rows[method] = [seed[method] for seed in seeds]
            elif not baseline and method != inversion.TITLES["without_warp"]:
                rows[f"full, {name}"] = [seed[method] for seed in seeds]
    means = {name: summaries(values) for name, values in rows.items()}
    names = list(next(iter(means.values())))
    blank = {name: (float("nan"), None) for name in names}
    text = table({name: blank | row for name, row in means.items()}).replace("nan", "")
    path = Path(__file__)
    out = {"settings": settings, "mean_and_half_interval": means, "rows": rows}
    path.with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--morphs", default="")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--vector", default="arcface_features")
    parser.add_argument("--size", type=int, default=56)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--max-faces", type=int, default=0, help="faces that are trained on (0 = all)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", default=list(CONFIGS), choices=list(CONFIGS), metavar="CONFIG")
    parser.add_argument(
        "--measured", action="store_true", help="tabulate the runs that are measured, and train nothing"
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would run, and stop")
    args = parser.parse_args()
    if args.dry_run:
        for name in args.only:
            print(f"{name}: {CONFIGS[name][0]}, seeds {args.seeds}")
        return
    settings = {
        **{name: getattr(args, name) for name in ("vector", "size", "epochs", "batch", "max_faces")},
        "tables": [manifest.require(uri, "features").fingerprint for uri in (args.features, args.morphs) if uri],
        "versions": [train_decoder.RECIPE.version, evaluation.RECIPE.version],
    }
    found, text = {}, ""
    for name in args.only:
        found[name] = []
        for seed in args.seeds:
            rows = one_run(name, seed, args, settings)
            found[name] += [rows] if rows else []
            print(name, seed, json.dumps(rows), flush=True)
        if not found[name]:
            del found[name]
            continue
        text = write(found, settings | {"seeds": args.seeds})
    print(text)


if __name__ == "__main__":
    main()
