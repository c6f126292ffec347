"""What `curate` says at its end of a folder of which one species loses its pictures."""

import logging
from pathlib import Path

import numpy as np
import pytest

from jobs import curate
from rupantara.imaging.codec import encode_jpeg
from rupantara.synthetic import write_photographs
from tests.in_process import in_this_process

WALLS = 5


def test_a_species_that_loses_most_of_its_pictures_is_warned_of_with_the_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    in_this_process(monkeypatch)

    def put(path: str, data: bytes) -> None:
        (tmp_path / "photos" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / path).write_bytes(data)

    write_photographs(put, humans=1, per_species=0)
    for i in range(WALLS):
        put(f"animals/leopard/wall{i}.jpg", encode_jpeg(np.full((160, 160, 3), 90 + 20 * i, np.uint8)))
    with caplog.at_level(logging.INFO, logger="jobs"):
        curate.main(curate.Config(photos=str(tmp_path / "photos"), faces=str(tmp_path / "faces")))
    said = [record.message for record in caplog.records]
    assert said[-4:-1] == [
        "people: 2 accepted, 0 rejected",
        f"animals: 0 accepted, {WALLS} rejected (no_face {WALLS})",
        f"warning: leopard keeps 0 of {WALLS} rows (no_face {WALLS})",
    ]
