"""What each loss and choice is worth: the region VAE trained with each left out, on the same faces, over seeds.

    python -m benchmarks.ablation --faces FACES --weights WEIGHTS --out FOLDER [--seeds 0 1 2] [--epochs 2]

Each training and evaluation is the job itself; what is done already is not done again. Prints a table in Markdown and writes
benchmarks/ablation.json: held-out humans and animals, means over seeds with the 95 % interval of the seeds' mean (Student's t).
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from scipy.stats import t

from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.storage import tables

CONFIGS = {
    "all losses": [],
    "without perceptual": ["--perceptual-weight", "0"],
    "without identity": ["--identity-weight", "0"],
    "without symmetry": ["--symmetry-weight", "0"],
    "without KL": ["--kl-weight", "0"],
    "without swaps": ["--swap-share", "0"],
    "MSE and KL only": ["--perceptual-weight", "0", "--identity-weight", "0", "--symmetry-weight", "0"],
    "with an adversary": ["--adversarial-weight", "0.003"],
    "separate networks": ["--separate-domains"],
}
COLUMNS = ("psnr", "ssim", "lpips_caffe_squeezenet", "identity")


def run(module, *arguments):
    command = [sys.executable, "-m", f"jobs.{module}", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")


def measure(metrics):
    """Return the means of one evaluated model by domain, and of region control."""
    table = tables.read(metrics, schema="metrics").to_pandas()
    out = {}
    for domain, part in table.groupby("domain"):
        model, source = part[part["method"] == "model"], part[part["method"] == "source"]
        out |= {f"{domain}_{name}": float(model[name].mean()) for name in COLUMNS if model[name].notna().any()}
        sets = [GaussianStats.update(np.stack(p["squeezenet"].to_list()).astype(np.float64)) for p in (model, source)]
        out[f"{domain}_frechet"] = frechet_distance(*sets)
        shares = [s for row in model["region_control"].dropna() for s in row if s is not None]
        if shares:
            out["region_control"] = float(np.mean(shares))
    return out


def summary(values):
    """Return (mean, half width of the 95 % interval of the mean) over seeds."""
    numbers = np.array(values, float)
    if len(numbers) < 2:
        return float(numbers.mean()), None
    return float(numbers.mean()), float(t.ppf(0.975, len(numbers) - 1) * numbers.std(ddof=1) / len(numbers) ** 0.5)


def table(results):
    names = list(next(iter(results.values())))
    lines = ["| | " + " | ".join(names) + " |", "|" + " --- |" * (len(names) + 1)]
    for config, row in results.items():
        cells = [f"{m:.4g}" + (f" ± {h:.2g}" if h is not None else "") for m, h in (row[n] for n in names)]
        lines.append(f"| {config} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--preset", default="64")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--max-faces", type=int, default=0)
    parser.add_argument("--configs", nargs="+", default=list(CONFIGS))
    args = parser.parse_args()
    results = {}
    for name in args.configs:
        rows = []
        for seed in args.seeds:
            at = f"{args.out}/{name.replace(' ', '_')}-{seed}"
            data = ["--faces", args.faces, "--weights", args.weights, "--checkpoint", f"{at}/checkpoint"]
            settings = ["--preset", args.preset, "--epochs", args.epochs, "--max-faces", args.max_faces, "--seed", seed]
            run("train_vae", *data, *settings, *CONFIGS[name])
            run("evaluate", *data, "--metrics", f"{at}/metrics", "--seed", 0)
            rows.append(measure(f"{at}/metrics"))
            print(name, seed, {k: round(v, 4) for k, v in rows[-1].items()}, flush=True)
        results[name] = {k: summary([row[k] for row in rows]) for k in rows[0]}
    print(table(results))
    settings = {"preset": args.preset, "epochs": args.epochs, "max_faces": args.max_faces, "seeds": args.seeds}
    text = json.dumps({"settings": settings, "mean_and_half_interval": results}, indent=1)
    Path(__file__).with_name("ablation.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
