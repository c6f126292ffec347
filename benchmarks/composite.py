"""Milliseconds of one composite of five regions at 256 x 256 on one core, over drawn people and animals.

python -m benchmarks.composite
"""

import time

import cv2
import numpy as np

from rupantara.landmarks import align
from rupantara.landmarks.composite import DonorShare, composite
from rupantara.landmarks.donor import prepare
from rupantara.landmarks.regions import REGIONS
from rupantara.synthetic import SPECIES, draw_face

LIMIT_MS = 15.0
ROUNDS = 5


def drawn(species: str, identity: int) -> tuple[np.ndarray, np.ndarray]:
    face = draw_face(species, identity)
    points = face.landmarks if face.landmarks is not None else face.keypoints
    cut = align.align(face.image, face.keypoints, face.domain)
    return cut.crop, align.transform_points(points, cut.transform)


def six_of_five(points: np.ndarray) -> np.ndarray:
    across = points[1] - points[0]
    up = np.array([across[1], -across[0]])
    middle = points[:2].mean(0)
    ears = [middle + 1.3 * up - 1.1 * across, middle + 1.3 * up + 1.1 * across]
    return np.stack([points[0], points[1], points[2], points[3:5].mean(0), *ears])


def main() -> None:
    cv2.setNumThreads(1)
    people = [drawn("human", i) for i in range(4)]
    started = time.process_time()
    animals = [(drawn(name, 0)) for name in SPECIES]
    donors = []
    for picture, points in animals:
        started = time.process_time()
        donors.append(prepare(picture, six_of_five(points)))
        prepared = time.process_time() - started
    each = dict.fromkeys(REGIONS, 0.8)
    taken = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for picture, points in people:
            for donor in donors:
                composite(picture, points, [DonorShare(donor, each)])
        taken.append((time.process_time() - started) / (len(people) * len(donors)) * 1000)
    print(f"prepare {prepared * 1000:.0f} ms a donor; composite {min(taken):.1f} ms (limit {LIMIT_MS:g})")


if __name__ == "__main__":
    main()
