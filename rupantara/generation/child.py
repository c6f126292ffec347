"""Children of two parents (`002_…`): siblings by seed, dominance, edits, and surroundings from one place.

A child is f(z1, z2) of the parents' tokens. Siblings differ by a stated distribution: for each group of tokens (a region, a level) the
dominance moves by U(-v, v), and the code by v sqrt(1/2) times a draw of people's own covariance: within a family traits vary half as
much as among people (the infinitesimal model; Barton et al., 2017). v is the variation; at 0 there is one child. Parents whose pictures
and landmarks are known are carried to one shape first.
"""

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from rupantara.errors import Rejected, UserError
from rupantara.generation import edits as editing
from rupantara.generation import provenance
from rupantara.generation.child_loading import LoadedBlender
from rupantara.generation.edits import Edits
from rupantara.generation.face import BATCH, FaceCodes, FaceCrop, batches
from rupantara.generation.protocol import Generated, Record
from rupantara.generation.shared_shape import in_one_shape
from rupantara.imaging import codec as pictures
from rupantara.landmarks.crop import arcface_crop
from rupantara.losses.identity import Embed
from rupantara.models.codecs.region_vae import join
from rupantara.tensors import Images, PartBoxes, Tokens, to_images, to_pictures
from rupantara.types import Boxes

Surroundings = Literal["first", "second", "neutral"]
WITHIN_FAMILY = 0.5**0.5
"""Deviation of siblings about their parents' mean, of that among people."""


@dataclass(frozen=True)
class FaceTokens:
    """A face as standardized tokens [tokens, dim] of a codec, and boxes [6, 4]; `codec_sha256` names the codec's codes."""

    face_id: str
    tokens: np.ndarray
    boxes: Boxes
    codec_sha256: str


Parent = FaceCrop | FaceCodes | FaceTokens
Coded = tuple[Tensor, Tensor]
"""Standardized tokens [tokens, dim] and boxes [6, 4] of a face."""


@dataclass(frozen=True)
class ChildRequest:
    """Two parents, and what children of theirs are wanted: `siblings` of them, from number `sibling` on.

    `dominance` in [-1, 1], 1 = the first parent alone: one number or numbers by the codec's groups. `edits` are as `age=-20`;
    `age` is an age that all are shown at, `ages` are ages that the first of them is shown at beside. `surroundings` (hair, clothes,
    background, light) come from one parent, or from the mean of people ("neutral"). With `parents` the parents' own
    reconstructions come first.
    """

    first: Parent
    second: Parent
    siblings: int = 1
    sibling: int = 0
    seed: int = 0
    dominance: float | Mapping[str, float] = 0.0
    variation: float = 0.5
    edits: tuple[str, ...] = ()
    age: float | None = None
    ages: tuple[float, ...] = ()
    surroundings: Surroundings = "first"
    parents: bool = False

    def check(self) -> None:
        """Raise UserError for what could never be met."""
        if self.siblings < 1 or self.sibling < 0:
            raise UserError(f"siblings must be at least 1 and numbered from 0, got {self.siblings} from {self.sibling}")
        if not 0 <= self.variation <= 1:
            raise UserError(f"variation must be from 0 to 1, got {self.variation:g}")
        if self.surroundings not in get_args(Surroundings):
            raise UserError(f"surroundings must be of {', '.join(get_args(Surroundings))}, got {self.surroundings!r}")
        for text in self.edits:
            editing.parse(text)


@dataclass
class _Wanted:
    """A picture to be decoded: its tokens, boxes, record's parts and parents."""

    kind: str
    face_ids: tuple[str, ...]
    tokens: Tensor
    boxes: Tensor
    about: dict[str, Any]
    seed: int
    parents: tuple[Parent, ...] = field(default=())


class ChildGenerator:
    """Makes children with a trained blender."""

    kind = "child"

    def __init__(
        self, loaded: LoadedBlender, edits: Edits | None = None, embed: Embed | None = None, embed_sha256: str = ""
    ) -> None:
        """Take the networks; with `embed` each child's identity cosine to both parents is its score. UserError for edits of other codes."""
        if edits is not None:
            edits.demand(loaded.codec)
        self._loaded, self._edits, self._embed = loaded, edits, embed
        self._net, self._codec = loaded.net, loaded.codec
        hashes = [loaded.sha256, loaded.codec.sha256, edits.sha256 if edits else "", embed_sha256]
        self._sha256 = tuple(sha for sha in hashes if sha)

    @torch.inference_mode()
    def generate(self, requests: Sequence[ChildRequest]) -> list[list[Generated]]:
        """Return each request's children, in order; a child depends on its request alone, to rounding, not on the batch."""
        for request in requests:
            self._check(request)
        out: list[list[Generated]] = [[] for _ in requests]
        whole = {i: request for i, request in enumerate(requests) if request.first.face_id != request.second.face_id}
        faces: dict[Hashable, Parent] = {
            (i, n): face for i, one in whole.items() for n, face in enumerate(self._met(one))
        }
        faces |= {
            face.face_id: face
            for request in whole.values()
            for face in (request.first, request.second)
            if request.parents or (self._embed is not None and not isinstance(face, FaceCrop))
        }
        known = self._encoded(faces)
        wanted: list[tuple[int, _Wanted]] = []
        for i, request in enumerate(requests):
            if i not in whole:
                out[i] = [self._reject(request)]
                continue
            wanted += [(i, one) for one in self._family(request, known[i, 0], known[i, 1], known)]
        for part in batches(wanted):
            for (i, _), made in zip(part, self._made([one for _, one in part], known), strict=True):
                out[i].append(made)
        return out

    def _check(self, request: ChildRequest) -> None:
        request.check()
        self._codec.layout.weigh(request.dominance)
        names = [editing.parse(text)[0] for text in request.edits]
        names += ["age"] if request.age is not None or request.ages else []
        if names and self._edits is None:
            raise UserError("edits need a checkpoint of jobs.train_edits, none was given")
        for name in names:
            assert self._edits is not None
            self._edits.path(name)
        for face in (request.first, request.second):
            if isinstance(face, FaceTokens):
                self._codec.layout.demand(torch.from_numpy(np.asarray(face.tokens)))
                if face.codec_sha256 != self._codec.codes_sha256:
                    raise UserError(
                        f"tokens of {face.face_id} must be of {self._codec.layout.codec} {self._codec.codes_sha256[:12]}, got"
                        f" {face.codec_sha256[:12] or 'unknown'}: another codec's?"
                    )

    def _reject(self, request: ChildRequest) -> Generated:
        face_id = request.first.face_id
        record = self._record("child", (face_id, face_id), {"sibling": request.sibling}, request.seed, {})
        return Generated(record, reject=Rejected("child", "same_face", f"{face_id} is both parents"))

    def _met(self, request: ChildRequest) -> tuple[Parent, Parent]:
        """Return the parents as they are blended: photographs in one shape, so that a child has one outline."""
        if isinstance(request.first, FaceCrop) and isinstance(request.second, FaceCrop):
            share = float((1 + self._codec.layout.weigh(request.dominance).mean()) / 2)
            return in_one_shape(request.first, request.second, share)
        return request.first, request.second

    def _encoded(self, faces: Mapping[Hashable, Parent]) -> dict[Hashable, Coded]:
        """Return standardized tokens and boxes of each face, encoding the crops together."""
        out: dict[Hashable, Coded] = {}
        crops: dict[Hashable, FaceCrop] = {}
        for name, face in faces.items():
            boxes = torch.from_numpy(np.asarray(face.boxes, np.float32))
            if isinstance(face, FaceTokens):
                out[name] = torch.from_numpy(np.asarray(face.tokens, np.float32)), boxes
            elif isinstance(face, FaceCodes):
                raw = join(
                    *(torch.from_numpy(np.asarray(mu, np.float32))[None] for mu in (face.global_mu, face.regions_mu))
                )
                self._codec.layout.demand(raw)
                out[name] = self._codec.moments.standardize(raw)[0], boxes
            else:
                crops[name] = face
        for part in batches(list(crops.items())):
            boxes = torch.from_numpy(np.stack([np.asarray(crop.boxes, np.float32) for _, crop in part]))
            tokens = self._codec.encode(self._images([crop for _, crop in part]), boxes)
            out |= {name: (tokens[i], boxes[i]) for i, (name, _) in enumerate(part)}
        return out

    def _images(self, crops: Sequence[FaceCrop]) -> Images:
        return to_images(np.stack([pictures.resize(crop.picture, self._codec.side) for crop in crops]))

    def _family(
        self, request: ChildRequest, first: Coded, second: Coded, known: Mapping[Hashable, Coded]
    ) -> list[_Wanted]:
        """Lay out a request's pictures: the parents', if wanted, then the children of both codes."""
        both = (request.first, request.second)
        out = []
        if request.parents:
            ids = [face.face_id for face in both]
            for n, face in enumerate(both, 1):
                about = {"parent_of": ids, "parent": n}
                out.append(_Wanted("reconstruction", (face.face_id,), *known[face.face_id], about, request.seed))
        numbers = range(request.sibling, request.sibling + request.siblings)
        shown = [(request, number) for number in numbers]
        shown += [(replace(request, age=age), request.sibling) for age in request.ages]
        for asked, number in shown:
            out.append(self._laid(asked, number, first, second))
        return out

    def _laid(self, request: ChildRequest, number: int, first: Coded, second: Coded) -> _Wanted:
        """Lay out one child."""
        tokens, boxes, drawn = self._child(request, number, first, second)
        by_group = not isinstance(request.dominance, int | float)
        about = {
            "sibling": number,
            "dominance": dict(request.dominance) if by_group else request.dominance,
            "variation": request.variation,
            "surroundings": request.surroundings,
            "edits": list(request.edits),
            **({"age": request.age} if request.age is not None else {}),
            "dominance_drawn": drawn,
        }
        both = (request.first, request.second)
        ids = (request.first.face_id, request.second.face_id)
        return _Wanted("child", ids, tokens, boxes, about, request.seed, both)

    def _child(
        self, request: ChildRequest, number: int, one: Coded, other: Coded
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return a child's tokens, boxes and the dominance of each group."""
        (first, first_boxes), (second, second_boxes) = one, other
        ids = (request.first.face_id, request.second.face_id)
        rng = np.random.default_rng(seed_of(request.seed, number, ids))
        # What is drawn leans to the parent whose id comes first, so that exchanging the parents gives the same siblings.
        sign = 1.0 if ids[0] <= ids[1] else -1.0
        groups = self._codec.layout.groups
        asked = self._codec.layout.weigh(request.dominance)
        drawn = {name: sign * request.variation * rng.uniform(-1, 1) for name in groups}
        dominance = (asked + self._codec.layout.weigh(drawn)).clamp(-1, 1)
        child = self._net(first[None], second[None], dominance[None])
        scores = torch.from_numpy(rng.standard_normal(len(self._net.spread)).astype(np.float32))
        child = child + request.variation * WITHIN_FAMILY * torch.einsum("k,ktd->td", scores, self._net.spread)
        share = float((1 + asked.mean()) / 2)
        boxes = torch.lerp(second_boxes, first_boxes, share)[None]
        place = {"first": first[None], "second": second[None], "neutral": torch.zeros_like(first[None])}[
            request.surroundings
        ]
        child = self._codec.surround(child, place)
        child, boxes = self._edited(request, child, boxes, place)
        told = {name: round(float(dominance[list(rows)].mean()), 3) for name, rows in groups.items()}
        return child[0], boxes[0], told

    def _edited(
        self, request: ChildRequest, child: Tokens, boxes: PartBoxes, place: Tokens
    ) -> tuple[Tokens, PartBoxes]:
        """Edit a child; its surroundings age by the mean path alone, so that they stay those of the place."""
        if self._edits is None:
            return child, boxes
        changes: list[tuple[str, float | None, float | None]] = [(*editing.parse(text), None) for text in request.edits]
        if request.age is not None:
            changes.append(("age", None, request.age))
        for name, change, value in changes:
            path = self._edits.path(name)
            start = path.read(child)
            goal = path.goal(start, change, value)
            place, _ = path.move(place, boxes, start, goal, 1.0)
            child, boxes = path.move(child, boxes, start, goal)
            child = self._codec.surround(child, place)
        return child, boxes

    def _made(self, wanted: Sequence[_Wanted], known: Mapping[Hashable, Coded]) -> list[Generated]:
        """Decode at most BATCH pictures together."""
        assert len(wanted) <= BATCH
        images = self._codec.decode(torch.stack([w.tokens for w in wanted]), torch.stack([w.boxes for w in wanted]))
        scores = self._scores(wanted, images, known)
        rows = zip(wanted, to_pictures(images), scores, strict=True)
        return [Generated(self._record(w.kind, w.face_ids, w.about, w.seed, s), picture) for w, picture, s in rows]

    def _scores(
        self, wanted: Sequence[_Wanted], images: Images, known: Mapping[Hashable, Coded]
    ) -> list[dict[str, float]]:
        """Return the identity cosine of each child to both parents, by the picture where it is known, else as it is decoded."""
        if self._embed is None:
            return [{} for _ in wanted]
        faces = {face.face_id: face for one in wanted for face in one.parents}
        crops = [face for face in faces.values() if isinstance(face, FaceCrop)]
        others = [face for face in faces.values() if not isinstance(face, FaceCrop)]
        vectors: dict[str, Tensor] = {}
        for crop_part in batches(crops):
            found = self._vectors(self._images(crop_part))
            vectors |= {crop.face_id: found[i] for i, crop in enumerate(crop_part)}
        for part in batches(others):
            codes = [known[face.face_id] for face in part]
            found = self._vectors(self._codec.decode(*(torch.stack(list(x)) for x in zip(*codes, strict=True))))
            vectors |= {face.face_id: found[i] for i, face in enumerate(part)}
        own = self._vectors(images)
        names = ("identity_first", "identity_second")
        return [
            {name: float(own[i] @ vectors[face.face_id]) for name, face in zip(names, one.parents, strict=False)}
            for i, one in enumerate(wanted)
        ]

    def _vectors(self, images: Images) -> Tensor:
        assert self._embed is not None
        points = torch.tensor(self._codec.keypoints) * images.shape[-1]
        return F.normalize(self._embed(arcface_crop(images.clamp(-1, 1), points.expand(len(images), -1, -1))), dim=1)

    def _record(
        self, kind: str, face_ids: tuple[str, ...], about: dict[str, Any], seed: int, scores: dict[str, float]
    ) -> Record:
        return provenance.record(kind, face_ids, about, seed=seed, model_sha256=self._sha256, scores=scores)


def seed_of(seed: int, sibling: int, face_ids: Sequence[str]) -> int:
    """Mix a seed, a sibling's number and both parents, in either order, into 63 bits."""
    text = "/".join((str(seed), str(sibling), *sorted(face_ids)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
