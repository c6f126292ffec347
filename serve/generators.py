"""Generators whose pictures come from one checkpoint: each behind its own queue, so that several models are never in one batch."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from rupantara.errors import MissingError, UserError
from rupantara.features import extractors
from rupantara.features.extractor import ExtractorNetworks, FaceBatch, Spec
from rupantara.generation import child_loading, decoder_loading, edits, zoo_loading
from rupantara.generation.child import ChildGenerator, ChildRequest, FaceTokens
from rupantara.generation.face import FaceCodes, FaceCrop
from rupantara.generation.inversion import InversionGenerator, InversionRequest
from rupantara.generation.protocol import Generated
from rupantara.generation.variation import Mode, VariationGenerator, VariationRequest
from rupantara.landmarks.align import TEMPLATES
from rupantara.landmarks.regions import part_boxes
from rupantara.storage import checkpoints
from serve.config import Config
from serve.faces import Face
from serve.hybrids import codes_of, crop_of

Ask = TypeVar("Ask", contravariant=True)


class Maker(Protocol[Ask]):
    """What a deployment of pictures holds."""

    def __init__(self, checkpoint: str, config: Config) -> None:
        """Load a checkpoint."""
        ...

    @staticmethod
    def digest(checkpoint: str) -> Any:
        """Return the `model_sha256` of the checkpoint that lies there now."""
        ...

    def about(self) -> dict[str, Any]:
        """Return what /v1/models tells, `model_sha256` among it."""
        ...

    def trial(self) -> Any:
        """Return a request to warm up with."""
        ...

    def generate(self, asked: Sequence[Ask]) -> list[list[Generated]]:
        """Make pictures for each request."""
        ...


@dataclass(frozen=True)
class VariationAsk:
    """A face and how it is varied; in mode `prior` no face."""

    face: Face | None
    count: int
    mode: Mode
    noise: float
    seed: int


class VariationMaker:
    """A VAE of the zoo."""

    def __init__(self, checkpoint: str, config: Config) -> None:
        """Load the network."""
        torch.set_num_threads(config.scale_of("variations").threads)
        self._loaded = zoo_loading.load(checkpoint)
        self._generator = VariationGenerator(self._loaded)

    @staticmethod
    def digest(checkpoint: str) -> str:
        """Return the SHA-256 of the weights that lie there now."""
        return checkpoints.model_sha256(checkpoint, zoo_loading.MODEL_TYPE)

    def about(self) -> dict[str, Any]:
        """Return what /v1/models tells."""
        return {"kind": self._loaded.model.config.name, "model_sha256": self._loaded.sha256}

    def trial(self) -> VariationAsk:
        """Return a request to warm up with."""
        return VariationAsk(grey(64), 1, "posterior", 0.1, 0)

    def generate(self, asked: Sequence[VariationAsk]) -> list[list[Generated]]:
        """Vary each face."""
        rows = [
            VariationRequest(None if a.face is None else crop_of(a.face), a.count, a.mode, a.noise, a.seed)
            for a in asked
        ]
        return self._generator.generate(rows)


@dataclass(frozen=True)
class InversionAsk:
    """A face, or the vector that an identity network made of one."""

    face: Face | None
    vector: np.ndarray | None = None
    seed: int = 0


class InversionMaker:
    """The decoders of one kind of vectors, and, where its weights are there, the network that makes them of photographs."""

    def __init__(self, checkpoint: str, config: Config) -> None:
        """Load the networks."""
        torch.set_num_threads(config.scale_of("inversions").threads)
        self._loaded = decoder_loading.load_face(checkpoint)
        self._generator = InversionGenerator(self._loaded)
        self._dim = self._loaded.config.texture.input_dim
        self._extract = None
        with contextlib.suppress(MissingError):
            specs = [Spec(self._generator.vector)]
            self._extract = extractors.make(specs, ExtractorNetworks(weights=config.weights))[0][0]

    @staticmethod
    def digest(checkpoint: str) -> list[str]:
        """Return the SHA-256 of the weights that lie there now."""
        parts = decoder_loading.parts_of(checkpoint)
        return [checkpoints.model_sha256(parts[p], decoder_loading.MODEL_TYPE) for p in ("landmarks", "texture")]

    def about(self) -> dict[str, Any]:
        """Return what /v1/models tells."""
        told = {"vector": self._generator.vector, "dim": self._dim, "of_photographs": self._extract is not None}
        return told | {"model_sha256": list(self._loaded.sha256)}

    def trial(self) -> InversionAsk:
        """Return a request to warm up with: a vector like those that the decoders were trained on."""
        standardize = self._loaded.model.texture.standardize
        noise = np.random.default_rng(0).standard_normal(self._dim)
        return InversionAsk(None, (standardize.mean.numpy() + standardize.spread.numpy() * noise).astype(np.float32))

    def generate(self, asked: Sequence[InversionAsk]) -> list[list[Generated]]:
        """Decode each vector, or the vector of each face: the face first, then its texture."""
        rows = [InversionRequest(self._name(one), self._vector(one), one.seed) for one in asked]
        return [list(reversed(made)) for made in self._generator.generate(rows)]

    def _name(self, asked: InversionAsk) -> str:
        return "vector" if asked.face is None else asked.face.face_id

    @torch.inference_mode()
    def _vector(self, asked: InversionAsk) -> np.ndarray:
        if asked.face is None:
            assert asked.vector is not None
            return asked.vector
        face = asked.face
        if self._extract is None:
            raise UserError("photographs need the network of their vectors: this server has none, give a vector")
        crop = crop_of(face).picture
        # A decoded face stands where aligned ones do.
        points = np.array(TEMPLATES["human"], np.float32) * len(crop) if face.keypoints is None else face.keypoints
        decoded = FaceBatch([crop], points[None], face.boxes[None], ["human"], [face.landmarks])
        return np.array(self._extract(decoded)[0][0], np.float32)


@dataclass(frozen=True)
class ChildAsk:
    """Two encoded parents, and the rest of `ChildRequest`."""

    first: Face | FaceTokens
    second: Face | FaceTokens
    wanted: Mapping[str, Any]


class ChildMaker:
    """A blender over the codes of the region VAE, and its edits where there are some."""

    def __init__(self, checkpoint: str, config: Config) -> None:
        """Load the networks."""
        torch.set_num_threads(config.scale_of("children").threads)
        self._loaded = child_loading.load(checkpoint, config.checkpoint)
        self._edits = edits.load(config.edits) if config.edits else None
        self._generator = ChildGenerator(self._loaded, self._edits)

    @staticmethod
    def digest(checkpoint: str) -> str:
        """Return the SHA-256 of the weights that lie there now."""
        return checkpoints.model_sha256(checkpoint, child_loading.MODEL_TYPE)

    def about(self) -> dict[str, Any]:
        """Return what /v1/models tells."""
        told = {"model_sha256": self._loaded.sha256, "codec_sha256": self._loaded.codec.codes_sha256}
        return told | {"groups": list(self._loaded.codec.layout.groups), "ages": self._edits is not None}

    def trial(self) -> ChildAsk:
        """Return a request to warm up with: two people at the mean."""
        layout, mean = self._loaded.codec.layout, self._loaded.net.mean.numpy()
        boxes = part_boxes(None, "human", 256)
        tokens = [FaceTokens(name, np.zeros_like(mean), boxes, self._loaded.codec.codes_sha256) for name in ("a", "b")]
        assert mean.shape == (layout.tokens, layout.dim)
        return ChildAsk(tokens[0], tokens[1], {})

    def generate(self, asked: Sequence[ChildAsk]) -> list[list[Generated]]:
        """Make each pair's children."""
        return self._generator.generate([ChildRequest(_parent(a.first), _parent(a.second), **a.wanted) for a in asked])


def _parent(face: Face | FaceTokens) -> FaceCrop | FaceCodes | FaceTokens:
    """Return a parent by its picture where its landmarks are known (then both are carried to one shape), else by its codes."""
    if isinstance(face, FaceTokens):
        return face
    return codes_of(face) if face.crop is None or face.landmarks is None else crop_of(face)


def grey(side: int) -> Face:
    """Return a grey face, to warm up with."""
    return Face("blank-0", part_boxes(None, "human", side), np.full((side, side, 3), 128, np.uint8))


MAKERS: dict[str, type[Maker[Any]]] = {
    "variations": VariationMaker,
    "inversions": InversionMaker,
    "children": ChildMaker,
}
"""Kind of deployment -> what it holds; built with the checkpoint and the configuration."""
