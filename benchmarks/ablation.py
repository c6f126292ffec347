"""What each loss and choice is worth: the region VAE trained with each left out, on the same faces, over seeds.

    python -m benchmarks.ablation --faces FACES --weights WEIGHTS --out FOLDER [--max-faces 2000] [--epochs 2] [--seeds 0 1 2] \
        [--only "all losses" "without KL"] [--dry-run]

Each training and evaluation is the job itself; a run that is measured is not begun again, and an unfinished one goes on. Measured
are held-out people and animals, one face of each: means over seeds with the 95 % interval of the seeds' mean (Student's t), and
the differences from "all losses", seed by seed, with theirs. Identity and perceptual distance are judged by the networks that two
of the losses stand on. Prints Markdown; writes benchmarks/ablation.json and .md after every configuration.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import t

from jobs import train_vae
from jobs.evaluate import reconstruction
from rupantara.faces.arrays import choose, choose_people
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.storage import tables

ALL = "all losses"
CONFIGS = {
    ALL: [],
    "without KL": ["--kl-weight", "0"],
    "without perceptual": ["--perceptual-weight", "0"],
    "without identity": ["--identity-weight", "0"],
    "without symmetry": ["--symmetry-weight", "0"],
    "without structural": ["--structural-weight", "0"],
    "without swaps": ["--swap-share", "0"],
    "MSE, KL and swaps": [
        *("--perceptual-weight", "0", "--identity-weight", "0"),
        *("--symmetry-weight", "0", "--structural-weight", "0"),
    ],
    "with an adversary": ["--adversarial-weight", "0.003"],
    "separate networks": ["--separate-domains"],
}
COLUMNS = ("psnr", "ssim", "lpips_caffe_squeezenet", "identity")
SPLIT = "test"
BASELINES = ("--max-train-faces", 200, "--pca-components", 8)
"""The jobs' baselines are not read here, so they are kept small; the donors of regions are the same."""


def run(module, *arguments):
    command = [sys.executable, "-m", f"jobs.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def measure(metrics, people):
    """Return the means of one evaluated model by domain over one face of each person or animal, and of region control."""
    table = tables.read(metrics, schema="metrics").to_pandas()
    out = {}
    for domain, part in table[table["face_id"].isin(people)].groupby("domain"):
        model, source = part[part["method"] == "model"], part[part["method"] == "source"]
        out |= {f"{domain}_{name}": float(model[name].mean()) for name in COLUMNS if model[name].notna().any()}
        if model["squeezenet"].notna().all():
            rows = (np.stack(p["squeezenet"].to_list()).astype(np.float64) for p in (model, source))
            out[f"{domain}_frechet"] = frechet_distance(*(GaussianStats.update(features) for features in rows))
        shares = [s for row in model["region_control"].dropna() for s in row if s is not None]
        if shares:
            out["region_control"] = float(np.mean(shares))
        out[f"{domain}_faces"] = len(model)
    return out


def summary(values):
    """Return (mean, half width of the 95 % interval of the mean) over seeds."""
    numbers = np.array(values, float)
    if len(numbers) < 2:
        return float(numbers.mean()), None
    return float(numbers.mean()), float(t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5)


def summaries(rows):
    """Return the summary of every column that all rows have."""
    return {k: summary([row[k] for row in rows]) for k in rows[0] if all(k in row for row in rows)}


def differences(rows, base):
    """Return the rows less those of the same seeds in `base`."""
    return [{k: row[k] - other[k] for k in row if k in other} for row, other in zip(rows, base, strict=True)]


def table(results):
    names = [n for n in next(iter(results.values())) if not n.endswith("_faces")]
    lines = ["| | " + " | ".join(names) + " |", "|" + " --- |" * (len(names) + 1)]
    for config, row in results.items():
        cells = [f"{row[n][0]:.4g}" + (f" ± {row[n][1]:.2g}" if row[n][1] is not None else "") for n in names]
        lines.append(f"| {config} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def one_run(name, seed, args, people, settings):
    """Train and evaluate one configuration with one seed, or read what it gave."""
    at = Path(args.out, f"{name.replace(' ', '_').replace(',', '')}-{seed}")
    made = settings | {"flags": CONFIGS[name]}
    kept = at / "measured.json"
    found = json.loads(kept.read_text()) if kept.exists() else {}
    if found.get("settings") == made:
        return found["row"]
    started = time.monotonic()
    data = ["--faces", args.faces, "--weights", args.weights, "--checkpoint", at / "checkpoint"]
    train = ["--preset", args.preset, "--epochs", args.epochs, "--max-faces", args.max_faces]
    # The preset's warm-up would outlast so short a training.
    train += ["--kl-warm-up-images", settings["kl_warm_up_images"], "--seed", seed, *CONFIGS[name]]
    run("train_vae", *data, *train)
    run("evaluate", *data, "--metrics", at / "metrics", "--split", SPLIT, "--limit", args.max_test_faces, *BASELINES)
    row = measure(str(at / "metrics"), people)
    kept.write_text(json.dumps({"settings": made, "row": row, "seconds": time.monotonic() - started}, indent=1) + "\n")
    return row


def images_of(args):
    """Return the images that one training shows: the humans of all epochs, and the animals beside them."""
    preset = train_vae.presets()[args.preset]
    humans = len(choose(args.faces, "human", "train", args.max_faces, 0)) // preset.human_batch
    return args.epochs * humans * (preset.human_batch + preset.animal_batch)


def write(rows, settings):
    """Write what is measured so far and return it as Markdown."""
    means = {name: summaries(found) for name, found in rows.items()}
    apart = {n: summaries(differences(r, rows[ALL])) for n, r in rows.items() if ALL in rows and n != ALL}
    text = table(means) + (f"\nless “{ALL}”, seed by seed\n\n{table(apart)}" if apart else "")
    out = {"settings": settings, "mean_and_half_interval": means, "less_all_losses": apart, "rows": rows}
    path = Path(__file__)
    path.with_suffix(".json").write_text(json.dumps(out, indent=1) + "\n")
    path.with_suffix(".md").write_text(text)
    return text


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--preset", default="64")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max-faces", type=int, default=0, help="faces of each domain that are trained on (0 = all)")
    parser.add_argument("--max-test-faces", type=int, default=0, help="faces of each domain evaluated (0 = all)")
    parser.add_argument("--only", nargs="+", default=list(CONFIGS), choices=list(CONFIGS), metavar="CONFIG")
    parser.add_argument("--dry-run", action="store_true", help="say what would run and how long, and stop")
    parser.add_argument("--images-per-s", type=float, default=65.0, help="training speed that --dry-run goes by")
    args = parser.parse_args()
    images = images_of(args)
    settings = {
        "preset": args.preset,
        "epochs": args.epochs,
        "max_faces": args.max_faces,
        "max_test_faces": args.max_test_faces,
        "kl_warm_up_images": min(train_vae.Config.kl_warm_up_images, images // 4),
        "versions": [train_vae.RECIPE.version, reconstruction.RECIPE.version],
    }
    if args.dry_run:
        runs = len(args.only) * len(args.seeds)
        print(f"{runs} runs of {images} images: {runs * images / args.images_per_s / 60:.0f} min of training steps")
        return
    people = {i for domain in ("human", "animal") for i in choose_people(args.faces, domain, (SPLIT,), 0, 0)}
    rows, text = {}, ""
    for name in args.only:
        rows[name] = []
        for seed in args.seeds:
            rows[name].append(one_run(name, seed, args, people, settings))
            print(name, seed, {k: round(v, 4) for k, v in rows[name][-1].items()}, flush=True)
        text = write(rows, settings | {"seeds": args.seeds})
    print(text)


if __name__ == "__main__":
    main()
