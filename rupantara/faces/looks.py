"""How a person looks: expression, apparent age and sex, by face-api's networks, which ship. Estimates, marked as such in the table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rupantara.faces.squares import cut, square_around
from rupantara.models import age_sex, dense_face
from rupantara.schema import EXPRESSIONS
from rupantara.storage import weights
from rupantara.types import Landmarks, Picture

MARGIN = 1.1
"""Side of the square over the longer side of the box of the 68 points; at 1.5 the age is half as far off again."""


@dataclass(frozen=True)
class Look:
    """Probabilities of `schema.EXPRESSIONS`, age in years, the likelier sex and its probability."""

    expressions: np.ndarray
    age: float
    sex: str
    sex_probability: float

    def columns(self) -> dict[str, dict[str, Any]]:
        """Return the values of the columns `expressions` and `estimated`."""
        return {
            "expressions": dict(zip(EXPRESSIONS, (float(p) for p in self.expressions), strict=True)),
            "estimated": {"age": self.age, "sex": self.sex, "sex_probability": self.sex_probability},
        }


class Looks:
    """Photograph and the 68 points of a face -> `Look`."""

    def __init__(self, folder: str) -> None:
        """Load the networks from a folder, or the shipped ones."""
        self._expression = dense_face.expression_from(weights.arrays(folder, "face_expression"))
        self._age_sex = age_sex.from_published(weights.arrays(folder, "age_gender"))

    def __call__(self, picture: Picture, landmarks: Landmarks) -> Look:
        """Look at one face."""
        shown = cut(picture, *square_around(landmarks, MARGIN), dense_face.SIDE)
        images = torch.from_numpy(shown)[None].permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            expressions = self._expression(images).softmax(1)[0].numpy()
            age, sexes = self._age_sex(images)
        probabilities = sexes.softmax(1)[0].numpy()
        likelier = int(probabilities.argmax())
        return Look(expressions, max(float(age), 0.0), age_sex.SEXES[likelier], float(probabilities[likelier]))
