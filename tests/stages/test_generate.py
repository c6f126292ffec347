"""A part's pictures do not depend on how many are encoded and decoded at a time, and memory does not grow with the part."""

import io
from functools import partial

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from rupantara import schema
from rupantara.bank.alignment import Alignment
from rupantara.bank.hits import Hits
from rupantara.bank.index import BankIndex
from rupantara.bank.rows import bank_rows
from rupantara.faces.arrays import load, to_pictures
from rupantara.generation import hybrid, loading
from rupantara.generation.hybrid import Mixing
from rupantara.landmarks.regions import REGIONS
from rupantara.stages import generate
from rupantara.stages.extract import encode
from rupantara.stages.generate import NEAREST, GenerateHybrids
from rupantara.types import Vectors
from tests.drawn import CONFIG, SIDE, face_row, tiny_model, write_model

HUMANS = pa.Table.from_pylist([face_row(f"h{i}", "human", i) for i in range(7)], schema=schema.FACES)


class InProcess:
    """A bank in this process, of codes as they are."""

    alignment = Alignment.identity(CONFIG.region_dim)

    def __init__(self) -> None:
        codes = np.random.default_rng(0).normal(size=(8, len(REGIONS), CONFIG.region_dim)).astype(np.float32)
        table = {"face_id": [f"a{i}" for i in range(8)], "species": ["cat", "dog"] * 4}
        rows = pa.table(table | {"regions_mu": schema.vector_array(codes)})
        self._index = BankIndex(bank_rows(rows, schema.bank(CONFIG.region_dim, ""), self.alignment))

    def search(self, queries: Vectors, region: str, k: int, species: str = "") -> Hits:
        return self._index.search(queries, region, k, species)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_model(str(tmp_path_factory.mktemp("generate") / "model"), tiny_model())


def stage_of(checkpoint: str) -> GenerateHybrids:
    chosen = frozenset(HUMANS["face_id"].to_pylist())
    return GenerateHybrids(
        checkpoint, InProcess(), ("cat", NEAREST), Mixing(), chosen, available=("cat", "dog"), threads=1
    )


def pictures(table: pa.Table) -> np.ndarray:
    return np.stack([np.asarray(Image.open(io.BytesIO(image))) for image in table["image"].to_pylist()]).astype(int)


@pytest.mark.parametrize(("batch", "chunk"), [(1, 2), (3, 7), (7, 3)])
def test_rows_are_the_same_whatever_is_decoded_at_a_time(checkpoint: str, monkeypatch, batch: int, chunk: int) -> None:
    whole = stage_of(checkpoint)(HUMANS)
    assert whole["face_ids"].to_pylist() == [[f"h{i}"] for i in range(7)] * 3
    monkeypatch.setattr(generate, "BATCH", batch)
    monkeypatch.setattr(generate, "CHUNK_ROWS", chunk)
    parts = stage_of(checkpoint)(HUMANS)
    columns = [name for name in parts.column_names if name not in ("image", "scores")]
    assert parts.select(columns).equals(whole.select(columns))
    # A level of 8 bits where a sum in another order falls on the other side of a half.
    assert np.abs(pictures(parts) - pictures(whole)).max() <= 1


def test_pictures_are_those_of_one_decoding_of_all(checkpoint: str) -> None:
    table = stage_of(checkpoint)(HUMANS)
    loaded, faces = loading.load(checkpoint), load(HUMANS, SIDE)
    decoded = hybrid.decode(loaded.model, *encode(loaded, faces), faces.boxes)
    assert np.abs(pictures(table)[:7] - to_pictures(decoded)).max() <= 1


def test_no_more_than_a_batch_is_decoded_and_no_more_than_a_chunk_loaded(checkpoint: str, monkeypatch) -> None:
    sizes: dict[str, list[int]] = {"decode": [], "load": []}

    def counted(name: str, real, *arguments: object) -> object:
        sizes[name].append(len(arguments[1]) if name == "decode" else arguments[0].num_rows)
        return real(*arguments)

    monkeypatch.setattr(generate, "BATCH", 2)
    monkeypatch.setattr(generate, "CHUNK_ROWS", 4)
    monkeypatch.setattr(hybrid, "decode", partial(counted, "decode", hybrid.decode))
    monkeypatch.setattr(generate, "load", partial(counted, "load", generate.load))
    stage_of(checkpoint)(HUMANS)
    assert sizes == {"decode": [2, 2, 2, 1] * 3, "load": [4, 3]}
