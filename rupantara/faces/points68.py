"""68 landmarks of a person's face: by PFLD where a folder gives it, else by face-api's network, which ships."""

from typing import Protocol

import numpy as np
import torch

from rupantara.faces.detector import Detection
from rupantara.faces.pfld import PFLD
from rupantara.faces.squares import cut, square_around
from rupantara.models import dense_face
from rupantara.storage import weights
from rupantara.types import Landmarks, Picture

MARGIN = 1.1
"""Side of the square over the longer side of the points' box (see the weights' README: margins matter)."""
FROM_KEYPOINTS = 2.05
"""The first square over the longer side of the box of the five keypoints; the median over LFW that leads to MARGIN."""
LOWER = 0.0
"""How far below the keypoints' middle the first square lies, in its sides."""
LOOKS = 2


class Locator(Protocol):
    """Photograph and a detected face -> its 68 points in pixels of the photograph."""

    def locate(self, picture: Picture, face: Detection) -> Landmarks:
        """Return the 68 points."""
        ...


class FaceApi68:
    """face-api's network, shown first what the five keypoints bound, then what its own first answer bounds."""

    def __init__(self, folder: str) -> None:
        """Load `face_landmark_68.safetensors` from a folder, or the shipped one."""
        self._network = dense_face.landmarks_from(weights.arrays(folder, "face_landmark_68"))

    def locate(self, picture: Picture, face: Detection) -> Landmarks:
        """Return the 68 points of one detected face in pixels of the photograph."""
        corner, side = square_around(face.keypoints, FROM_KEYPOINTS)
        corner = corner + (0.0, LOWER * side)
        points = self._look(picture, corner, side)
        for _ in range(LOOKS - 1):
            points = self._look(picture, *square_around(points, MARGIN))
        return points

    def _look(self, picture: Picture, corner: np.ndarray, side: float) -> Landmarks:
        shown = cut(picture, corner, side, dense_face.SIDE)
        with torch.inference_mode():
            found = self._network(torch.from_numpy(shown)[None].permute(0, 3, 1, 2).float())
        return (found.view(dense_face.NUM_LANDMARKS, 2).numpy() * side + corner).astype(np.float32)


def load_locator(folder: str) -> Locator:
    """Load PFLD from a folder that has it, else the network that ships."""
    return PFLD(weights.load(folder, "pfld")) if weights.has(folder, "pfld") else FaceApi68(folder)


def name_of(folder: str) -> str:
    """Return the catalogue's name of what `load_locator` loads."""
    return "pfld" if weights.has(folder, "pfld") else "face_landmark_68"
