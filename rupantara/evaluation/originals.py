"""The photographs' crops that generated pictures are measured against, found in the faces table by id."""

from collections.abc import Collection

import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.imaging import codec
from rupantara.storage import manifest, tables
from rupantara.types import Picture


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
        wanted = self._places.filter(schema.is_one_of("face_id", face_ids))
        found: dict[str, Picture] = {}
        for number in wanted["file"].unique().to_pylist():
            part = tables.read_file(self._uri, self._files[number], ("face_id", "image", "reject"))
            rows = schema.where_id(part, face_ids)
            found |= {row["face_id"]: codec.decode_jpeg(row["image"]) for row in rows.to_pylist()}
        return found
