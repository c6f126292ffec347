"""Writes drawn faces as a folder of photographs, laid out as the downloaded data sets are."""

import json
from collections.abc import Callable

import cv2
import numpy as np

from rupantara.synthetic.faces import HUMAN, draw_face
from rupantara.synthetic.species import SPECIES

JPEG_QUALITY = 95


def write_photographs(
    write: Callable[[str, bytes], None],
    humans: int,
    per_species: int,
    pictures_per_human: int = 2,
    size: int = 320,
    seed: int = 0,
) -> None:
    """Draw and `write(relative path, bytes)` photographs of `humans` persons and of `per_species` animals a species.

    People lie at "human/drawn/NAME_0001.jpg", as in LFW, animals at "animals/SPECIES/NAME.jpg".
    "keypoints.json", written last, lists {"file", "points"}: in pixels, 68 landmarks for a person and
    five keypoints for an animal.
    """
    listing = []
    for species, identity, picture in _pictures(humans, per_species, pictures_per_human):
        face = draw_face(species, identity, picture, size, seed)
        name = (
            f"human/drawn/{face.identity}_{picture + 1:04d}"
            if species == HUMAN
            else f"animals/{species}/{face.identity}"
        )
        write(f"{name}.jpg", _jpeg(face.image))
        points = face.keypoints if face.landmarks is None else face.landmarks
        listing.append({"file": f"{name}.jpg", "points": points.astype(np.float64).round(3).tolist()})
    write("keypoints.json", json.dumps(listing).encode())


def _pictures(humans: int, per_species: int, pictures_per_human: int) -> list[tuple[str, int, int]]:
    people = [(HUMAN, identity, picture) for identity in range(humans) for picture in range(pictures_per_human)]
    return people + [(species, identity, 0) for species in SPECIES for identity in range(per_species)]


def _jpeg(image: np.ndarray) -> bytes:
    _, data = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
