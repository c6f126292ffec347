"""A test for eyes: each picture shows a child above four numbered pairs of parents; the key is written apart.

    python -m benchmarks.children_eyes --faces FACES --out OUT [--count 40]
    python -m benchmarks.children_eyes --faces FACES --out OUT --answers answers.csv       # lines NUMBER,PAIR: the share that is right

Parents are held-out adults who look at the camera, father and mother. The other three pairs are of the same sexes and of like age, by what
the faces table estimates. The child is as jobs.generate makes it, with the father's surroundings; of all people only the face is shown, in
an oval, so that neither hair nor background can tell.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
import tyro
from scipy import stats

from benchmarks.children_people import Adult, Crops, adults
from rupantara.generation import child_loading
from rupantara.generation.child import ChildGenerator, ChildRequest, Surroundings
from rupantara.generation.face import FaceCrop
from rupantara.imaging import codec as pictures
from rupantara.models.codecs.region_vae import face_mask
from rupantara.reports.grids import grid

CANDIDATES, LIKE_AGE_YEARS, GREY = 4, 6.0, 160.0


@dataclass(frozen=True)
class Config:
    """What is shown."""

    faces: str
    out: Path
    codec: str = "pretrained/region_vae"
    blender: str = "pretrained/blender"
    count: int = 40
    seed: int = 0
    surroundings: Surroundings = ChildRequest.surroundings
    variation: float = 0.0
    threads: int = 2
    answers: str = ""


def draw(people: list[Adult], count: int, rng: np.random.Generator) -> Iterator[tuple[list[tuple[Adult, Adult]], int]]:
    """Yield four pairs of eight people, and which one is right."""
    fathers, mothers = ([one for one in people if one.female == female] for female in (False, True))
    for _ in range(count):
        both = []
        for pool in (fathers, mothers):
            first = pool[rng.integers(len(pool))]
            like = [p for p in pool if p is not first and abs(p.age - first.age) <= LIKE_AGE_YEARS]
            both.append([first, *(like[i] for i in rng.choice(len(like), CANDIDATES - 1, replace=False))])
        order = rng.permutation(CANDIDATES)
        pairs = list(zip(*both, strict=True))
        yield [pairs[i] for i in order], int(np.flatnonzero(order == 0)[0])


@cache
def mask_of(side: int) -> np.ndarray:
    """Return the face's mask [side, side, 1]."""
    return face_mask(side).numpy()[..., None]


def oval(picture: np.ndarray, side: int) -> np.ndarray:
    """Show the face of an aligned picture alone, on grey."""
    inside = mask_of(side)
    return np.rint(inside * pictures.resize(picture, side) + (1 - inside) * GREY).astype(np.uint8)


def sheet(child: np.ndarray, candidates: list[list[FaceCrop]]) -> np.ndarray:
    """Lay out the child above the numbered pairs."""
    below = [[oval(pair[row].picture, 192) for pair in candidates] for row in (0, 1)]
    low = grid(below, [f"pair {i + 1}" for i in range(len(candidates))], 192)
    top = np.full((272, low.shape[1], 3), 255, np.uint8)
    left = (low.shape[1] - 256) // 2
    top[8:264, left : left + 256] = oval(child, 256)
    return np.concatenate([top, low])


def make(config: Config) -> None:
    """Write the pictures and the key."""
    torch.set_num_threads(config.threads)
    generator = ChildGenerator(child_loading.load(config.blender, config.codec))
    crops, lines = Crops(config.faces), []
    (config.out / "pictures").mkdir(parents=True, exist_ok=True)
    for number, (pairs, right) in enumerate(
        draw(adults(config.faces), config.count, np.random.default_rng(config.seed)), 1
    ):
        shown = [crops.of(pair) for pair in pairs]
        asked = ChildRequest(
            *shown[right], variation=config.variation, surroundings=config.surroundings, seed=config.seed
        )
        child = generator.generate([asked])[0][0].picture
        assert child is not None
        (config.out / f"pictures/{number:02d}.png").write_bytes(pictures.encode_png(sheet(child, shown)))
        lines.append(f"{number},{right + 1},{pairs[right][0].face_id},{pairs[right][1].face_id}\n")
    (config.out / "key.csv").write_text("number,pair,father,mother\n" + "".join(lines))


def mark(config: Config) -> None:
    """Print the share of right answers, and how likely so many are by chance."""
    key = {row["number"]: row["pair"] for row in csv.DictReader((config.out / "key.csv").read_text().splitlines())}
    given = [row for row in csv.reader(Path(config.answers).read_text().splitlines()) if row and row[0].strip() in key]
    right = sum(key[number.strip()] == pair.strip() for number, pair, *_ in given)
    chance = stats.binomtest(right, len(given), 1 / CANDIDATES, alternative="greater").pvalue
    print(f"{right} of {len(given)} right ({right / len(given):.0%}); by chance with p = {chance:.2g}")


def main(config: Config) -> None:
    """Make the test, or mark its answers."""
    mark(config) if config.answers else make(config)


if __name__ == "__main__":
    main(tyro.cli(Config))
