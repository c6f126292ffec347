"""What a training reads: the faces of each set, decoded once into the object store, and the PCAs of the warm start."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from ray.data.expressions import col

from jobs.train_worker import DOMAINS
from rupantara.errors import UserError
from rupantara.models.region_vae import RegionVAEConfig
from rupantara.stages import faces as face_rows
from rupantara.storage import manifest
from rupantara.training.balance import repeats
from rupantara.training.warm_start import Pca, fit_pca, small_views


@dataclass(frozen=True)
class Chosen:
    """Face ids and species of each set that a training reads."""

    train: dict[str, dict[str, str]]
    val: dict[str, dict[str, str]]

    @property
    def species(self) -> tuple[str, ...]:
        """Return the animal species, sorted: the order of the embedding."""
        return tuple(sorted(set(self.train["animal"].values())))


def choose(faces: str, batch: Mapping[str, int], most: Mapping[str, int], seed: int) -> Chosen:
    """Choose at most `most[split]` faces of each domain; UserError when a set is too small for one batch."""
    sets = {}
    for split in ("train", "val"):
        sets[split] = {d: face_rows.choose(faces, d, split, most[split], seed) for d in DOMAINS}
        for domain, found in sets[split].items():
            least = batch[domain] if split == "train" else 1
            if len(found) < least:
                raise UserError(f"{faces} must have at least {least} accepted {split} {domain} faces, got {len(found)}")
    return Chosen(sets["train"], sets["val"])


def datasets(faces: str, model: RegionVAEConfig, chosen: Chosen, seed: int) -> dict[str, ray.data.Dataset]:
    """Lay out the four streams: read and decoded once, kept in the object store (49 KB a face at 128 pixels)."""
    # The order of rows decides what a seed means.
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    sets = {d: chosen.train[d] for d in DOMAINS} | {f"val_{d}": chosen.val[d] for d in DOMAINS}
    factors = repeats(Counter(sets["animal"].values()))
    stage: Any = face_rows.TrainingFaces(model.size, model.species, sets, {"animal": factors}, seed)
    files = [{"path": f.path} for f in manifest.require(faces, "faces").data]
    rows = ray.data.from_items(files, override_num_blocks=len(files))
    read: Any = face_rows.ReadFile(faces, face_rows.COLUMNS)
    rows = rows.map_batches(read, batch_format="numpy", batch_size=1)
    decoded = rows.map_batches(stage, batch_format="pyarrow", batch_size=None).materialize()
    streams = {name: decoded.filter(expr=col("set") == name).drop_columns(["set"]) for name in sets}
    # Rows come sorted by path, so by species: without a shuffle of the whole, a buffer would show one species at a time.
    shuffled = {
        name: stream.random_shuffle(seed=seed) if name in DOMAINS else stream for name, stream in streams.items()
    }
    return {name: stream.materialize() for name, stream in shuffled.items()}


def warm_start(streams: dict[str, ray.data.Dataset], model: RegionVAEConfig, most: int = 3000) -> tuple[Pca, list[Pca]]:
    """Fit the linear path's PCAs on small pictures and region crops of both domains."""
    whole: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    for name in DOMAINS:
        for batch in streams[name].limit(most).iter_batches(batch_size=256):
            small, crops = small_views(batch["image"], batch["boxes"], model)
            whole.append(small)
            regions.append(crops)
    crops = np.concatenate(regions)
    per_region = [fit_pca(np.ascontiguousarray(crops[:, i]), model.region_dim) for i in range(crops.shape[1])]
    return fit_pca(np.concatenate(whole), model.global_dim), per_region
