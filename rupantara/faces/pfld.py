"""PFLD: 68 landmarks of a human face (Guo et al., "PFLD: A Practical Facial Landmark Detector", 2019)."""

import cv2
import numpy as np

from rupantara.faces.detector import Detection
from rupantara.types import Landmarks, Picture

SIDE = 112
"""Input side of the network."""

BOX_FACTOR = 1.2
"""Side of the square shown to the network over the longer side of the detector's box, as it was trained."""


class PFLD:
    """The ONNX network through OpenCV's DNN module."""

    def __init__(self, onnx: bytes) -> None:
        """Load the network from the bytes of `pfld.onnx`."""
        self._net = cv2.dnn.readNetFromONNX(np.frombuffer(onnx, np.uint8))

    def locate(self, picture: Picture, face: Detection) -> Landmarks:
        """Return the 68 points of one detected face in pixels of the photograph."""
        x, y, width, height = face.box
        side = BOX_FACTOR * float(max(width, height))
        left, top = x + width / 2 - side / 2, y + height / 2 - side / 2
        scale = SIDE / side
        shift = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
        shown = cv2.warpAffine(picture, shift, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        self._net.setInput(cv2.dnn.blobFromImage(shown, 1 / 255.0))
        points = self._net.forward().reshape(68, 2)
        return (points * side + (left, top)).astype(np.float32)
