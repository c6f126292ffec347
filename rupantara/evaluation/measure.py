"""The one way in which pictures are measured against held-out faces: rows of `schema.METRICS`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rupantara.evaluation.judges import Judges
from rupantara.evaluation.protocol import COMPARED, SOURCE, Held, Made, PictureMeasure
from rupantara.imaging import codec
from rupantara.landmarks.morph import hull_mask
from rupantara.landmarks.texture import SIDE, rescale
from rupantara.metrics.image import image_errors, masked_psnr
from rupantara.metrics.landmarks import landmark_errors
from rupantara.models.region_vae import HUMAN
from rupantara.tensors import Images, to_pictures
from rupantara.training.decoders import keypoints_of

ABOUT = ("face_id", "domain", "species", "attributes")
"""What a row says of the face, where the table that was read says it."""


class Measurer:
    """Measures what methods made; keeps the pictures of the faces that a report shows."""

    def __init__(
        self, judges: Judges | None, shown: Collection[str] = (), extra: Sequence[PictureMeasure] = ()
    ) -> None:
        """Take the networks that judge (None = errors alone), the faces that are shown, and further measures."""
        self._judges, self._shown, self._extra = judges, frozenset(shown), tuple(extra)
        self._own: tuple[Held, Tensor] | None = None

    def source(self, held: Held) -> list[dict[str, Any]]:
        """Return a row for each face itself."""
        if held.images is None:
            return []
        new = range(len(held.images)) if held.new is None else held.new
        made = Made(held.images[list(new)], SOURCE, rows=list(new))
        rows = self._rows(held, SOURCE, made, self._judged(held, made)[0])
        # A hybrid's species is the one that was asked for.
        return [row | {"species": HUMAN} if row["domain"] == HUMAN else row for row in rows]

    def made(self, held: Held, method: str, made: Made) -> list[dict[str, Any]]:
        """Return a row for each picture that a method made."""
        values: dict[str, Sequence[Any]] = dict(made.told)
        if made.images is not None:
            judged, vectors = self._judged(held, made)
            values |= judged
            if held.images is not None:
                values |= self._against(made, held, held.images[_at(made, held)], vectors)
            values |= _landmarks(made, held)
            for measure in self._extra:
                values |= measure(held, made)
        return self._rows(held, method, made, values)

    def _judged(self, held: Held, made: Made) -> tuple[dict[str, Sequence[Any]], Tensor | None]:
        """Return features and, of people whose keypoints are known, identity vectors."""
        if not self._judges or made.images is None:
            return {}, None
        values: dict[str, Sequence[Any]] = {
            "squeezenet": list(self._judges.features(made.images).numpy().astype(np.float16))
        }
        points = _keypoints(held, made)
        if points is None or not self._judges.knows_identity:
            return values, None
        vectors = self._judges.vectors(made.images, points)
        return values | {"mobilefacenet": vectors.tolist()}, vectors

    def _against(self, made: Made, held: Held, images: Images, vectors: Tensor | None) -> Mapping[str, Sequence[Any]]:
        """Compare pictures with the faces themselves: errors where they should look alike, identity always."""
        assert made.images is not None
        values: dict[str, Sequence[Any]] = {}
        if made.kind in COMPARED:
            values |= {name: value.tolist() for name, value in image_errors(made.images, images).items()}
            if self._judges:
                values["lpips_caffe_squeezenet"] = self._judges.distance(made.images, images).tolist()
        if vectors is not None and self._judges and held.keypoints is not None:
            values["identity"] = (vectors * self._own_vectors(held)[_at(made, held)]).sum(1).tolist()
        return values

    def _own_vectors(self, held: Held) -> Tensor:
        """Return the identity vectors of the faces themselves, found once for all methods."""
        if self._own is None or self._own[0] is not held:
            assert self._judges and held.images is not None and held.keypoints is not None
            self._own = held, self._judges.vectors(held.images, held.keypoints)
        return self._own[1]

    def _rows(self, held: Held, method: str, made: Made, values: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
        about = held.rows.select([name for name in ABOUT if name in held.rows.column_names]).to_pylist()
        out = []
        for i, at in enumerate(_at(made, held)):
            row = about[at] | {"method": method, "kind": made.kind, "mode": made.mode}
            row |= {name: column[i] for name, column in values.items()}
            if row["face_id"] in self._shown:
                row["image"] = codec.encode_png(_shown(made, i))
            out.append(row)
        return out


def _at(made: Made, held: Held) -> list[int]:
    """Return which faces of the batch the pictures are of."""
    return list(range(held.rows.num_rows)) if made.rows is None else list(made.rows)


def _shown(made: Made, row: int) -> np.ndarray:
    if made.strips is not None:
        return made.strips[row]
    assert made.images is not None
    return to_pictures(made.images[row : row + 1])[0]


def _keypoints(held: Held, made: Made) -> Tensor | None:
    """Return where the keypoints of pictures are: by the landmarks that the method tells, or else where the face itself has them."""
    assert made.images is not None
    if made.points is not None:
        return keypoints_of(rescale(made.points, SIDE, made.images.shape[-1]))
    return None if held.keypoints is None else held.keypoints[_at(made, held)]


def _landmarks(made: Made, held: Held) -> dict[str, Sequence[Any]]:
    """Measure landmarks, and errors inside the face, where the true landmarks are known."""
    if held.landmarks is None or held.images is None or made.images is None:
        return {}
    masks = hulls(held.landmarks, held.images.shape[-1])
    inside = masked_psnr(made.images, held.images, masks).tolist()
    known = masks.flatten(1).any(1)
    values: dict[str, Sequence[Any]] = {
        "face_psnr": [value if hull else None for value, hull in zip(inside, known, strict=True)]
    }
    if made.points is not None:
        found = landmark_errors(made.points.numpy(), held.landmarks.numpy())
        values |= {"landmark_mse": found.squared.astype(np.float32).tolist(), "nme": found.nme.tolist()}
    return values


def hulls(points: Tensor, side: int) -> Tensor:
    """Return where each face is in its picture, the hull of its landmarks (px of SIDE): uint8 [n, side, side]; 0 where there is none."""
    return torch.from_numpy(np.stack([_hull(face, side) for face in rescale(points.numpy(), SIDE, side)]))


def _hull(points: np.ndarray, side: int) -> np.ndarray:
    try:
        return hull_mask(points, side, side)
    except ValueError:
        return np.zeros((side, side), np.uint8)
