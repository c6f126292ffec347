"""Faces tables as the streams of a training: pictures, boxes, species and keypoints, each species shown about as often."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from rupantara.errors import UserError
from rupantara.faces import arrays
from rupantara.faces.balance import repeats, show_times
from rupantara.storage import manifest
from rupantara.training.choice import ChosenFaces, TrainingChoice, choose
from rupantara.training.streams import Stream

log = logging.getLogger(__name__)
COLUMNS = ("face_id", "domain", "species", "image", "landmarks", "points", "keypoints", "quality", "split", "reject")


@dataclass(frozen=True)
class FaceRows:
    """Rows of a faces table -> `image` uint8 [size, size, 3], `boxes` float32 [6, 4], `species` int64, `yaw`, and points.

    `species` is 0 for humans, then as in the order given; `yaw` float32 is in degrees. Points are float32 px: `keypoints` [5, 2], the
    `landmarks` [68, 2] of people, the `points` [6, 2] of animals. What is not known is NaN. With `factors` each row is shown by its
    species' factor; a call raises UserError for an animal of a species that is not among `species`.
    """

    size: int
    species: tuple[str, ...]
    factors: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0

    def __call__(self, rows: pa.Table) -> dict[str, np.ndarray]:
        """Decode each face once and repeat it for balance."""
        faces, names = arrays.load(rows, self.size), rows["species"].to_pylist()
        times = np.ones(len(names), np.int64)
        if self.factors:
            times = show_times(rows["face_id"].to_pylist(), names, self.factors, self.seed)
        index = np.array([self._index(*row) for row in zip(rows["domain"].to_pylist(), names, strict=True)], np.int64)
        columns = {"image": faces.pictures, "boxes": faces.boxes, "species": index}
        columns |= {"keypoints": arrays.keypoints(rows, self.size), "yaw": arrays.yaws(rows)}
        columns |= {"landmarks": arrays.landmarks(rows, self.size), "points": arrays.animal_points(rows, self.size)}
        order = np.repeat(np.arange(len(names)), times)
        return {name: values[order] for name, values in columns.items()}

    def _index(self, domain: str, species: str) -> int:
        if domain == "human":
            return 0
        if species not in self.species:
            raise UserError(f"animals to train on must be of {', '.join(self.species)}, got {species!r}")
        return 1 + self.species.index(species)


@dataclass(frozen=True)
class FaceStreams:
    """Streams of each domain to train and to validate on, the species of the animals (sorted, as the embedding has them), and the
    content of the tables by flag.
    """

    train: dict[str, Stream]
    validation: dict[str, Stream]
    species: tuple[str, ...]
    inputs: dict[str, str]


def related(faces: str, morphs: str = "") -> dict[str, str]:
    """Return the content of a faces table and of its morphs ("" = none), by flag; UserError for morphs of another table."""
    inputs = {"faces": manifest.require(faces, "faces").content}
    if not morphs:
        return inputs
    found = manifest.require(morphs, "faces")
    made_from = found.recipe.inputs.get("faces", "")
    if made_from != inputs["faces"]:
        raise UserError(
            f"--morphs must be made from --faces ({inputs['faces'][:12]}…), or held-out faces would be trained on;"
            f" {morphs} was made from {made_from[:12] or 'another table'}…"
        )
    return inputs | {"morphs": found.content}


def face_streams(
    faces: str,
    morphs: str,
    size: int,
    least: Mapping[str, int],
    *,
    most: int,
    most_validation: int,
    seed: int,
) -> FaceStreams:
    """Describe the streams of the domains that `least` names, each with at least so many faces to train on (UserError where fewer).

    At most `most` and `most_validation` faces of each domain are taken (0 = all). Morphs ("" = none) are trained on too, and never
    validated on. Validation faces of a species that is not trained on are left out, and counted in the log. Animals are shown so
    that their species count alike.
    """
    inputs, uris = related(faces, morphs), tuple(filter(None, (faces, morphs)))
    train = {
        domain: choose(uris, "faces", TrainingChoice("train", domain, present=("keypoints",), seed=seed), most, count)
        for domain, count in least.items()
    }
    held = {domain: _held(uris[0], chosen, most_validation) for domain, chosen in train.items()}
    species = tuple(train["animal"].counts) if "animal" in train else ()
    plain = FaceRows(size, species, seed=seed)
    shown = dict.fromkeys(train, plain)
    if "animal" in train:
        shown["animal"] = replace(plain, factors=repeats(train["animal"].counts))
        _say_never_shown(train["animal"], shown["animal"].factors)
    return FaceStreams(
        {domain: _stream(uris, chosen, shown[domain]) for domain, chosen in train.items()},
        {domain: _stream(uris[:1], chosen, plain) for domain, chosen in held.items()},
        species,
        inputs,
    )


def _stream(uris: Sequence[str], chosen: ChosenFaces, decode: FaceRows) -> Stream:
    return Stream(tuple(uris), "faces", COLUMNS, chosen.choice, decode, chosen.count)


def _held(uri: str, train: ChosenFaces, most: int) -> ChosenFaces:
    """Choose the validation faces of the species that are trained on."""
    every = replace(train.choice, split="val", below=1.0)
    for species, number in choose([uri], "faces", every, 0, 0).counts.items():
        if species not in train.counts:
            log.info("%d val %s faces are left out: train has no %s", number, every.domain, species)
    return choose([uri], "faces", replace(every, species=tuple(train.counts)), most, 1)


def _say_never_shown(animals: ChosenFaces, factors: Mapping[str, float]) -> None:
    """Log how many animals are never shown, so that species count alike: streams are laid out once, for all epochs."""
    never = sum(int((animals.draws[name] >= factor).sum()) for name, factor in factors.items() if factor < 1)
    if never:
        log.info("%d of %d animal faces are never shown, so that species count alike", never, animals.count)
