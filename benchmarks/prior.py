"""People who do not exist: the flow prior beside the Gaussian, by Fréchet distance, nearness to train people, and a sheet.

    python -m benchmarks.prior --faces runs/photos/faces --features runs/photos/features --out runs/prior

Fréchet distances are in SqueezeNet's features (no loss of the region VAE or the prior saw it) between decoded codes of train people
and as many pictures of each set: decoded codes of held-out people (what a perfect prior would reach), and both priors' samples.
`gap_closed` is (Gaussian - flow) / (Gaussian - held-out), at one truncation. Nearness is the cosine, by dlib's network, of each
picture to its nearest decoded train person; held-out people's say what is usual.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from rupantara import schema
from rupantara.faces.chips import dlib_chip
from rupantara.generation import flow_prior, loading, prior
from rupantara.generation.rendering import decode
from rupantara.imaging import codec
from rupantara.landmarks import mean_face
from rupantara.landmarks.points import keypoints_from
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.models import pretrained
from rupantara.models.feature_nets import squeezenet_rows
from rupantara.models.region_vae import RegionVAE
from rupantara.reports.grids import grid
from rupantara.storage import tables
from rupantara.tensors import to_images, to_pictures
from rupantara.training.blender_rows import about
from rupantara.types import Picture

BATCH = 32
TRUNCATIONS = (1.0, 0.8)
SHOWN = 12
COLUMNS = ("face_id", "split", "domain", "global_mu", "regions_mu")


def people(features: str, splits: tuple[str, ...]) -> schema.pa.Table:
    """Read the people of some splits."""
    rows = schema.where(tables.read(features, schema="features", columns=COLUMNS), domain="human")
    return schema.whole(rows.filter(schema.is_one_of("split", splits)), "global_mu", "regions_mu")


def decoded(model: RegionVAE, rows: schema.pa.Table, faces: str) -> Iterator[Picture]:
    """Decode the codes of rows at their own boxes."""
    known, cut = about(faces), model.config.global_dim
    for start in range(0, len(rows), BATCH):
        part = rows.slice(start, BATCH)
        whole = torch.from_numpy(schema.dense(part["global_mu"], cut).astype(np.float32))
        regions = schema.dense(part["regions_mu"], len(REGIONS), model.config.region_dim).astype(np.float32)
        boxes = torch.from_numpy(np.stack([known[i].boxes for i in part["face_id"].to_pylist()]))
        yield from to_pictures(decode(model, whole, torch.from_numpy(regions), boxes))


def sampled(model: RegionVAE, prior: loading.Prior, count: int, seed: int, truncation: float) -> Iterator[Picture]:
    """Decode people of a prior."""
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        codes = prior.sample(size, (seed, start), model.config.global_dim, truncation)
        yield from to_pictures(decode(model, *codes, torch.from_numpy(prior.boxes).expand(size, -1, -1)))


class Judge:
    """SqueezeNet's features and dlib's identity of pictures."""

    def __init__(self) -> None:
        """Load what ships."""
        features = pretrained.load_features("", "squeezenet")
        assert not isinstance(features, pretrained.vgg16.VGG16)
        self._features, self._identity = features, pretrained.load_dlib_identity("")

    @torch.inference_mode()
    def look(self, pictures: list[Picture]) -> tuple[GaussianStats, np.ndarray]:
        """Return the statistics of features, and identity vectors of unit length [n, 128]."""
        points = mean_face.FRACTIONS * len(pictures[0]) - 0.5
        rows, vectors = [], []
        for start in range(0, len(pictures), BATCH):
            part = pictures[start : start + BATCH]
            rows.append(squeezenet_rows(self._features, to_images(np.stack(part))).float().numpy())
            chips = torch.from_numpy(np.stack([dlib_chip(picture, keypoints_from(points)) for picture in part]))
            vectors.append(torch.nn.functional.normalize(self._identity(chips.permute(0, 3, 1, 2).float()), dim=1))
        return GaussianStats.update(np.concatenate(rows)), torch.cat(vectors).numpy()


def main() -> None:
    """Measure, and write result.json and the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", required=True)
    parser.add_argument("--features", required=True)
    parser.add_argument("--checkpoint", default="pretrained/region_vae")
    parser.add_argument("--prior", default="pretrained/flow_prior")
    parser.add_argument("--out", required=True)
    parser.add_argument("--count", type=int, default=768)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    loaded, judge, out = loading.load(args.checkpoint), Judge(), Path(args.out)
    gaussian = prior.read(args.checkpoint)
    assert gaussian is not None
    priors: dict[str, loading.Prior] = {"gaussian": gaussian, "flow": flow_prior.load(args.prior, loaded.codes_sha256)}
    held = people(args.features, ("val", "test"))
    count, draw = min(args.count, len(held)), np.random.default_rng(args.seed)
    train = people(args.features, ("train",))
    chosen = {"train": train.take(sorted(draw.permutation(len(train))[: 4 * count])), "held_out": held.slice(0, count)}
    seen = {name: list(decoded(loaded.model, rows, args.faces)) for name, rows in chosen.items()}
    real, known = judge.look(seen["train"][::4])[0], judge.look(seen["train"])[1]
    out.mkdir(parents=True, exist_ok=True)
    rows = {"held_out": seen["held_out"]}
    for name, one in priors.items():
        for truncation in TRUNCATIONS:
            made = list(sampled(loaded.model, one, count, args.seed, truncation))
            rows[f"{name}_{truncation:g}"] = made
            lines = [made[i : i + SHOWN] for i in range(0, 2 * SHOWN, SHOWN)]
            (out / f"{name}_{truncation:g}.jpg").write_bytes(codec.encode_jpeg(grid(lines), 90))
    result = {}
    for name, pictures in rows.items():
        stats, vectors = judge.look(pictures)
        nearest = (vectors @ known.T).max(1)
        result[name] = {"frechet_squeezenet": round(frechet_distance(stats, real), 3)}
        result[name] |= {f"nearest_{q:g}": round(float(np.quantile(nearest, q)), 3) for q in (0.5, 0.95, 1)}
        print(json.dumps({"set": name, **result[name]}), flush=True)
    distance = {name: found["frechet_squeezenet"] for name, found in result.items()}
    floor = distance["held_out"]
    closed = {
        f"{t:g}": round(
            (distance[f"gaussian_{t:g}"] - distance[f"flow_{t:g}"]) / (distance[f"gaussian_{t:g}"] - floor), 3
        )
        for t in TRUNCATIONS
    }
    said = {"count": count, "seed": args.seed, "sets": result, "gap_closed": closed}
    (out / "result.json").write_text(json.dumps(said, indent=1) + "\n")
    print(json.dumps({"gap_closed": closed}))


if __name__ == "__main__":
    main()
