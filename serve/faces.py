"""Faces on their way through the endpoints: found in a photograph, encoded, and carried by callers as tokens."""

import base64
import hashlib
import threading
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from rupantara.errors import Rejected, UserError
from rupantara.faces.finder import FoundFace
from rupantara.faces.reader import FaceReader
from rupantara.faces.rules import CurateRules, broken_bound
from rupantara.imaging import codec
from rupantara.landmarks.regions import REGIONS
from rupantara.models.region_vae import HUMAN
from rupantara.types import Picture

SHAPE, UNKNOWN = (68, 2), -9.0
"""Of a face's landmarks in a token, and what stands there for each number where they are not known."""

SUBJECT = "subject"
"""The face that a photograph is of: the surest, largest and nearest to its centre."""


@dataclass(frozen=True)
class Place:
    """Which face of a photograph was taken: its number (0 = the subject), of how many, and the keypoints' box in pixels."""

    number: int = 0
    num_faces: int = 1
    box_px: tuple[float, float, float, float] | None = None
    score: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """Return what an answer tells of it."""
        box = None if self.box_px is None else [round(v, 1) for v in self.box_px]
        return {"number": self.number, "num_faces": self.num_faces, "box_px": box, "score": round(self.score, 4)}


@dataclass(frozen=True)
class Codes:
    """The codes of a face: global [global_dim], regions [5, region_dim], float32; `model_sha256` names whose (`codes_sha256`)."""

    global_mu: np.ndarray
    regions_mu: np.ndarray
    model_sha256: str


@dataclass(frozen=True)
class Face:
    """An aligned face: a crop (uint8 RGB, square) or codes, or both; boxes [6, 4] as fractions of the crop.

    `landmarks` [68, 2] are px of the crop, `shape` the same as fractions of it, (px + 0.5) / side: what a face without a crop keeps.
    One that is a `token` alone is read by who holds the model (`from_token`).
    """

    face_id: str
    boxes: np.ndarray
    crop: np.ndarray | None = None
    codes: Codes | None = None
    keypoints: np.ndarray | None = None
    landmarks: np.ndarray | None = None
    shape: np.ndarray | None = None
    place: Place = field(default_factory=Place)
    token: str = ""

    @staticmethod
    def unread(token: str) -> "Face":
        """Return the face that a token stands for, until it is read."""
        return Face("", np.zeros((6, 4), np.float32), token=token)


def to_token(face: Face) -> str:
    """Write a face's codes, boxes and shape as a token, so that the next request need not find and encode it again.

    Nothing is kept here: whoever holds the token holds the face. float32, so that its pictures are the photograph's to the bit.
    """
    assert face.codes is not None
    shape = np.full(SHAPE, UNKNOWN) if face.shape is None else face.shape
    numbers = np.concatenate([face.codes.global_mu, face.codes.regions_mu.ravel(), face.boxes.ravel(), shape.ravel()])
    head = bytes.fromhex(face.codes.model_sha256)[:8] + face.face_id.encode()[:40].ljust(40, b"\0")
    body = head + numbers.astype("<f4").tobytes()
    return base64.urlsafe_b64encode(_check(body) + body).decode().rstrip("=")


def _check(body: bytes) -> bytes:
    return hashlib.sha256(body).digest()[:4]


def from_token(token: str, model_sha256: str, global_dim: int, region_dim: int) -> Face:
    """Read a token of this model; UserError for anything else."""
    sizes = (global_dim, len(REGIONS) * region_dim, 24, SHAPE[0] * SHAPE[1])
    count = sum(sizes)
    try:
        stored = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except ValueError:
        raise UserError("face must be a token that /v1/faces gave, got something else") from None
    body = stored[4:]
    if len(body) != 48 + 4 * count or stored[:4] != _check(body):
        raise UserError("face must be a whole token that /v1/faces gave, got one that is cut or of another model")
    if body[:8] != bytes.fromhex(model_sha256)[:8]:
        raise UserError("face must be a token of the model that is served now: give the photograph again")
    numbers = np.frombuffer(body[48:], "<f4")
    if not np.isfinite(numbers).all():
        raise UserError("face must be a token of finite numbers")
    global_mu, regions, boxes, points = np.split(numbers, np.cumsum(sizes[:-1]))
    codes = Codes(global_mu, regions.reshape(len(REGIONS), region_dim), model_sha256)
    shape = None if points[0] == UNKNOWN else points.reshape(SHAPE)
    name = body[8:48].rstrip(b"\0").decode("ascii", "replace")
    return Face(name, boxes.reshape(6, 4), codes=codes, shape=shape)


class FaceFinder:
    """Photograph's bytes -> its faces, aligned, without a file format in between."""

    def __init__(self, weights: str, max_pixels: int) -> None:
        """Take the networks of a folder, those that ship where it has none ("" = all of them)."""
        self._rules, self._reader = CurateRules(max_pixels=max_pixels), FaceReader(weights, looks=False)
        # The networks behind OpenCV keep their input between calls; decoding needs no turn.
        self._one_at_a_time = threading.Lock()

    def find(self, data: bytes, keypoints: np.ndarray | None = None, which: str | int = SUBJECT) -> list[Face]:
        """Return the chosen face, or with `which` "all" every usable one; raise Rejected where there is none that can be used."""
        picture = codec.decode(data, self._rules.max_pixels)
        digest = hashlib.sha256(data).hexdigest()
        with self._one_at_a_time:
            found = self._reader.find(picture, HUMAN, keypoints)
            chosen = range(len(found)) if which == "all" else [0 if which == SUBJECT else int(which)]
            if not 0 <= chosen[0] < len(found):
                raise UserError(f"which must be from 0 to below the {len(found)} faces of the photograph, got {which}")
            made = [self._face(picture, found, number, digest) for number in chosen]
        faces = [one for one in made if isinstance(one, Face)]
        refused = [one for one in made if isinstance(one, Rejected)]
        if not faces:
            # Out of the lists: its traceback holds this frame, and the picture in it, which would hold it in turn.
            del made
            raise refused.pop(0)
        return faces

    def _face(self, picture: Picture, found: list[FoundFace], number: int, digest: str) -> Face | Rejected:
        face = self._reader.align(picture, HUMAN, found[number], len(found))
        if isinstance(face, Rejected):
            return face
        if refused := broken_bound(self._rules, face.quality, None):
            return refused
        box = tuple(float(v) for v in face.found.box)
        place = Place(number, len(found), (box[0], box[1], box[2], box[3]), float(face.found.score))
        name = f"{digest[:32]}-{number}"
        shape = None if face.landmarks is None else (face.landmarks + 0.5) / face.crop.shape[0]
        return Face(name, face.boxes, face.crop, None, face.keypoints, face.landmarks, shape, place)


def with_codes(face: Face, global_mu: np.ndarray, regions_mu: np.ndarray, model_sha256: str) -> Face:
    """Return the face with its codes."""
    return replace(face, codes=Codes(global_mu, regions_mu, model_sha256))
