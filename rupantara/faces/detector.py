"""YuNet: faces and their five keypoints (Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", 2023)."""

from dataclasses import dataclass
from threading import Lock

import cv2
import numpy as np

from rupantara.landmarks.align import interocular
from rupantara.types import Keypoints, Picture


@dataclass(frozen=True)
class Detection:
    """One face: box (x, y, width, height) and keypoints in pixels of the photograph, score 0..1."""

    box: np.ndarray
    keypoints: Keypoints
    score: float


@dataclass(frozen=True)
class Search:
    """How to look: longest sides at which the photograph is shown to the network, lowest score, border as a share.

    Sides are tried in turn until a face is found whose score, weighted by its size, is at least `sure`.
    """

    sides: tuple[int, ...]
    threshold: float
    border: float
    check_geometry: bool
    sure: float = 0.7


SEARCHES = {
    "human": Search(sides=(320,), threshold=0.6, border=0.125, check_geometry=False),
    "animal": Search(sides=(256, 416, 640), threshold=0.3, border=0.0, check_geometry=True),
}
"""Measured on the shared photographs. Animals need three scales: no single one finds all species (tigers and cats only at
640, large heads only at 256), and at 0.3 what is found must also look like a face's five points."""


LOG_LEVEL = Lock()
"""Held while OpenCV's log level, which is the process's, is another."""


class YuNet:
    """The ONNX network behind `cv2.FaceDetectorYN`."""

    def __init__(self, onnx: bytes) -> None:
        """Load the network from the bytes of `yunet_n_dynamic.onnx`."""
        lowest = min(search.threshold for search in SEARCHES.values())
        buffers = (np.frombuffer(onnx, np.uint8), np.empty(0, np.uint8))
        # OpenCV 5 warns that this network runs on the CPU, as it always does.
        with LOG_LEVEL:
            before = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
            try:
                self._net = cv2.FaceDetectorYN.create("onnx", *buffers, (320, 320), lowest, 0.3, 100)
            finally:
                cv2.utils.logging.setLogLevel(before)

    def detect(self, picture: Picture, domain: str, *, thorough: bool = False) -> list[Detection]:
        """Find all faces, the photograph's subject first: by score, size and nearness to the centre.

        `thorough` looks at every side of the search, also after a sure face.
        """
        search = SEARCHES[domain]
        height, width = picture.shape[:2]
        pad = round(max(height, width) * search.border)
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        padded = cv2.copyMakeBorder(bgr, pad, pad, pad, pad, cv2.BORDER_REPLICATE)
        found: list[Detection] = []
        for side in search.sides:
            seen = self._at_side(padded, side, pad, search.threshold)
            found += [d for d in seen if not search.check_geometry or looks_like_a_face(d.keypoints)]
            if not thorough and any(d.score * _size_weight(d, min(height, width)) >= search.sure for d in found):
                break
        return distinct(sorted(found, key=lambda d: -d.score * _subject_weight(d, height, width)))

    def _at_side(self, bgr: np.ndarray, side: int, pad: int, threshold: float) -> list[Detection]:
        scale = side / max(bgr.shape[:2])
        size = tuple(max(1, round(length * scale)) for length in bgr.shape[1::-1])
        shown = cv2.resize(bgr, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
        self._net.setInputSize(size)
        _, rows = self._net.detect(shown)
        factor = np.array([bgr.shape[1] / size[0], bgr.shape[0] / size[1]], np.float32)
        return [_detection(row, factor, pad) for row in ([] if rows is None else rows) if row[14] >= threshold]


def distinct(found: list[Detection], most_overlap: float = 0.4) -> list[Detection]:
    """Drop a face that overlaps a better one (intersection over union): several scales find the same face again."""
    kept: list[Detection] = []
    for face in found:
        if all(overlap(face.box, other.box) <= most_overlap for other in kept):
            kept.append(face)
    return kept


def overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Return the intersection over union of two boxes (x, y, width, height)."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[:2] + first[2:], second[:2] + second[2:])
    shared = float(np.prod(np.clip(high - low, 0, None)))
    return shared / max(float(first[2] * first[3] + second[2] * second[3]) - shared, 1e-9)


def _detection(row: np.ndarray, factor: np.ndarray, pad: int) -> Detection:
    box = np.concatenate([row[:2] * factor - pad, row[2:4] * factor]).astype(np.float32)
    return Detection(box, (row[4:14].reshape(5, 2) * factor - pad).astype(np.float32), float(row[14]))


def _size_weight(found: Detection, side: int) -> float:
    """Prefer large faces: the square root of the eye distance, full from 0.3 of the photograph's shorter side on."""
    return min(1.0, interocular(found.keypoints) / (0.3 * side)) ** 0.5


def _subject_weight(found: Detection, height: int, width: int) -> float:
    """Prefer large faces near the centre: half the weight at 0.4 of the shorter side away from it.

    Measured on LFW, whose label is the central person's: by score and size alone, 12 of 2,739 crops showed a neighbour.
    """
    centre = found.box[:2] + found.box[2:] / 2 - np.array([width, height]) / 2
    away = float(np.hypot(*centre)) / (0.4 * min(height, width))
    return _size_weight(found, min(height, width)) * 0.5 ** (away**2)


def looks_like_a_face(keypoints: Keypoints) -> bool:
    """Check that eyes, nose and mouth lie as in an upright face: what a low score threshold lets through often does not."""
    distance = max(interocular(keypoints), 1e-6)
    right = (keypoints[1] - keypoints[0]) / distance
    down = np.array([-right[1], right[0]])
    eyes = (keypoints[0] + keypoints[1]) / 2
    nose, mouth = keypoints[2] - eyes, (keypoints[3] + keypoints[4]) / 2 - eyes
    nose_down, mouth_down = nose @ down / distance, mouth @ down / distance
    level = right[0] > 0.8
    below = 0.6 < mouth_down < 2.2 and 0.2 < nose_down < 1.1 * mouth_down
    return bool(level and below and max(abs(nose @ right), abs(mouth @ right)) < 0.5 * distance)
