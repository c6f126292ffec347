"""A sheet shows what its pictures were made from, and files of pictures are named after face and species."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rupantara import schema
from rupantara.imaging import codec
from rupantara.reports.generated import Sources, write_pngs, write_sheet
from rupantara.reports.grids import CAPTION_PX
from rupantara.types import Picture
from tests.drawn import face_row, write_faces, write_table

SIDE, GAP = 32, 2
RED, GREEN, BLUE, WHITE = (200, 0, 0), (0, 200, 0), (0, 0, 200), (255, 255, 255)


def flat(colour: tuple[int, int, int], height: int = 48, width: int = 48) -> Picture:
    return np.full((height, width, 3), colour, np.uint8)


def row(face_id: str, kind: str, species: str = "human", **told: Any) -> dict[str, Any]:
    image = codec.encode_png(flat(GREEN))
    common = {"request_id": f"{face_id[:1]}{kind}{species}".encode().hex()[:16], "parameters": json.dumps(told)}
    return {**common, "kind": kind, "species": species, "face_ids": [face_id], "image": image}


def generated(uri: Path, rows: list[dict[str, Any]]) -> str:
    return write_table(str(uri), "generated", [pa.Table.from_pylist(rows, schema=schema.GENERATED)])


def cells(sheet: str, columns: int) -> np.ndarray:
    """Return the colour in the middle of each cell, [rows, columns, 3]."""
    picture = codec.decode(Path(sheet).read_bytes()).astype(int)
    assert picture.shape[1] == columns * (SIDE + GAP)
    return picture[CAPTION_PX + SIDE // 2 :: SIDE + GAP, SIDE // 2 :: SIDE + GAP]


def near(found: np.ndarray, colours: list[tuple[int, int, int]]) -> None:
    np.testing.assert_allclose(found, np.array(colours), atol=4)


def test_inversions_of_photographs_stand_beside_their_photographs(tmp_path: Path) -> None:
    for name, picture in {"a.jpg": flat(RED, 40, 80), "b.png": flat(BLUE, 90, 30)}.items():
        (tmp_path / name).write_bytes(codec.encode_jpeg(picture) if name.endswith("jpg") else codec.encode_png(picture))
    rows = [row(f"{name[0]}-0", "inversion", uri=str(tmp_path / name)) for name in ("a.jpg", "b.png", "c.jpg")]
    sheet = write_sheet(generated(tmp_path / "made", rows), Sources(photographs=True), 12, SIDE)
    shown = cells(sheet, 2)
    near(shown[:, 0], [RED, BLUE, WHITE])
    near(shown[:, 1], [GREEN] * 3)


@pytest.mark.parametrize("table", ["faces", "features"])
def test_each_row_begins_with_its_source_and_none_is_left_out(table: str, tmp_path: Path) -> None:
    colours = {"h0": RED, "h2": BLUE}
    pictures = {face: codec.encode_jpeg(flat(colour)) for face, colour in colours.items()}
    if table == "faces":
        made = [face_row(face, "human", 0, image=data) for face, data in pictures.items()]
        sources = Sources(faces=write_faces(str(tmp_path / "faces"), made))
    else:
        field = pa.field("crop", pa.binary())
        columns = [list(pictures), ["human"] * 2, ["human"] * 2, ["test"] * 2, list(pictures.values())]
        rows = pa.table(columns, schema=schema.features([field]))
        sources = Sources(features=write_table(str(tmp_path / "features"), "features", [rows]))
    # The second face has no source any more, and the third lacks the last column.
    hybrids = [row(face, "hybrid", species) for face in ("h0", "h1", "h2") for species in ("cat", "fox")][:-1]
    shown = cells(write_sheet(generated(tmp_path / "made", hybrids), sources, 12, SIDE), 3)
    near(shown[:, 0], [RED, WHITE, BLUE])
    near(shown[:, 1], [GREEN] * 3)
    near(shown[:, 2], [GREEN, GREEN, WHITE])


def test_files_are_named_after_face_and_species_and_take_the_place_of_older_ones(tmp_path: Path) -> None:
    rows = [row("h0", "hybrid", "snow leopard"), row("h0", "reconstruction"), row("h1", "hybrid", "fox")]
    made = generated(tmp_path / "made", rows)
    (tmp_path / "made/png").mkdir()
    (tmp_path / "made/png/old.png").write_bytes(b"old")
    assert write_pngs(made) == 3
    names = sorted(path.name for path in (tmp_path / "made/png").iterdir())
    wanted = {"h0_snow_leopard": rows[0], "h0_reconstruction": rows[1], "h1_fox": rows[2]}
    assert names == sorted(f"{stem}_{one['request_id'][:8]}.png" for stem, one in wanted.items())
    for stem, one in wanted.items():
        assert (tmp_path / f"made/png/{stem}_{one['request_id'][:8]}.png").read_bytes() == one["image"]
