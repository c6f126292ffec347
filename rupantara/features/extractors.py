"""What turns decoded faces into columns: one class an extractor, each with its own input, batch size and precision."""

import hashlib
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.errors import UserError
from rupantara.faces.arrays import to_images
from rupantara.faces.chips import arcface_chip, ffhq_chip
from rupantara.features import identity, region_features
from rupantara.features.extractor import Extractor, ExtractorNetworks, FaceBatch, Spec, decode
from rupantara.features.textures import Crops, Textures, mean_sha256
from rupantara.features.vggface_files import find_vggface, load_vggface, random_vggface
from rupantara.generation import loading
from rupantara.landmarks.regions import REGIONS
from rupantara.models import e4e, mobilefacenet, vggface
from rupantara.models.pretrained import load_embed
from rupantara.precision import in_bfloat16
from rupantara.storage import weights

__all__ = [
    "EXTRACTORS",
    "Extractor",
    "ExtractorNetworks",
    "FaceBatch",
    "Spec",
    "decode",
    "model_sha256",
    "parse",
    "run",
]

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
STORED = {"float32": pa.float32(), "float16": pa.float16()}


def parse(text: str) -> Spec:
    """Read `vggface:batch_size=16:precision=bf16`; raise UserError for a name, option or value that is not known."""
    name, *options = text.split(":")
    spec = Spec(name)
    if name not in EXTRACTORS:
        raise UserError(f"extractor must be one of {', '.join(EXTRACTORS)}, got {name!r}")
    for option in options:
        key, _, value = option.partition("=")
        known = {f.name for f in fields(Spec)} - ({"name"} if name in PICTURES else {"name", "size"})
        if key not in known:
            raise UserError(
                f"an extractor's options are batch_size, precision, store, seed (and size, of {' and '.join(PICTURES)}), got"
                f" {option!r} in {text!r}"
            )
        number = key in ("batch_size", "seed", "size")
        if number and not value.isdigit():
            raise UserError(f"{key} must be a whole number, got {value!r} in {text!r}")
        changed: dict[str, Any] = {key: int(value) if number else value}
        spec = replace(spec, **changed)
    if spec.precision not in DTYPES or spec.store not in STORED or spec.batch_size < 1 or spec.size < 32:
        raise UserError(
            f"precision is fp32 or bf16, store float32 or float16, batch_size at least 1, size at least 32, got {text!r}"
        )
    return spec


class RegionVAECodes:
    """The means of a region VAE's codes (`000_…`, III.B): `global_mu` and `regions_mu`."""

    domains: tuple[str, ...] = ("human", "animal")

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Load a checkpoint."""
        loaded = loading.load(source.checkpoint)
        self._model, self._spec = loaded.model.to(source.device), spec
        config, stored = loaded.model.config, STORED[spec.store]
        field = partial(schema.vector_field, model_sha256=loaded.codes_sha256, dtype=stored)
        self.columns = [
            field("global_mu", config.global_dim),
            field("regions_mu", len(REGIONS), config.region_dim),
        ]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Encode aligned crops with their part boxes."""
        device = next(self._model.parameters()).device
        images = to_images(faces.at(self._model.config.size)).to(device)
        with in_bfloat16(device.type, self._spec.precision == "bf16"):
            species = self._model.config.domain_index(faces.domains).to(device)
            found = self._model.encode(images, torch.from_numpy(faces.boxes).to(device), species)
        return [found.global_mu.float().cpu().numpy(), found.regions_mu.float().cpu().numpy()]


class ArcFace:
    """MobileFaceNet with ArcFace's own alignment: its identity vector `arcface`, 128-d, unit length, or `arcface_features`, 512-d.

    The features are the input of the network's last layer, which is linear, as the network gives it. Like VGG-Face's fc7, which `001_…`
    inverts, they hold more than the vector of what does not tell people apart: sex and age, say.
    """

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks, also: Sequence[Spec] = ()) -> None:
        """Load `mobilefacenet.npz`; `also` may name the other column, of the same precision, which then costs next to nothing."""
        self._dtype, self._names = DTYPES[spec.precision], [one.name for one in (spec, *also)]
        model = load_embed(source.weights)
        self._model, self._device = model.to(source.device, self._dtype), source.device
        self.columns = [self._column(one) for one in (spec, *also)]

    @staticmethod
    def _column(spec: Spec) -> pa.Field:
        dim = mobilefacenet.DIM if spec.name == IDENTITY else mobilefacenet.FEATURES_DIM
        digest, stored = weights.CATALOGUE["mobilefacenet"].sha256, STORED[spec.store]
        return schema.vector_field(spec.name, dim, model_sha256=digest, normalized=spec.name == IDENTITY, dtype=stored)

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Align each face to ArcFace's template and embed it."""
        pairs = zip(faces.pictures, faces.keypoints, strict=True)
        chips = np.stack([arcface_chip(picture, points) for picture, points in pairs])
        features = self._model.features(torch.from_numpy(chips).to(self._device).permute(0, 3, 1, 2).to(self._dtype))
        found = [self._model.identity(features) if name == IDENTITY else features for name in self._names]
        rows = [one.float().cpu().numpy() for one in found]
        return [unit(r) if name == IDENTITY else r for name, r in zip(self._names, rows, strict=True)]


def unit(rows: np.ndarray) -> np.ndarray:
    """Scale rows to unit length; a zero row stays zero."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


class VGGFaceEmbedding:
    """VGG-Face fc7 before its activation, 4096-d (`001_…`, section 3): `vggface`, as the network gives it."""

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Load one of the published files; with `vggface_random`, draw the weights from the seed."""
        self._dtype, self._device = DTYPES[spec.precision], source.device
        state = random_vggface(spec.seed) if spec.name == "vggface_random" else load_vggface(source.weights)
        model = vggface.build(state).to(source.device, self._dtype)
        for conv in model.children():
            if isinstance(conv, torch.nn.Conv2d):
                conv.weight = torch.nn.Parameter(conv.weight.contiguous(memory_format=torch.channels_last), False)
        self._model = model
        made = schema.vector_field(
            "vggface", vggface.DIM, model_sha256=model_sha256(spec, source), dtype=STORED[spec.store]
        )
        self.columns = [made]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Show the whole aligned crop, which VGG-Face's loose crops resemble, at 224 x 224."""
        pixels = torch.from_numpy(faces.at(vggface.SIDE)).to(self._device)
        images = pixels.permute(0, 3, 1, 2).to(self._dtype, memory_format=torch.channels_last)
        return [self._model(images).float().cpu().numpy()]


class E4E:
    """StyleGAN2's W+ by the e4e encoder (`002_…`, III.A): `e4e`, 18 x 512."""

    domains: tuple[str, ...] = ("human",)

    def __init__(self, spec: Spec, source: ExtractorNetworks) -> None:
        """Load `e4e_ffhq_encode.pt`."""
        data = torch.load(io.BytesIO(weights.load(source.weights, "e4e")), map_location="cpu", weights_only=True)
        self._dtype, self._device = DTYPES[spec.precision], source.device
        self._model = e4e.from_published(data["state_dict"], data["latent_avg"]).to(source.device, self._dtype)
        digest = model_sha256(spec, source)
        self.columns = [
            schema.vector_field("e4e", e4e.NUM_STYLES, e4e.DIM, model_sha256=digest, dtype=STORED[spec.store])
        ]

    def __call__(self, faces: FaceBatch) -> list[np.ndarray]:
        """Align each face as FFHQ's are and encode it."""
        pairs = zip(faces.pictures, faces.keypoints, strict=True)
        chips = np.stack([ffhq_chip(picture, points) for picture, points in pairs])
        return [self._model(to_images(chips).to(self._device, self._dtype)).float().cpu().numpy()]


IDENTITY, FEATURES = "arcface", "arcface_features"


def identity_vectors(spec: Spec, source: ExtractorNetworks) -> Extractor:
    """Make the extractor `identity`."""
    return identity.IdentityVectors(spec, source, STORED[spec.store])


EXTRACTORS: dict[str, Callable[[Spec, ExtractorNetworks], Extractor]] = {
    identity.NAME: identity_vectors,
    "region_vae": RegionVAECodes,
    IDENTITY: ArcFace,
    FEATURES: ArcFace,
    "vggface": VGGFaceEmbedding,
    "e4e": E4E,
    "vggface_random": VGGFaceEmbedding,
    **dict.fromkeys(region_features.NETWORKS, region_features.RegionFeatures),
    "texture": Textures,
    "crop": Crops,
}
PICTURES = ("texture", "crop")
"""Extractors whose columns are pictures of a size."""


def make(specs: Sequence[Spec], source: ExtractorNetworks) -> list[tuple[Extractor, int]]:
    """Load the extractors, each with its batch size; ArcFace's two columns of one precision share a pass through the network."""
    made: list[tuple[Extractor, int]] = []
    shared = [spec for spec in specs if spec.name in (IDENTITY, FEATURES)]
    shared = shared if len({spec.precision for spec in shared}) == 1 else []
    for spec in specs:
        if spec not in shared:
            made.append((EXTRACTORS[spec.name](spec, source), spec.batch_size))
        elif spec == shared[0]:
            made.append((ArcFace(spec, source, shared[1:]), spec.batch_size))
    return made


def model_sha256(spec: Spec, source: ExtractorNetworks) -> str:
    """Return what identifies an extractor's network, without loading it where possible."""
    if spec.name == "region_vae":
        return loading.codes_sha256(source.checkpoint)
    if spec.name in (IDENTITY, FEATURES):
        return hashlib.sha256(weights.load(source.weights, "mobilefacenet")).hexdigest()
    if spec.name == identity.NAME:
        return identity.model_sha256(source)
    if spec.name == "vggface":
        return hashlib.sha256(weights.load(source.weights, find_vggface(source.weights))).hexdigest()
    if spec.name == "e4e":
        return hashlib.sha256(weights.load(source.weights, "e4e")).hexdigest()
    if spec.name in region_features.NETWORKS:
        return region_features.model_sha256(spec, source)
    if spec.name == "texture":
        return mean_sha256(source.mean_landmarks)
    if spec.name == "crop":
        return ""
    return f"random weights of seed {spec.seed}"


def require(name: str, wanted: str, source: ExtractorNetworks) -> str:
    """Return the SHA-256 of the network that makes a column; UserError where it is not the wanted one."""
    found = model_sha256(Spec(name), source) if name in EXTRACTORS else ""
    if found != wanted:
        raise UserError(f"--photos needs the network that made {name} ({wanted[:12]}), got {found[:12] or 'none'}")
    return found


def run(extractor: Extractor, batch_size: int, faces: FaceBatch) -> list[pa.Array]:
    """Run one extractor over faces in batches; faces outside its domains get nulls."""
    wanted = [i for i, domain in enumerate(faces.domains) if domain in extractor.domains]
    found: list[list[np.ndarray]] = []
    with torch.inference_mode():
        for rows in batches(wanted, batch_size):
            found.append(extractor(faces.take(rows)))
    return [
        column(field, [part[i] for part in found], wanted, len(faces.domains))
        for i, field in enumerate(extractor.columns)
    ]


def not_finite(extractor: Extractor, columns: Sequence[pa.Array], domains: Sequence[str]) -> np.ndarray:
    """Tell of each row whether a vector that the extractor has to make of it is not there or not finite: bool [rows].

    Textures and their landmarks may be null: not all landmarks allow a warp.
    """
    odd = np.zeros(len(domains), bool)
    if isinstance(extractor, Textures):
        return odd
    concerned = np.isin(np.array(domains, object), extractor.domains)
    for made in columns:
        odd |= concerned & ~schema.is_whole(made)
    return odd


def column(field: pa.Field, parts: Sequence[np.ndarray], wanted: Sequence[int], count: int) -> pa.Array:
    """Put what batches gave for the `wanted` of `count` rows into a column, nulls elsewhere."""
    if pa.types.is_binary(field.type):
        values: list[bytes | None] = [None] * count
        for i, value in zip(wanted, (v for part in parts for v in part), strict=True):
            values[i] = value
        return pa.array(values, field.type)
    rows = np.full((count, field.type.list_size), np.nan, np.float32)
    if wanted:
        rows[wanted] = np.concatenate([part.reshape(-1, field.type.list_size) for part in parts])
    missing = np.asarray(np.isnan(rows).all(1))
    rows[missing] = 0
    return vectors(rows, missing, field)


def batches(rows: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """Cut rows into batches."""
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def vectors(values: np.ndarray, missing: np.ndarray, field: pa.Field) -> pa.Array:
    """Build a FixedSizeList column of the field's type with nulls where `missing`."""
    numbers = pa.array(values.ravel().astype(field.type.value_type.to_pandas_dtype()))
    mask = pa.array(missing) if missing.any() else None
    return pa.FixedSizeListArray.from_arrays(numbers, field.type.list_size, mask=mask)
