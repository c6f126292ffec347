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

MARGIN, LOWER = 2.4, 0.1
"""Side of the square over the longer side of the box of the five keypoints, and how far below their middle it lies, in its sides.
So it is 1.1 times the longer side of the box of the 68 points, as the network wants it: medians over 9,000 people whose points PFLD
gave. A second look at the square of the answer changes nothing (0.108 and 0.111 of the eye distance from PFLD's on LFW)."""


class Locator(Protocol):
    """Photograph and a detected face -> its 68 points in pixels of the photograph."""

    def locate(self, picture: Picture, face: Detection) -> Landmarks:
        """Return the 68 points."""
        ...


class FaceApi68:
    """face-api's network, shown a square around the five keypoints."""

    def __init__(self, folder: str) -> None:
        """Load `face_landmark_68.safetensors` from a folder, or the shipped one."""
        self._network = dense_face.landmarks_from(weights.arrays(folder, "face_landmark_68"))

    def locate(self, picture: Picture, face: Detection) -> Landmarks:
        """Return the 68 points of one detected face in pixels of the photograph."""
        corner, side = square_around(face.keypoints, MARGIN)
        corner = corner + np.array([0.0, LOWER * side])
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
