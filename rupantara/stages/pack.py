"""A trained region VAE made small enough to ship: half precision, mean variances, a prior of human codes, a small bank."""

import dataclasses

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.faces.arrays import FaceArrays, to_pictures
from rupantara.generation.prior import CodePrior, importance
from rupantara.generation.rendering import decode
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.models.region_vae import RegionPosterior, RegionVAE
from rupantara.reports.grids import grid
from rupantara.training.warm_start import fit_pca

BATCH = 32
SHEET_ROW = 8


def posteriors(model: RegionVAE, faces: FaceArrays) -> RegionPosterior:
    """Encode faces, batch by batch."""
    found = []
    with torch.inference_mode():
        for start in range(0, len(faces.pictures), BATCH):
            part = faces.slice(start, BATCH)
            species = model.config.domain_index(part.rows["domain"].to_pylist())
            found.append(model.encode(part.images(), torch.from_numpy(part.boxes), species))
    return RegionPosterior(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def without_variances(model: RegionVAE, seen: RegionPosterior, species: torch.Tensor) -> RegionVAE:
    """Return the network with the mean log variances of `seen` in place of the layers that tell each face's own.

    Networks of separate domains take the means over their own faces; `species` is 0 for humans.
    """
    config = dataclasses.replace(model.config, variances=False)
    packed = RegionVAE(config)
    state = packed.state_dict()
    for name, value in model.state_dict().items():
        if name in state:
            state[name] = value[: len(state[name])]
    domains = [species == 0, species > 0] if config.separate_domains else [species >= 0]
    for i, rows in enumerate(domains):
        state[f"nets.{i}.global_logvar"] = seen.global_logvar[rows].mean(0)
        state[f"nets.{i}.regions_logvar"] = seen.regions_logvar[rows].mean(0)
    packed.load_state_dict(state)
    return packed.eval().requires_grad_(False)


def fit_prior(model: RegionVAE, humans: pa.Table, boxes: np.ndarray, rank: int) -> CodePrior:
    """Fit a Gaussian to the codes of rows of a features table: the `rank` directions that move the picture most."""
    config, humans = model.config, schema.whole(humans, "global_mu", "regions_mu")
    whole = schema.dense(humans["global_mu"], config.global_dim)
    regions = schema.dense(humans["regions_mu"], len(REGIONS) * config.region_dim)
    scale = importance(model)
    pca = fit_pca((np.concatenate([whole, regions], axis=1) * scale).astype(np.float32), rank)
    return CodePrior(pca.mean / scale, pca.components * pca.deviations[:, None] / scale, boxes)


def sample_sheet(model: RegionVAE, prior: CodePrior, seed: int) -> bytes:
    """Return a JPEG of people drawn from the prior, in rows of SHEET_ROW."""
    count = 2 * SHEET_ROW
    codes = prior.sample(count, seed, model.config.global_dim)
    boxes = torch.from_numpy(prior.boxes).expand(count, -1, -1)
    pictures = list(to_pictures(decode(model, *codes, boxes)))
    return codec.encode_jpeg(grid([pictures[:SHEET_ROW], pictures[SHEET_ROW:]]), 90)


def keeps_codes(model: RegionVAE) -> bool:
    """Tell whether half precision moves no weight outside the decoders, as in a model trained on from a packed one."""
    kept = [value for name, value in model.state_dict().items() if ".decoder." not in name]
    return all(torch.equal(value.half().to(value.dtype), value) for value in kept if value.is_floating_point())


def halved(model: RegionVAE) -> dict[str, torch.Tensor]:
    """Return the weights at half precision."""
    return {name: value.half() if value.is_floating_point() else value for name, value in model.state_dict().items()}
