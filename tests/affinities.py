"""Faces and a bank with a planted likeness, and affinity tables made of them in this process."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs import reverse_map
from rupantara import schema
from rupantara.bank import spaces
from rupantara.bank.reference_file import ReferenceFile
from rupantara.landmarks.regions import REGIONS
from rupantara.stages.affinity import MapAffinity, MapOptions
from tests.banks import SPECIES, bank_job, write_features

DIM = 12


def codes(seed: int, people: int = 60, each: int = 25, planted: float = 1.0) -> dict[str, np.ndarray]:
    """Return codes [n, 5, dim] of people and of three species; people's eyes are moved towards the fox's by `planted`."""
    rng = np.random.default_rng(seed)
    middles = {name: rng.normal(size=(5, DIM)) for name in (*SPECIES, "human")}
    middles["human"][0] += planted * middles["fox"][0]
    counts = dict.fromkeys(SPECIES, each) | {"human": people}
    return {name: (m + rng.normal(size=(counts[name], 5, DIM))).astype(np.float32) for name, m in middles.items()}


def reference_file(found: dict[str, np.ndarray], people: int = 20) -> ReferenceFile:
    """Return a reference of the species, and of people who are not among the mapped ones."""
    groups = {name: ([f"{name}{i}" for i in range(len(found[name]))], found[name]) for name in SPECIES}
    other = ([f"other{i}" for i in range(people)], found["human"][:people][::-1])
    fitted = spaces.fit({name: spaces.SpaceSums.update(one) for name, one in found.items()})
    return ReferenceFile(groups, {"people": other} if people else {}, "animal", {}, fitted)


def mapping(file: ReferenceFile, space: str = "pooled", top: int = 3) -> MapAffinity:
    """Return the stage of a space."""
    options = MapOptions(top, replicates=40)
    return MapAffinity(file.reference(space), file.spaces.space(space), "region_features", options)


def features_of(found: dict[str, np.ndarray], names: Sequence[str] = (*SPECIES, "human")) -> pa.Table:
    """Return the rows of a features table, all of the train split."""
    rows = np.concatenate([found[name] for name in names])
    ids = [f"{name}{i:03d}" for name in names for i in range(len(found[name]))]
    kinds = [name for name in names for _ in found[name]]
    domains = ["human" if kind == "human" else "animal" for kind in kinds]
    field = schema.vector_field("region_features", len(REGIONS), DIM, model_sha256="m" * 64)
    columns = [ids, domains, kinds, ["train"] * len(ids), schema.vector_array(rows)]
    return pa.table(columns, schema=schema.features([field]))


def write_faces_of(uri: Path, features: pa.Table) -> str:
    """Write a faces table without pictures: identities of two faces each, and a sex."""
    from rupantara.storage import manifest, tables
    from rupantara.storage.recipe import Recipe

    rows = []
    for number, row in enumerate(features.select(["face_id", "domain", "species", "split"]).to_pylist()):
        sex = [{"name": "sex", "value": "ab"[number % 2]}]
        rows.append({**row, "identity": f"who{number // 2}", "attributes": sex, "reject": None})
    running = manifest.begin(
        str(uri), "faces", Recipe("curate", 1), version=schema.version_of("faces"), overwrite=False
    )
    assert running is not None
    table = pa.Table.from_pylist(rows, schema=schema.FACES)
    tables.write_part(str(uri), running.fingerprint, 0, table, table.num_rows)
    tables.commit_parts(str(uri), running, 1, 0.0)
    return str(uri)


def affinity_job(root: Path, **flags: object) -> str:
    """Make features, faces, bank and affinity below `root`; `in_this_process` has to be called before."""
    features = features_of(codes(3))
    write_features(root / "features", features)
    faces = write_faces_of(root / "faces", features)
    bank_job(root / "bank", features=str(root / "features"), vectors="region_features", alignment="auto")
    options: dict = {"features": str(root / "features"), "faces": faces, "by": ("sex",), "cards": 0} | flags
    reverse_map.main(reverse_map.Config(bank=str(root / "bank"), affinity=str(root / "affinity"), **options))
    return str(root / "affinity")


def read_rows(affinity: str) -> pa.Table:
    """Read the table as any reader of Parquet does."""
    return pq.read_table(f"{affinity}/data")
