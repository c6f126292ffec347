"""Photograph to aligned faces with all that is measured of them: what `curate` writes as rows and an endpoint uses as it is."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.finder import FaceFinder, FoundFace
from rupantara.faces.measure import measure
from rupantara.landmarks import align
from rupantara.landmarks.regions import part_boxes
from rupantara.types import Boxes, Keypoints, Landmarks, Picture, SixPoints

if TYPE_CHECKING:
    from rupantara.faces.looks import Look, Looks


@dataclass(frozen=True)
class Face:
    """An aligned face; `found` is where it is in the photograph, the other points are in pixels of the crop."""

    found: FoundFace
    domain: str
    aligned: align.Aligned
    keypoints: Keypoints
    landmarks: Landmarks | None
    points: SixPoints | None
    quality: dict[str, float | None]
    look: "Look | None" = None

    @property
    def crop(self) -> Picture:
        """Return the aligned crop."""
        return self.aligned.crop

    @property
    def boxes(self) -> Boxes:
        """Return the part boxes as fractions of the crop."""
        return part_boxes(self.landmarks, self.domain, self.crop.shape[0], self.points)

    def columns(self) -> dict[str, Any]:
        """Return the values of this face's columns in a table of faces, but for the picture."""
        return {
            "keypoints": self.keypoints.ravel().tolist(),
            "landmarks": None if self.landmarks is None else self.landmarks.ravel().tolist(),
            "points": None if self.points is None else schema.named_points(self.points),
            "detector_score": self.found.score,
            "quality": self.quality,
            **(self.look.columns() if self.look else {}),
        }


class FaceReader:
    """Photograph -> faces. Networks come from a folder, or are those that ship, and are loaded when they are first needed."""

    def __init__(self, folder: str = "", size: int = 256, *, judge_people: bool = True, looks: bool = True) -> None:
        """Read crops of side `size`; with `judge_people`, faces of people in animals' photographs are left out.

        Without `looks` expression, age and sex are not estimated, which takes half of the time.
        """
        cv2.setNumThreads(1)
        self._folder, self._size, self._estimates = folder, size, looks
        self._finder = FaceFinder(folder, judge_people=judge_people)

    def read(self, picture: Picture, domain: str, known: np.ndarray | None = None) -> list[Face | Rejected]:
        """Return each face, the subject first, or why it cannot be used; raise Rejected where there is none of this domain.

        `known` are points in pixels of the photograph, [3, 5 or 68, 2], or an animal's [6, 2], NaN where hidden.
        """
        found = self.find(picture, domain, known)
        return [self.align(picture, domain, face, len(found)) for face in found]

    def find(self, picture: Picture, domain: str, known: np.ndarray | None = None) -> list[FoundFace]:
        """Find the faces; raise Rejected where there is none of this domain."""
        return self._finder.find(picture, domain, known)

    def align(self, picture: Picture, domain: str, found: FoundFace, num_faces: int) -> Face | Rejected:
        """Cut the crop of a found face and measure it, or say why it cannot be used."""
        if found.reject:
            return found.reject
        try:
            aligned = align.align(picture, found.keypoints, domain, self._size)
        except ValueError as error:
            return Rejected("align", "bad_keypoints", str(error))
        carried = [
            None if points is None else align.transform_points(points, aligned.transform)
            for points in (found.landmarks, found.points)
        ]
        keypoints = align.transform_points(found.keypoints, aligned.transform)
        measured = measure(aligned, found.keypoints, found.landmarks, found.points)
        measured |= {"num_faces": float(num_faces), "sureness": found.sureness}
        estimates = self._estimates and domain == "human" and found.landmarks is not None
        look = self._looks(picture, found.box) if estimates else None
        return Face(found, domain, aligned, keypoints, carried[0], carried[1], measured, look)

    @cached_property
    def _looks(self) -> "Looks":
        from rupantara.faces.looks import Looks

        return Looks(self._folder)
