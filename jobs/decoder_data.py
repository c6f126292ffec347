"""What the training of decoders reads: rows of features tables, decoded once into the object store."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray.data

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import at_most
from rupantara.storage import manifest, tables
from rupantara.training.decoder_rows import DecoderRows, usable
from rupantara.training.decoder_task import STREAM

log = logging.getLogger("jobs")


@dataclass(frozen=True)
class Sets:
    """Face ids of the train and the validation set."""

    train: frozenset[str]
    val: frozenset[str]


def choose(uris: Sequence[str], rows: DecoderRows, most: dict[str, int], seed: int) -> Sets:
    """Choose faces that have all of the columns that `rows` reads; the first table is also the validation's.

    Says in the log how many of a split lack one; UserError where a set has fewer than two.
    """
    ids: dict[str, dict[str, str]] = {"train": {}, "val": {}}
    total = {"train": 0, "val": 0}
    vector = rows.columns[0]
    for number, uri in enumerate(uris):
        for part in tables.read_parts(uri, ("face_id", "domain", "split", vector, schema.LANDMARKS), schema="features"):
            for split in ("train", "val") if number == 0 else ("train",):
                people = schema.where(part, domain="human", split=split)
                total[split] += people.num_rows
                whole = usable(people, (vector, schema.LANDMARKS), "")
                ids[split] |= dict.fromkeys(whole["face_id"].to_pylist(), "human")
    for split, found in ids.items():
        if total[split] > len(found):
            log.info(
                "%d of %d %s rows lack a vector or landmarks, or are there twice",
                total[split] - len(found),
                total[split],
                split,
            )
        if len(found) < 2:
            raise UserError(
                f"{uris[0]} must have at least 2 {split} humans with vectors and landmarks, got {len(found)}"
            )
    return Sets(*(frozenset(at_most(ids[split], most[split], seed)) for split in ("train", "val")))


def datasets(uris: Sequence[str], rows: DecoderRows, chosen: Sets, seed: int) -> dict[str, ray.data.Dataset]:
    """Lay out the streams `face` and `val_face`."""
    # The order of rows decides what a seed means.
    ray.data.DataContext.get_current().execution_options.preserve_order = True
    laid = {}
    for name, split in ((STREAM, "train"), (f"val_{STREAM}", "val")):
        own = uris if split == "train" else uris[:1]
        files = [{"table": uri, "path": f.path} for uri in own for f in manifest.require(uri, "features").data]
        stage: Any = rows.of(split, getattr(chosen, split))
        stream = ray.data.from_items(files, override_num_blocks=len(files)).map_batches(stage, batch_size=1)
        laid[name] = (stream.random_shuffle(seed=seed) if split == "train" else stream).materialize()
    return laid
