"""Small tables and checkpoints for tests that need no job: drawn faces, and networks of a few thousand weights."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import torch

from rupantara import schema
from rupantara.generation import loading
from rupantara.imaging import codec
from rupantara.models.region_vae import RegionVAE, RegionVAEConfig
from rupantara.storage import checkpoints, manifest, tables
from rupantara.storage.recipe import Recipe
from rupantara.synthetic import draw_face

SIDE = 32
CONFIG = RegionVAEConfig(
    size=SIDE,
    channels=(8, 16, 16, 16),
    decoder_channels=(8, 16, 16, 16),
    global_dim=16,
    region_dim=8,
    region_side=12,
    region_encoder_channels=(8, 16, 16),
    region_channels=8,
    species=("cat", "dog"),
    species_dim=4,
    base_side=SIDE,
    base_rank=16,
    region_base_side=12,
    region_base_rank=8,
)
"""Its linear path sees whole pictures, so that alone it can be exact."""


def face_row(face_id: str, species: str, identity: int, split: str = "train", **other: Any) -> dict[str, Any]:
    """Draw a row of the faces table; equal identities are equal pictures."""
    face = draw_face(species, identity, size=64)
    row = {
        "face_id": face_id,
        "domain": face.domain,
        "species": species,
        "identity": f"{species}/{face_id}",
        "image": codec.encode_jpeg(face.image, 95),
        "keypoints": face.keypoints.ravel().tolist(),
        "landmarks": None if face.landmarks is None else face.landmarks.ravel().tolist(),
        "quality": {"yaw": 0.0},
        "split": split,
        "reject": None,
    }
    return row | other


def write_table(uri: str, kind: str, parts: list[pa.Table], recipe: Recipe | None = None, **extra: Any) -> str:
    """Write a complete table of these parts."""
    running = manifest.begin(uri, kind, recipe or Recipe("test", 1), version=schema.version_of(kind), overwrite=False)
    assert running is not None
    for index, part in enumerate(parts):
        tables.write_part(uri, running.fingerprint, index, part, part.num_rows)
    tables.commit_parts(uri, running, len(parts), 0.0, **extra)
    return uri


def write_faces(uri: str, rows: list[dict[str, Any]], recipe: Recipe | None = None) -> str:
    """Write a faces table of two files."""
    half = len(rows) // 2
    parts = [pa.Table.from_pylist(part, schema=schema.FACES) for part in (rows[:half], rows[half:])]
    return write_table(uri, "faces", parts, recipe)


def tiny_model(seed: int = 0, **changes: Any) -> RegionVAE:
    """Build a network with random weights, small enough that float32 sums do not matter."""
    torch.manual_seed(seed)
    return RegionVAE(replace(CONFIG, **changes)).eval().requires_grad_(False)


def write_model(uri: str, model: RegionVAE, tensors: dict[str, torch.Tensor] | None = None) -> str:
    """Write a complete checkpoint as jobs.train_vae and jobs.pack do."""
    running = manifest.begin(uri, loading.MODEL_TYPE, Recipe("test", 1), version=schema.VERSION, overwrite=False)
    assert running is not None
    files, digest = checkpoints.write(uri, loading.config_dict(model.config), tensors or model.state_dict(), "a card")
    done = replace(running, state="complete", files=tuple(files), extra={"model_sha256": digest})
    manifest.commit(uri, done, running)
    return uri
