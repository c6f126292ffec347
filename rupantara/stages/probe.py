"""What region codes know: how far apart the domains lie, whether altered pictures find themselves, whether species are kin."""

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.generation import loading
from rupantara.landmarks.augmentations import AUGMENTATIONS, MarkedFace, augment
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.metrics.domain_gap import mmd, probe_accuracy
from rupantara.metrics.interval import Interval, wilson_interval
from rupantara.metrics.match import HitStats, match_hits, species_hits
from rupantara.stages.extract import encode
from rupantara.stages.faces import COLUMNS, FaceArrays, keypoints, load
from rupantara.storage import tables

MEASURES = (
    "domain_probe",
    "domain_mmd",
    "distinct_hits",
    "species",
    *(f"match_{name}" for name in AUGMENTATIONS),
    "match_all",
)
READ = (*COLUMNS, "keypoints")
Codes = dict[str, np.ndarray]


class ProbeCodes:
    """One-row batch with the column `measure` -> rows of `schema.PROBE`, in both spaces: raw codes and aligned ones."""

    def __init__(
        self,
        faces: str,
        checkpoint: str,
        alignment: Alignment,
        held: dict[str, dict[str, str]],
        seed: int,
    ) -> None:
        """Encode the held-out faces: ids to species by domain, one face a person."""
        self._loaded, self._alignment, self._seed = loading.load(checkpoint), alignment, seed
        self._faces, self._codes, self._species = {}, {}, {}
        for domain, ids in held.items():
            rows = pa.concat_tables(
                [schema.where_id(part, ids) for part in tables.read_parts(faces, READ, schema="faces")]
            )
            self._faces[domain] = load(rows, self._loaded.model.config.size)
            self._codes[domain] = encode(self._loaded, self._faces[domain])[1].numpy()
            self._species[domain] = [ids[i] for i in rows["face_id"].to_pylist()]

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Take the measures of the batch."""
        rows = [row for measure in batch["measure"].to_pylist() for row in self._measure(measure)]
        return pa.Table.from_pylist(rows, schema=schema.PROBE)

    def _measure(self, measure: str) -> Iterator[dict[str, Any]]:
        altered = self._altered(measure.removeprefix("match_")) if measure.startswith("match_") else None
        for space in ("raw", "aligned"):
            codes = {d: self._alignment.align(c, d) if space == "aligned" else c for d, c in self._codes.items()}
            if altered is not None:
                queries = self._alignment.align(altered, ANIMAL) if space == "aligned" else altered
                hits = match_hits(queries, codes[ANIMAL], np.arange(len(queries)))
                found, n = HitStats.update(hits).compute(), len(queries)
            elif measure == "species":
                found = HitStats.update(species_hits(codes[ANIMAL], self._species[ANIMAL])).compute()
                n = len(codes[ANIMAL])
            else:
                found, n = tuple(self._between(measure, codes, i) for i in range(len(REGIONS))), len(codes[HUMAN])
            for region, interval in zip(REGIONS, found, strict=True):
                yield {"measure": measure, "space": space, "region": region, "n": n} | asdict(interval)

    def _between(self, measure: str, codes: Codes, region: int) -> Interval:
        """Compare the domains in one region."""
        humans, animals = codes[HUMAN][:, region], codes[ANIMAL][:, region]
        if measure == "domain_probe":
            value, total = probe_accuracy(humans, animals, self._seed), len(humans) + len(animals)
            return replace(wilson_interval(round(value * total), total), value=value)
        if measure == "domain_mmd":
            gap = mmd(humans, animals, self._seed, permutations=1)
            return Interval(gap.squared, np.nan, np.nan)
        # How many different animals are some human's nearest: few hubs answer for all where the domains lie apart.
        nearest = (unit(humans)[0] @ unit(animals)[0].T).argmax(1)
        return wilson_interval(len(set(nearest.tolist())), len(nearest))

    def _altered(self, name: str) -> np.ndarray:
        """Encode the held-out animals after an alteration, or all of them in turn."""
        faces, size = self._faces[ANIMAL], self._loaded.model.config.size
        points = keypoints(faces.rows, size)
        pictures, boxes = [], []
        for i, (picture, box) in enumerate(zip(faces.pictures, faces.boxes, strict=True)):
            rng = np.random.default_rng((self._seed, i))
            marked = MarkedFace(picture, points[i], box)
            made = augment(marked, rng) if name == "all" else AUGMENTATIONS[name](marked, rng)
            pictures.append(made.picture)
            boxes.append(made.boxes)
        changed = FaceArrays(faces.rows, np.stack(pictures), np.stack(boxes).astype(np.float32))
        return encode(self._loaded, changed)[1].numpy()
