"""Faces where they are in a photograph: people by YuNet and 68 points, animals by `faces.animal_heads`; people told from animals."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from rupantara.errors import Rejected
from rupantara.faces.detector import Detection, YuNet, overlap
from rupantara.faces.known import SIX, check_known
from rupantara.faces.points68 import Locator, load_locator, name_of
from rupantara.landmarks.points import keypoints_from, keypoints_from_six
from rupantara.storage import weights
from rupantara.types import Keypoints, Landmarks, Picture, SixPoints

if TYPE_CHECKING:
    from rupantara.faces.animal_heads import AnimalHeads, Head
    from rupantara.faces.person import PersonJudge

PERSON = 0.0
"""Log-odds above which a face in an animal's photograph is a person's."""
SAME_FACE = 0.2
"""Least overlap of a person's box and an animal's, from which both are of one face."""
LOOKS = ("face_expression", "age_gender")
"""The catalogue's names of the networks of `faces.looks`."""
HIDDEN = 0.5
"""Probability to be seen below which an eye or the nose counts as hidden."""
PROFILE = 0.5
"""Probability of a profile from which a head counts as turned away."""
LEAST_SURE = 0.12
"""Least height of the heat maps of eyes and nose: below it their places are guesses."""
BESIDE_A_PERSON = 0.8
"""Least probability of an animal's head beside a person: in photographs of people alone, weaker ones are seen in hair and clothes."""
SURELY_A_PERSON = 0.925
"""YuNet's score from which a face in a person's photograph is not compared with animals; of 108 animals that it found, one had it."""
ANIMAL = 0.3
"""Probability of an animal's head from which such a face is an animal's, if the judge of people agrees: so 97 of 101
animals that YuNet found are told, and none of 300 people."""


@dataclass(frozen=True)
class FoundFace:
    """A face in a photograph, in its pixels: box (x, y, width, height), five keypoints, a person's 68 points or an animal's six."""

    box: np.ndarray
    keypoints: Keypoints
    score: float
    landmarks: Landmarks | None = None
    points: SixPoints | None = None
    sureness: float | None = None
    reject: Rejected | None = None


class FaceFinder:
    """Photograph -> the faces of one domain in it, the subject first."""

    def __init__(self, folder: str = "", *, judge_people: bool = True) -> None:
        """Load networks from a folder, or those that ship; each when it is first needed."""
        self._folder, self._judge_people = folder, judge_people

    def find(self, picture: Picture, domain: str, known: np.ndarray | None = None) -> list[FoundFace]:
        """Return the faces, or the known one; raise Rejected where there is none of this domain."""
        if known is not None:
            return [_known(known, picture)]
        return self._animals(picture) if domain == "animal" else self._people(picture)

    def _people(self, picture: Picture) -> list[FoundFace]:
        faces = self._yunet.detect(picture, "human")
        if not faces:
            raise Rejected("detect", "no_face")
        if faces[0].score < SURELY_A_PERSON:
            self._refuse_animal(picture, faces[0])
        return [FoundFace(f.box, f.keypoints, f.score, self._locator.locate(picture, f)) for f in faces]

    def _refuse_animal(self, picture: Picture, face: Detection) -> None:
        """Raise Rejected where the face that YuNet took for a person's is an animal's."""
        heads = self._heads.find(picture)
        over = [h for h in heads if overlap(h.box, face.box) > SAME_FACE / 2 and h.score >= ANIMAL]
        if over and self._person(picture, [face.keypoints])[0] <= PERSON:
            raise Rejected("detect", "animal", f"the face found is an animal's, score {over[0].score:.2f}")

    def _animals(self, picture: Picture) -> list[FoundFace]:
        heads = self._heads.find(picture)
        people = self._people_among(picture) if self._judge_people else []
        least = BESIDE_A_PERSON if people else 0.0
        kept = [h for h in heads if h.score >= least and not any(overlap(h.box, p.box) > SAME_FACE for p in people)]
        if not kept and people:
            raise Rejected("detect", "person", f"the face found is a person's, score {people[0].score:.2f}")
        if not kept:
            raise Rejected("detect", "no_face")
        return [found_of(head) for head in kept]

    def _people_among(self, picture: Picture) -> list[Detection]:
        """Return the faces of people, a dog's owner's say, in an animal's photograph."""
        faces = self._yunet.detect(picture, "human")
        odds = self._person(picture, [face.keypoints for face in faces]) if faces else []
        return [face for face, odd in zip(faces, odds, strict=True) if odd > PERSON]

    @cached_property
    def _yunet(self) -> YuNet:
        return YuNet(weights.load(self._folder, "yunet"))

    @cached_property
    def _locator(self) -> Locator:
        return load_locator(self._folder)

    @cached_property
    def _heads(self) -> "AnimalHeads":
        from rupantara.faces.animal_heads import AnimalHeads
        from rupantara.faces.animal_network import load_network

        return AnimalHeads(load_network(weights.load(self._folder, "animal_landmarks")))

    @cached_property
    def _person(self) -> "PersonJudge":
        from rupantara.faces.person import PersonJudge

        return PersonJudge(self._folder)


def found_of(head: "Head") -> FoundFace:
    """Turn a head into a found face; one that is turned away or unsure carries its reject."""
    points = head.points.copy()
    points[head.visible <= HIDDEN] = np.nan
    refused = None
    if head.view[-1] >= PROFILE:
        refused = Rejected("detect", "turned_away", f"a profile, probability {head.view[-1]:.2f}")
    elif np.isnan(points[:3]).any():
        refused = Rejected("detect", "turned_away", "an eye or the nose is hidden")
    elif head.sureness < LEAST_SURE:
        refused = Rejected("detect", "not_sure", f"eyes and nose are sure to {head.sureness:.2f}")
    whole = np.where(np.isnan(points[:4]), head.points[:4], points[:4])
    return FoundFace(head.box, keypoints_from_six(whole), head.score, None, points, head.sureness, refused)


def _known(points: np.ndarray, picture: Picture) -> FoundFace:
    check_known(points, picture)
    low, high = np.nanmin(points, 0), np.nanmax(points, 0)
    box = np.concatenate([low, high - low])
    if len(points) == SIX:
        return FoundFace(box, keypoints_from_six(points[:4]), 1.0, None, points, 1.0)
    return FoundFace(box, keypoints_from(points), 1.0, points if len(points) == 68 else None)


def networks_of(folder: str, *, people: bool, animals: bool, judge_people: bool) -> list[str]:
    """Return the catalogue's names of the networks that reading photographs of these domains uses."""
    from rupantara.faces.person import judge_name

    judged = people or (animals and judge_people)
    of_people = (name_of(folder), *LOOKS) if people else ()
    return ["yunet", *of_people, "animal_landmarks", *([judge_name(folder)] if judged else [])]
