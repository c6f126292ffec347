"""The photographs' crops that generated pictures are measured against, found in the faces table by id."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.storage import manifest, tables
from rupantara.types import Keypoints, Picture


class Original(NamedTuple):
    """The crop of a face, and its five keypoints in pixels of it."""

    picture: Picture
    keypoints: Keypoints

    def keypoints_at(self, side: int) -> Keypoints:
        """Return the keypoints in pixels of the crop at another side."""
        scale = side / self.picture.shape[0]
        return ((self.keypoints + 0.5) * scale - 0.5).astype(np.float32)


class Originals:
    """Accepted faces of a table by id; only the ids are held, and only the files that hold a wanted face are read."""

    def __init__(self, faces: str) -> None:
        """Read the table's ids."""
        self._uri = faces
        self._files = [file.path for file in manifest.require(faces, "faces").data]
        columns = [tables.read_file(faces, path, ("face_id",)) for path in self._files]
        numbers = np.repeat(np.arange(len(columns)), [column.num_rows for column in columns])
        self._places = pa.concat_tables(columns).append_column("file", pa.array(numbers))

    def __call__(self, face_ids: Collection[str]) -> dict[str, Picture]:
        """Return the crops of these faces; those that the table has not, or rejected, are left out."""
        rows = self._rows(face_ids, ("face_id", "image", "reject"))
        return {row["face_id"]: codec.decode_jpeg(row["image"]) for row in rows}

    def with_keypoints(self, face_ids: Collection[str]) -> dict[str, Original]:
        """Return the same with their keypoints."""
        rows = self._rows(face_ids, ("face_id", "image", "keypoints", "reject"))
        return {
            row["face_id"]: Original(
                codec.decode_jpeg(row["image"]), np.array(row["keypoints"], np.float32).reshape(5, 2)
            )
            for row in rows
        }

    def _rows(self, face_ids: Collection[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
        wanted = self._places.filter(schema.is_one_of("face_id", face_ids))
        for number in wanted["file"].unique().to_pylist():
            part = tables.read_file(self._uri, self._files[number], columns)
            yield from schema.where_id(part, face_ids).to_pylist()
