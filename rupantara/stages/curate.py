"""Photographs to faces: decode, find, align, measure; every failure is a row with its reason."""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.faces.detector import Detection, YuNet
from rupantara.faces.measure import measure
from rupantara.faces.paths import DEFAULT_RULES, Origin, origin
from rupantara.faces.pfld import PFLD
from rupantara.imaging import codec
from rupantara.landmarks import align as alignment
from rupantara.landmarks.points import keypoints_from
from rupantara.storage import uris, weights
from rupantara.types import Picture

if TYPE_CHECKING:
    from rupantara.faces.person import PersonJudge

READ_THREADS = 8
PERSON = 0.0
"""Log-odds above which a face in an animal's photograph is a person's."""
SURE_BESIDE_PEOPLE = 0.55
"""Detector's score from which another face beside a person is taken for the animal's: below it, most are hands and patterns."""
SURE = 0.7
"""The same where the detector is told to go on, after the person's face had ended its search."""


@dataclass(frozen=True)
class CurateRules:
    """Everything about curation that decides rows."""

    rules: tuple[str, ...] = DEFAULT_RULES
    size: int = 256
    max_pixels: int = codec.MAX_PIXELS
    min_interocular_px: float = 16.0
    min_coverage: float = 0.35
    min_sharpness: float = 0.0
    min_brightness: float = 15.0
    max_brightness: float = 245.0
    min_chroma: float = 0.0
    max_yaw: float = 60.0
    max_pitch: float = 60.0
    max_roll: float = 180.0
    max_expression: float = 100.0
    several_faces: str = "subject"
    people_among_animals: str = "keep"
    license: str = "unknown"
    split_percent: tuple[int, int, int] = (80, 10, 10)
    jpeg_quality: int = 95
    seed: int = 0


@dataclass
class Face:
    """One face on its way to a row."""

    keypoints: np.ndarray
    landmarks: np.ndarray | None
    score: float
    aligned: alignment.Aligned
    quality: dict[str, float | None] = field(default_factory=dict)


SEVERAL_FACES = ("subject", "all", "reject")
"""What becomes of a photograph with several faces: its subject is kept, or each face that passes, or none."""


def load_known_keypoints(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Read `[{"file": path, "points": [[x, y], …]}, …]` with 3 (eyes, nose), 5 or 68 points a picture."""
    try:
        known = {row["file"]: np.array(row["points"], np.float32) for row in json.loads(data)}
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{name} must be a JSON list of {{file, points}}: {error!r}") from error
    for file, points in known.items():
        if points.shape not in ((3, 2), (5, 2), (68, 2)):
            raise UserError(f"{name}: points of {file} must be [3, 2], [5, 2] or [68, 2], got {list(points.shape)}")
    return known


def split_of(identity: str, percent: tuple[int, int, int], seed: int) -> str:
    """Put an identity into train, val or test by its hash, so that no person is in two of them."""
    bucket = int.from_bytes(hashlib.sha256(f"{seed}/{identity}".encode()).digest()[:8], "big") % sum(percent)
    return schema.SPLITS[int(np.searchsorted(np.cumsum(percent), bucket, side="right"))]


@dataclass(frozen=True)
class Found:
    """A face in a photograph: its keypoints, and the 68 points if they were given."""

    detection: Detection
    points: np.ndarray | None
    detected: bool


def shown_path(path: bytes) -> str:
    """Return a path as text; a name that is not UTF-8 cannot stand in an Arrow string: its odd bytes are shown as escapes."""
    return path.decode("utf-8", "backslashreplace")


def shown_uri(photos: str, path: bytes) -> str:
    """Return the `uri` of a photograph's row."""
    return uris.join(photos, shown_path(path))


class CuratePhotos:
    """Batch of `schema.PHOTOS` -> batch of `schema.FACES`: one row a photograph (its subject), or one a face."""

    def __init__(
        self, photos: str, rules: CurateRules, weights_folder: str | None, known: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Load the networks from a folder (without one only pictures with known keypoints can be aligned)."""
        cv2.setNumThreads(1)
        self._photos, self._rules, self._known = photos, rules, known or {}
        self._yunet = YuNet(weights.load(weights_folder, "yunet")) if weights_folder else None
        self._pfld = PFLD(weights.load(weights_folder, "pfld")) if weights_folder else None
        self._judge_from = weights_folder if rules.people_among_animals == "reject" else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Curate each photograph of the batch."""
        paths = [os.fsdecode(path) for path in batch["path"].to_pylist()]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            contents = list(pool.map(self._read, paths))
        rows = [row for path, data in zip(paths, contents, strict=True) for row in self._rows(path, data)]
        # With --several-faces all, a photograph may come to several rows: each is counted in, so that in = accepted + rejected.
        counted = {schema.ROWS_IN: str(len(rows)).encode()}
        return pa.Table.from_pylist(rows, schema=schema.FACES).replace_schema_metadata(counted)

    def one(self, data: bytes, points: np.ndarray | None = None, path: str = "upload") -> dict[str, Any]:
        """Curate the bytes of one human's photograph; `points` are known keypoints [3, 5 or 68, 2]."""
        return self._rows(path, data, points)[0]

    def _read(self, path: str) -> bytes | Rejected:
        try:
            return uris.read_bytes(uris.join(self._photos, path))
        except (OSError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | ValueError)
            if not gone and not uris.is_local(self._photos):
                # The network or the store, not the photograph: the part is tried again.
                raise
            return Rejected("read", "unreadable", " ".join(str(error).split())[:200])

    def _rows(self, path: str, data: bytes | Rejected, points: np.ndarray | None = None) -> list[dict[str, Any]]:
        shown = shown_path(os.fsencode(path))
        digest = hashlib.sha256(shown.encode() if isinstance(data, Rejected) else data or shown.encode()).hexdigest()
        row: dict[str, Any] = {"face_id": f"{digest[:32]}-0", "uri": uris.join(self._photos, shown), "sha256": digest}
        row |= {"license": self._rules.license, "parents": [], "reject": None}
        try:
            if isinstance(data, Rejected):
                row["sha256"] = None
                raise data
            source = origin(shown, self._rules.rules)
            if source is None:
                raise Rejected("path", "no_rule", shown)
            row |= self._origin_columns(source, digest)
            picture = codec.decode(data, self._rules.max_pixels)
            found = self._find(picture, source, self._known.get(path) if points is None else points)
        except Rejected as reason:
            return [row | {"reject": reason.as_row()}]
        if len(found) > 1 and self._rules.several_faces == "reject":
            return [row | {"reject": Rejected("detect", "several_faces", f"{len(found)} faces").as_row()}]
        kept = found if self._rules.several_faces == "all" else found[:1]
        return [self._face_row(row, i, picture, source, face, len(found)) for i, face in enumerate(kept)]

    def _origin_columns(self, source: Origin, digest: str) -> dict[str, Any]:
        identity = f"{source.species}/{source.identity or digest[:32]}"
        split = split_of(identity, self._rules.split_percent, self._rules.seed)
        columns = {"domain": source.domain, "species": source.species, "identity": identity, "split": split}
        attributes = [{"name": name, "value": value} for name, value in source.attributes.items()]
        return {**columns, "attributes": attributes}

    def _face_row(
        self, row: dict[str, Any], number: int, picture: Picture, source: Origin, found: Found, num_faces: int
    ) -> dict[str, Any]:
        """Finish the row of one face; the path's identity and attributes are the subject's, others are unknown people."""
        digest = row["sha256"]
        if number:
            stranger = Origin(source.domain, source.species, f"{digest[:32]}-{number}")
            # Of one photograph all faces share the split: their pixels overlap.
            columns = {**self._origin_columns(stranger, digest), "split": row["split"]}
            row = {**row, "face_id": f"{digest[:32]}-{number}", **columns}
        try:
            face = self._face(picture, source, found, num_faces)
        except Rejected as reason:
            return row | {"reject": reason.as_row()}
        return row | self._face_columns(face) | {"reject": self._judge(face)}

    def _face(self, picture: Picture, source: Origin, found: Found, num_faces: int) -> Face:
        detection = found.detection
        points = found.points
        if points is None and source.domain == "human" and self._pfld is not None and found.detected:
            points = self._pfld.locate(picture, detection)
        aligned = self._align(picture, detection.keypoints, source.domain)
        landmarks = None if points is None else alignment.transform_points(points, aligned.transform)
        keypoints = alignment.transform_points(detection.keypoints, aligned.transform)
        measured = measure(aligned, detection.keypoints, points)
        return Face(keypoints, landmarks, detection.score, aligned, measured | {"num_faces": float(num_faces)})

    def _align(self, picture: Picture, keypoints: np.ndarray, domain: str) -> alignment.Aligned:
        try:
            return alignment.align(picture, keypoints, domain, self._rules.size)
        except ValueError as error:
            raise Rejected("align", "bad_keypoints", str(error)) from error

    def _find(self, picture: Picture, source: Origin, known: np.ndarray | None) -> list[Found]:
        """Return the faces, the subject first: the known one, else the networks'."""
        if known is not None:
            _check_known(known, picture)
            box = np.concatenate([known.min(0), np.ptp(known, axis=0)])
            points = known if len(known) == 68 else None
            return [Found(Detection(box, keypoints_from(known), 1.0), points, detected=False)]
        if self._yunet is None or self._pfld is None:
            raise Rejected("detect", "no_detector", "no known keypoints, and no --weights to find a face with")
        faces = self._yunet.detect(picture, source.domain)
        if not faces:
            raise Rejected("detect", "no_face")
        if source.domain == "animal" and self._judge_from:
            faces = self._without_people(picture, faces)
        return [Found(face, None, detected=True) for face in faces]

    def _without_people(self, picture: Picture, faces: list[Detection]) -> list[Detection]:
        """Drop the faces of people, a dog's owner's say, from those found in an animal's photograph."""
        most = self._odds(picture, faces).max()
        if most <= PERSON:
            return faces
        assert self._yunet is not None
        kept = self._no_people(picture, faces, SURE_BESIDE_PEOPLE)
        kept = kept or self._no_people(picture, self._yunet.detect(picture, "animal", thorough=True), SURE)
        if not kept:
            raise Rejected("detect", "person", f"the face found is a person's, log-odds {most:.2g}")
        return kept

    def _no_people(self, picture: Picture, faces: list[Detection], least: float) -> list[Detection]:
        sure = [face for face in faces if face.score >= least]
        return [face for face, odds in zip(sure, self._odds(picture, sure), strict=True) if odds <= PERSON]

    def _odds(self, picture: Picture, faces: list[Detection]) -> np.ndarray:
        return self._person(picture, [face.keypoints for face in faces])

    @cached_property
    def _person(self) -> "PersonJudge":
        # It brings torch with it, which photographs of people do without.
        from rupantara.faces.person import PersonJudge

        assert self._judge_from is not None
        return PersonJudge(self._judge_from)

    def _face_columns(self, face: Face) -> dict[str, Any]:
        return {
            "image": codec.encode_jpeg(face.aligned.crop, self._rules.jpeg_quality),
            "keypoints": face.keypoints.ravel().tolist(),
            "landmarks": None if face.landmarks is None else face.landmarks.ravel().tolist(),
            "detector_score": face.score,
            "quality": face.quality,
        }

    def _judge(self, face: Face) -> dict[str, str] | None:
        """Return why a found face is rejected, by the first bound that it breaks."""
        rules, measured = self._rules, face.quality
        bounds = (
            ("interocular_px", "too_small", rules.min_interocular_px, None),
            ("coverage", "out_of_frame", rules.min_coverage, None),
            ("brightness", "too_dark", rules.min_brightness, None),
            ("brightness", "too_bright", None, rules.max_brightness),
            ("chroma", "monochrome", rules.min_chroma, None),
            ("sharpness", "blurred", rules.min_sharpness, None),
            ("yaw", "turned_away", -rules.max_yaw, rules.max_yaw),
            ("pitch", "tilted", -rules.max_pitch, rules.max_pitch),
            ("roll", "rolled", -rules.max_roll, rules.max_roll),
            ("expression", "not_neutral", None, rules.max_expression),
        )
        for name, reason, low, high in bounds:
            value = measured[name]
            if value is not None and ((low is not None and value < low) or (high is not None and value > high)):
                rule = f"below {low:g}" if low is not None and value < low else f"above {high:g}"
                return Rejected("quality", reason, f"{name} {value:.4g} is {rule}").as_row()
        return None


def _check_known(points: np.ndarray, picture: Picture) -> None:
    """Raise Rejected for known points that cannot be a face's in this picture."""
    height, width = picture.shape[:2]
    if not np.isfinite(points).all() or (np.abs(points) > 4 * max(height, width)).any():
        raise Rejected("detect", "bad_keypoints", f"known points lie outside the {width} x {height} picture")
    distance = alignment.interocular(keypoints_from(points))
    if not 1.0 <= distance <= 2 * max(height, width):
        raise Rejected("detect", "bad_keypoints", f"the known eyes are {distance:.3g} px apart")
