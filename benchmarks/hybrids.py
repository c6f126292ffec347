"""The curve of identity against species over the amount, for both renderers: on held-out people of a faces table.

    python -m benchmarks.hybrids --faces runs/photos/faces --checkpoint runs/photos/checkpoint --bank runs/photos/bank

Species: top-1 of eight by SqueezeNet's classes, centred over all pictures of a row. Identity: rank-1 among the people by dlib's
network, and the mean cosine. No loss of the hybrids' making saw either. Seam: squared gradient across the face mask's border over
that beside it. Fréchet distances in SqueezeNet's features to the people and to the bank's animals with pictures.
"""

import argparse
from typing import Any

import cv2
import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.bank import donors, versions
from rupantara.bank.index import BankIndex
from rupantara.faces.arrays import COLUMNS, choose_people
from rupantara.faces.chips import dlib_chip
from rupantara.generation.face import FaceCrop
from rupantara.generation.hybrid import HybridGenerator, HybridRequest, everywhere
from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.layout import face_outline, layout_of
from rupantara.landmarks.points import keypoints_from
from rupantara.metrics.frechet import GaussianStats, frechet_distance
from rupantara.metrics.identity_rank import IdentityStats
from rupantara.metrics.seam import SeamStats
from rupantara.metrics.species_classes import CLASSES, SpeciesStats
from rupantara.models import pretrained
from rupantara.models.squeezenet import SIDE
from rupantara.stages.generate import crops_of
from rupantara.storage import tables
from rupantara.tensors import to_images

BATCH = 32
AMOUNTS = (0.4, 0.5, 0.6, 0.75, 1.0)


class LocalBank:
    """A bank in this process."""

    def __init__(self, uri: str) -> None:
        found = versions.latest(uri)
        self.alignment, self.model_sha256 = found.alignment, found.model_sha256
        self.species, self._counts = tuple(sorted(found.species)), found.species
        self._index = BankIndex(pa.concat_tables([found.rows(i) for i in range(len(found.shards))]))

    at_a_time = 1

    def num_faces(self, species: str) -> int:
        """Return how many animals of a species there are."""
        return self._counts.get(species, 0)

    def search_regions(self, queries: dict[str, np.ndarray], k: int, species: str = "") -> dict[str, Any]:
        """Search each region."""
        return {region: self._index.search(rows, region, k, species) for region, rows in queries.items()}

    def pinned(self) -> "LocalBank":
        """Return itself: it does not change."""
        return self


class Judge:
    """SqueezeNet and dlib's network over pictures [h, w, 3]."""

    def __init__(self, weights: str) -> None:
        self._squeeze = pretrained.load_features(weights, "squeezenet")
        self._dlib = pretrained.load_dlib_identity(weights)

    @torch.inference_mode()
    def look(self, pictures: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return class probabilities [n, 1000] and pooled features [n, 512]."""
        found = []
        for start in range(0, len(pictures), BATCH):
            part = [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for p in pictures[start : start + BATCH]]
            images = to_images(np.stack(part))
            found.append((self._squeeze(images).float(), self._squeeze.pooled(images).float()))
        return tuple(torch.cat(parts).numpy() for parts in zip(*found, strict=True))

    @torch.inference_mode()
    def vectors(self, pictures: list[np.ndarray], landmarks: list[np.ndarray]) -> np.ndarray:
        """Return identity vectors [n, 128]; landmarks in px of 256."""
        out = []
        for start in range(0, len(pictures), BATCH):
            part = zip(pictures[start : start + BATCH], landmarks[start : start + BATCH], strict=True)
            chips = [dlib_chip(picture, keypoints_from(points)) for picture, points in part]
            out.append(self._dlib(torch.from_numpy(np.stack(chips)).permute(0, 3, 1, 2).float()))
        return torch.cat(out).numpy()


def face_mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    hull = cv2.convexHull(np.round(face_outline(layout_of(landmarks))).astype(np.int32))
    return cv2.fillConvexPoly(np.zeros((size, size), np.uint8), hull, 255)


def measure(
    judge: Judge,
    made: list[np.ndarray],
    names: list[str],
    own: list[int],
    people: list[FaceCrop],
    known: tuple[Any, Any],
) -> str:
    gallery, features = known
    probabilities, rows = judge.look(made)
    species = SpeciesStats.update(probabilities, names).compute()["top1"]
    points = [people[i].landmarks for i in own]
    identity = IdentityStats.update(judge.vectors(made, points), gallery, np.array(own)).compute()
    seams = SeamStats()
    for picture, landmarks in zip(made, points, strict=True):
        seams = seams.merge(SeamStats.update(picture, face_mask(landmarks, picture.shape[0])))
    gap = frechet_distance(GaussianStats.update(rows), GaussianStats.update(features))
    return f"{species:8.3f} {identity['rank1'].value:8.3f} {identity['cosine'].value:8.3f} {seams.compute():8.2f} {gap:8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("faces", "checkpoint", "bank"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--people", type=int, default=60)
    parser.add_argument("--each", type=int, default=2, help="species a person, in turn")
    parser.add_argument("--renderers", nargs="*", default=["exemplar", "latent", "photograph"])
    parser.add_argument("--amounts", nargs="*", type=float, default=list(AMOUNTS))
    given = parser.parse_args()
    chosen = choose_people(given.faces, "human", ["test"], given.people, 0)
    parts = [schema.where_id(part, chosen) for part in tables.read_parts(given.faces, COLUMNS, schema="faces")]
    people = crops_of(pa.concat_tables(parts))
    judge, lent = Judge(given.weights), donors.read(given.bank)
    generator = HybridGenerator(given.checkpoint, LocalBank(given.bank), donors=lent)
    gallery = judge.vectors([one.picture for one in people], [one.landmarks for one in people])
    features = judge.look([one.picture for one in people])[1]
    species = list(CLASSES)
    wanted = [(i, species[(i + k * (8 // given.each)) % 8]) for i in range(len(people)) for k in range(given.each)]
    print(
        f"{'renderer':12} amount  species    rank1   cosine     seam  frechet   ({len(wanted)} hybrids of {len(people)} people)"
    )
    for renderer in given.renderers:
        for amount in given.amounts:
            if renderer == "photograph":
                made = [on_photograph(people[i], name, amount, lent) for i, name in wanted]
            else:
                asked = [HybridRequest(people[i], (name,), everywhere(amount), renderer=renderer) for i, name in wanted]
                made = [one.picture for group in generator.generate(asked) for one in group]
            row = measure(judge, made, [n for _, n in wanted], [i for i, _ in wanted], people, (gallery, features))
            print(f"{renderer:12} {amount:6.2f} {row}", flush=True)


def on_photograph(person: FaceCrop, species: str, amount: float, lent: donors.Donors) -> np.ndarray:
    """The same composite on the photograph itself: what the decoder costs."""
    from rupantara.landmarks.fitness import yaw_of

    donor, _ = lent.pick(person.face_id, species, yaw_of(keypoints_from(person.landmarks)))
    return composite(person.picture, person.landmarks, [DonorShare(donor, everywhere(amount))])


if __name__ == "__main__":
    main()
