"""Epochs are logged as JSON lines and as TensorBoard events that the format's own reader finds whole."""

import json
import struct
from pathlib import Path

import pytest
from tensorboardX.crc32c import crc32c
from tensorboardX.proto.event_pb2 import Event

from jobs.runtime.training import logs, progress
from rupantara.errors import UserError

HISTORY = [
    {"epoch": 0, "images": 320, "loss": 0.5, "val_human_psnr": 21.25},
    {"epoch": 1, "images": 640, "loss": 0.25, "val_human_psnr": 23.5, "critic": 1.75},
]


def masked(data: bytes) -> int:
    """TFRecord's checksum."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def events(path: Path) -> list[Event]:
    """Read TFRecords: length, its checksum, the event, its checksum."""
    data, out = path.read_bytes(), []
    while data:
        length, check = struct.unpack("<QI", data[:12])
        body, tail = data[12 : 12 + length], data[12 + length : 16 + length]
        assert check == masked(data[:8]) and struct.unpack("<I", tail)[0] == masked(body)
        out.append(Event.FromString(body))
        data = data[16 + length :]
    return out


def test_tensorboard_finds_every_scalar_at_its_images(tmp_path: Path) -> None:
    logs.write(str(tmp_path), HISTORY)
    found = events(tmp_path / logs.EVENTS)
    assert found[0].file_version == "brain.Event:2"
    scalars = {(v.tag, event.step): v.simple_value for event in found for v in event.summary.value}
    expected = {(name, row["images"]): value for row in HISTORY for name, value in row.items()}
    assert scalars == pytest.approx(expected)


def test_lines_are_rows_and_each_epoch_writes_them_all_anew(tmp_path: Path) -> None:
    logs.write(str(tmp_path), HISTORY[:1])
    logs.write(str(tmp_path), HISTORY)
    rows = [json.loads(line) for line in (tmp_path / logs.LOG).read_text().splitlines()]
    assert rows == HISTORY
    steps = [event.step for event in events(tmp_path / logs.EVENTS) if event.summary.value]
    assert sorted(set(steps)) == [320, 640] and len(steps) == 4 + 5
    assert len(list((tmp_path / "tensorboard").iterdir())) == 1


def test_mlflow_that_is_not_installed_is_named_before_anything_runs(monkeypatch) -> None:
    monkeypatch.setattr(logs.importlib.util, "find_spec", lambda name: None)
    logs.check("")
    with pytest.raises(UserError, match=r"--mlflow http://there needs the package mlflow: pip install"):
        logs.check("http://there")


@pytest.mark.parametrize("before", [[], [30.0], [30.0, 29.0], [20.0]], ids=["new", "overwritten", "as many", "resumed"])
def test_the_last_epochs_are_said_though_the_training_is_over_and_those_of_before_are_not(
    before, tmp_path, caplog
) -> None:
    def write(values: list[float]) -> None:
        rows = ({"epoch": epoch, "val_face_landmark_mse": value} for epoch, value in enumerate(values))
        (tmp_path / "log.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))

    write(before)
    with caplog.at_level("INFO", logger="jobs"), progress.following(str(tmp_path)):
        write([20.0, 19.0])
    expected = ["epoch 1: validation landmarks 20.0 px²", "epoch 2: validation landmarks 19.0 px²"]
    assert [record.message for record in caplog.records] == (expected[1:] if before == [20.0] else expected)
