"""How a person looks: expression, apparent age and sex, by face-api's networks, which ship. Estimates, marked as such in the table."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rupantara.faces.squares import cut, square_around
from rupantara.models import age_sex, dense_face
from rupantara.schema import EXPRESSIONS
from rupantara.storage import weights
from rupantara.types import Picture

MARGIN = 1.0
"""Side of the square over the longer side of the detector's box. On 240 people of UTKFace the age is 4.9 years off with it, 5.6 at 1.1 and
8.1 at 1.2; with the box of the 68 points, which are less steady, 5.4 at best. Expressions hardly depend on it."""


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
    """Photograph and the box (x, y, width, height) of a face -> `Look`."""

    def __init__(self, folder: str) -> None:
        """Load the networks from a folder, or the shipped ones."""
        self._expression = dense_face.expression_from(weights.arrays(folder, "face_expression"))
        self._age_sex = age_sex.from_published(weights.arrays(folder, "age_gender"))

    def __call__(self, picture: Picture, box: np.ndarray) -> Look:
        """Look at one face."""
        shown = cut(picture, *square_around(np.stack([box[:2], box[:2] + box[2:]]), MARGIN), dense_face.SIDE)
        images = torch.from_numpy(shown)[None].permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            expressions = self._expression(images).softmax(1)[0].numpy()
            age, sexes = self._age_sex(images)
        probabilities = sexes.softmax(1)[0].numpy()
        likelier = int(probabilities.argmax())
        return Look(expressions, max(float(age), 0.0), age_sex.SEXES[likelier], float(probabilities[likelier]))
