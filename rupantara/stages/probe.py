"""What region codes know: how far apart the domains lie, whether altered pictures find themselves, whether species are kin."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.bank.alignment import ANIMAL, HUMAN, Alignment
from rupantara.bank.hits import merge_views
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.faces.arrays import COLUMNS, FaceArrays, keypoints, load
from rupantara.generation import loading
from rupantara.landmarks.augmentations import AUGMENTATIONS, MarkedFace, augment, flip
from rupantara.landmarks.regions import REGIONS
from rupantara.metrics.cosine import unit
from rupantara.metrics.domain_gap import mmd, probe_accuracy
from rupantara.metrics.interval import Interval, wilson_interval
from rupantara.metrics.match import HitStats, first_hits, species_hits
from rupantara.stages.extract import CHUNK_ROWS, encode
from rupantara.storage import tables

MEASURES = (
    "domain_probe",
    "domain_mmd",
    "distinct_hits",
    "species",
    *(f"match_{name}" for name in AUGMENTATIONS),
    "match_all",
)
"""What is asked for; each `match_…` answers `match_…_views` too."""

VIEWS = "_views"
"""End of the name of a match that asked with both views of the altered picture: itself and its mirror image."""

READ = (*COLUMNS, "keypoints")
Codes = dict[str, np.ndarray]


class ProbeCodes:
    """One-row batch with the column `measure` -> rows of `schema.PROBE`, in both spaces: raw codes and aligned ones.

    A match asks a bank of the held-out animals and `train` ones for an altered held-out animal, in two ways. `match_X` asks
    with the altered picture alone, and so says whether a code survives the alteration. `match_X_views` asks with its mirror
    image too and takes the better score of each animal (`bank.hits.merge_views`): a search that does not care which way a
    face looks. There a flip alters nothing, so `match_flip_views` says only that animals differ.
    """

    def __init__(
        self,
        faces: str,
        checkpoint: str,
        alignment: Alignment,
        held: dict[str, dict[str, str]],
        seed: int,
        train: dict[str, str] | None = None,
    ) -> None:
        """Encode the held-out faces: ids to species by domain, one face a person; `train` animals only lie in the bank."""
        self._loaded, self._alignment, self._seed = loading.load(checkpoint), alignment, seed
        self._table, self._train = faces, train or {}
        self._faces, self._codes, self._species, self._ids = {}, {}, {}, {}
        for domain, ids in held.items():
            rows = pa.concat_tables(
                [schema.where_id(part, ids) for part in tables.read_parts(faces, READ, schema="faces")]
            )
            self._faces[domain] = load(rows, self._loaded.model.config.size)
            self._codes[domain] = encode(self._loaded, self._faces[domain])[1].numpy()
            self._ids[domain] = rows["face_id"].to_pylist()
            self._species[domain] = [ids[i] for i in self._ids[domain]]

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Take the measures of the batch."""
        rows = [row for measure in batch["measure"].to_pylist() for row in self._measure(measure)]
        return pa.Table.from_pylist(rows, schema=schema.PROBE)

    def _measure(self, measure: str) -> Iterator[dict[str, Any]]:
        if measure.startswith("match_"):
            views = self._altered(measure.removeprefix("match_"))
            for space in self._spaces:
                for name, asked in ((measure, views[:1]), (measure + VIEWS, views)):
                    found = HitStats.update(self._matched(asked, space)).compute()
                    yield from self._rows(name, space, len(views[0]), found)
            return
        for space, alignment in self._spaces.items():
            codes = {domain: alignment.align(c, domain) for domain, c in self._codes.items()}
            if measure == "species":
                found = HitStats.update(species_hits(codes[ANIMAL], self._species[ANIMAL])).compute()
                yield from self._rows(measure, space, len(codes[ANIMAL]), found)
            else:
                found = tuple(self._between(measure, codes, i) for i in range(len(REGIONS)))
                yield from self._rows(measure, space, len(codes[HUMAN]), found)

    @staticmethod
    def _rows(measure: str, space: str, n: int, found: Sequence[Interval]) -> Iterator[dict[str, Any]]:
        for region, interval in zip(REGIONS, found, strict=True):
            yield {"measure": measure, "space": space, "region": region, "n": n} | asdict(interval)

    @property
    def _spaces(self) -> dict[str, Alignment]:
        return {"raw": Alignment.identity(self._loaded.model.config.region_dim), "aligned": self._alignment}

    @cached_property
    def _banks(self) -> dict[str, BankIndex]:
        """Return the bank that matches ask, in each space."""
        ids, names, codes = list(self._ids[ANIMAL]), list(self._species[ANIMAL]), [self._codes[ANIMAL]]
        for part in tables.read_parts(self._table, COLUMNS, schema="faces") if self._train else ():
            rows = schema.where_id(part, self._train)
            for start in range(0, rows.num_rows, CHUNK_ROWS):
                chunk = load(rows.slice(start, CHUNK_ROWS), self._loaded.model.config.size)
                codes.append(encode(self._loaded, chunk)[1].numpy())
            ids += rows["face_id"].to_pylist()
        names += [self._train[i] for i in ids[len(names) :]]
        vectors = schema.vector_array(np.concatenate(codes))
        features = pa.table({"face_id": ids, "species": names, "regions_mu": vectors})
        columns = schema.bank(self._loaded.model.config.region_dim, self._loaded.codes_sha256)
        return {space: BankIndex(bank_rows(features, columns, a)) for space, a in self._spaces.items()}

    def _matched(self, views: Sequence[np.ndarray], space: str) -> np.ndarray:
        """Tell for each held-out animal and region whether the bank, asked with these codes, answers it first: [n, 5]."""
        hits = []
        for i, region in enumerate(REGIONS):
            queries = [unit(self._spaces[space].align(codes, ANIMAL)[:, i])[0] for codes in views]
            found = merge_views([self._banks[space].search(asked, region, 2) for asked in queries], 2)
            hits.append(first_hits(found.ids, found.scores, [f"{name}/{region}" for name in self._ids[ANIMAL]]))
        return np.stack(hits, axis=1)

    def _between(self, measure: str, codes: Codes, region: int) -> Interval:
        """Compare the domains in one region."""
        humans, animals = codes[HUMAN][:, region], codes[ANIMAL][:, region]
        if measure == "domain_probe":
            value, total = probe_accuracy(humans, animals, self._seed), len(humans) + len(animals)
            return replace(wilson_interval(round(value * total), total), value=value)
        if measure == "domain_mmd":
            gap = mmd(humans, animals, self._seed, permutations=1)
            return Interval(gap.squared, np.nan, np.nan)
        # How many different animals are some human's nearest: few hubs answer for all where the domains lie apart. One human's
        # hit makes another's no news, so these are no independent draws, and the share has no binomial interval.
        nearest = (unit(humans)[0] @ unit(animals)[0].T).argmax(1)
        return Interval(len(set(nearest.tolist())) / len(nearest), np.nan, np.nan)

    def _altered(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Encode the held-out animals after an alteration, or all of them in turn: as they are then, and mirrored."""
        faces = self._faces[ANIMAL]
        points = keypoints(faces.rows, self._loaded.model.config.size)
        made = []
        for i, (picture, box) in enumerate(zip(faces.pictures, faces.boxes, strict=True)):
            rng = np.random.default_rng((self._seed, i))
            marked = MarkedFace(picture, points[i], box)
            made.append(augment(marked, rng) if name == "all" else AUGMENTATIONS[name](marked, rng))
        return self._encoded(made), self._encoded([flip(face) for face in made])

    def _encoded(self, made: Sequence[MarkedFace]) -> np.ndarray:
        """Encode altered held-out animals."""
        pictures, boxes = np.stack([face.picture for face in made]), np.stack([face.boxes for face in made])
        changed = FaceArrays(self._faces[ANIMAL].rows, pictures, boxes.astype(np.float32))
        return encode(self._loaded, changed)[1].numpy()
