"""Files that a folder of photographs really holds: broken, odd, huge, mislabelled and sound ones."""

from pathlib import Path

from tests.hostile.broken import broken
from tests.hostile.craft import png, zero_rows
from tests.hostile.huge import huge
from tests.hostile.metadata import metadata
from tests.hostile.mislabelled import mislabelled
from tests.hostile.names import make_places, named
from tests.hostile.pictures import FACE, encoded, exif_jpeg, turned
from tests.hostile.sound import sound
from tests.hostile.truncated import truncated

__all__ = ["FACE", "UNSEEN", "encoded", "exif_jpeg", "png", "turned", "write_hostile_files", "zero_rows"]

UNSEEN = "unseen/"
"""Below it lies damage that no reader of the format can see: what is accepted there may show anything."""


def write_hostile_files(folder: Path) -> dict[str, set[str]]:
    """Write the files; return relative path -> allowed outcomes ("accepted" or a reject reason)."""
    files = {**sound(), **metadata(), **truncated(), **broken(), **mislabelled(), **huge(), **named()}
    for name, (data, _) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return {name: allowed for name, (_, allowed) in files.items()} | make_places(folder)
