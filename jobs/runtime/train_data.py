"""What a training reads: the faces of each set, decoded once into the object store, and the PCAs of the warm start."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray

from rupantara.errors import UserError
from rupantara.faces import arrays as face_rows
from rupantara.faces.balance import repeats, show_times
from rupantara.models.region_vae import RegionVAEConfig
from rupantara.storage import manifest
from rupantara.training.warm_start import Pca, fit_pca, small_views

log = logging.getLogger("jobs")


@dataclass(frozen=True)
class Chosen:
    """Face ids and species of each set that a training reads, by domain."""

    train: dict[str, dict[str, str]]
    val: dict[str, dict[str, str]]

    @property
    def species(self) -> tuple[str, ...]:
        """Return the animal species, sorted: the order of the embedding."""
        return tuple(sorted(set(self.train.get("animal", {}).values())))


def choose(tables: Sequence[str], batch: Mapping[str, int], most: Mapping[str, int], seed: int) -> Chosen:
    """Choose at most `most[split]` faces of each domain of `batch`; UserError when a set is too small for one batch.

    The first table is the faces table; others (morphs) add to the training sets. Validation faces of a species that is not
    trained on are left out, and counted in the log.
    """
    sets: dict[str, dict[str, dict[str, str]]] = {}
    for split in ("train", "val"):
        read = tables if split == "train" else tables[:1]
        found = {d: {i: s for t in read for i, s in face_rows.choose(t, d, split, 0, seed).items()} for d in batch}
        if split == "val":
            found = {domain: _of_known_species(ids, sets["train"][domain], domain) for domain, ids in found.items()}
        sets[split] = {d: face_rows.at_most(ids, most[split], seed) for d, ids in found.items()}
        for domain, ids in sets[split].items():
            least = batch[domain] if split == "train" else 1
            if len(ids) < least:
                raise UserError(
                    f"{tables[0]} must have at least {least} accepted {split} {domain} faces, got {len(ids)}"
                )
    return Chosen(sets["train"], sets["val"])


def _of_known_species(ids: Mapping[str, str], train: Mapping[str, str], domain: str) -> dict[str, str]:
    known = set(train.values())
    strange = Counter(species for species in ids.values() if species not in known)
    for species, number in sorted(strange.items()):
        log.info("%d val %s faces are left out: train has no %s", number, domain, species)
    return {i: species for i, species in ids.items() if species in known}


def _say_never_shown(animals: Mapping[str, str], factors: Mapping[str, float], seed: int) -> None:
    """Log how many animals are never shown, so that species count alike: streams are laid out once, for all epochs."""
    never = int((show_times(list(animals), list(animals.values()), factors, seed) == 0).sum())
    if never:
        log.info("%d of %d animal faces are never shown, so that species count alike", never, len(animals))


def datasets(tables: Sequence[str], size: int, chosen: Chosen, seed: int) -> dict[str, ray.data.Dataset]:
    """Lay out the streams `DOMAIN` and `val_DOMAIN`: read and decoded once, kept in the object store (49 KB a face at 128).

    Sets are decoded one after another, the largest first: beside what is laid out the store then holds the files as they are,
    and a set in the making twice, before its shuffle and after.
    """
    # The order of rows decides what a seed means.
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    sets = chosen.train | {f"val_{d}": ids for d, ids in chosen.val.items()}
    factors = {"animal": repeats(Counter(sets["animal"].values()))} if "animal" in sets else {}
    if factors:
        _say_never_shown(sets["animal"], factors["animal"], seed)
    rows = _rows(tables)
    laid: dict[str, ray.data.Dataset] = {}
    for name in sorted(sets, key=lambda name: -len(sets[name])):
        own = {name: factors[name]} if name in factors else {}
        stage: Any = face_rows.TrainingFaces(size, chosen.species, {name: sets[name]}, own, seed)
        stream = rows.map_batches(stage, batch_format="pyarrow", batch_size=None).drop_columns(["set"])
        # Rows come sorted by path, so by species: without a shuffle of the whole, a buffer would show one species at a time.
        laid[name] = (stream.random_shuffle(seed=seed) if name in chosen.train else stream).materialize()
    return {name: laid[name] for name in sets}


def _rows(tables: Sequence[str]) -> ray.data.Dataset:
    """Read the tables' files, pictures still encoded: a tenth of the pixels or less."""
    parts = []
    for table in tables:
        files = [{"path": f.path} for f in manifest.require(table, "faces").data]
        read: Any = face_rows.ReadFile(table, face_rows.TRAINING_COLUMNS)
        rows = ray.data.from_items(files, override_num_blocks=len(files))
        parts.append(rows.map_batches(read, batch_format="numpy", batch_size=1))
    return (parts[0].union(*parts[1:]) if parts[1:] else parts[0]).materialize()


def warm_start(
    streams: dict[str, ray.data.Dataset], model: RegionVAEConfig, domains: Sequence[str], most: int = 3000
) -> tuple[Pca, list[Pca]]:
    """Fit the linear path's PCAs on small pictures and region crops of all domains."""
    whole: list[np.ndarray] = []
    regions: list[np.ndarray] = []
    for name in domains:
        for batch in streams[name].limit(most).iter_batches(batch_size=256):
            small, crops = small_views(batch["image"], batch["boxes"], model)
            whole.append(small)
            regions.append(crops)
    crops = np.concatenate(regions)
    per_region = [fit_pca(np.ascontiguousarray(crops[:, i]), model.region_base_rank) for i in range(crops.shape[1])]
    return fit_pca(np.concatenate(whole), model.base_rank), per_region
