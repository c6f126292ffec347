"""Photographs to faces: decode, find, align, measure; every failure is a row with its reason."""

import hashlib
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.errors import Rejected
from rupantara.faces.known import load_known_keypoints
from rupantara.faces.paths import Origin, origin
from rupantara.faces.reader import FaceReader
from rupantara.faces.rules import SEVERAL_FACES, CurateRules, broken_bound, split_of
from rupantara.imaging import codec
from rupantara.storage import uris
from rupantara.types import Picture

__all__ = [
    "SEVERAL_FACES",
    "CuratePhotos",
    "CurateRules",
    "load_known_keypoints",
    "shown_path",
    "shown_uri",
    "split_of",
]

READ_THREADS = 8


def shown_path(path: bytes) -> str:
    """Return a path as text; a name that is not UTF-8 cannot stand in an Arrow string: its odd bytes are shown as escapes."""
    return path.decode("utf-8", "backslashreplace")


def shown_uri(photos: str, path: bytes) -> str:
    """Return the `uri` of a photograph's row."""
    return uris.join(photos, shown_path(path))


class CuratePhotos:
    """Batch of `schema.PHOTOS` -> batch of `schema.FACES`: one row a photograph (its subject), or one a face."""

    def __init__(
        self, photos: str, rules: CurateRules, weights_folder: str | None, known: Mapping[str, np.ndarray] | None = None
    ) -> None:
        """Take networks from a folder, else those that ship; `known` are points by path."""
        # Networks of one small picture are faster alone, and workers share the machine's cores.
        torch.set_num_threads(1)
        self._photos, self._rules, self._known = photos, rules, known or {}
        judge = rules.people_among_animals == "reject"
        self._reader = FaceReader(weights_folder or "", rules.size, judge_people=judge)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Curate each photograph of the batch."""
        paths = [os.fsdecode(path) for path in batch["path"].to_pylist()]
        with ThreadPoolExecutor(READ_THREADS) as pool:
            contents = list(pool.map(self._read, paths))
        rows = [row for path, data in zip(paths, contents, strict=True) for row in self._rows(path, data)]
        # With --several-faces all, a photograph may come to several rows: each is counted in, so that in = accepted + rejected.
        counted = {schema.ROWS_IN: str(len(rows)).encode()}
        return pa.Table.from_pylist(rows, schema=schema.FACES).replace_schema_metadata(counted)

    def one(self, data: bytes, points: np.ndarray | None = None, path: str = "upload") -> dict[str, Any]:
        """Curate the bytes of one photograph, a person's by default; `points` are known, [3, 5, 6 or 68, 2]."""
        return self._rows(path, data, points)[0]

    def _read(self, path: str) -> bytes | Rejected:
        try:
            return uris.read_bytes(uris.join(self._photos, path), self._rules.max_bytes)
        except uris.TooLargeError:
            return Rejected("read", "too_large", f"the file is over {self._rules.max_bytes} bytes")
        except (OSError, ValueError) as error:
            gone = isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | ValueError)
            if not gone and not uris.is_local(self._photos):
                # The network or the store, not the photograph: the part is tried again.
                raise
            return Rejected("read", "unreadable", " ".join(str(error).split())[:200])

    def _rows(self, path: str, data: bytes | Rejected, points: np.ndarray | None = None) -> list[dict[str, Any]]:
        shown = shown_path(os.fsencode(path))
        digest = hashlib.sha256(shown.encode() if isinstance(data, Rejected) else data or shown.encode()).hexdigest()
        row: dict[str, Any] = {"face_id": f"{digest[:32]}-0", "uri": uris.join(self._photos, shown), "sha256": digest}
        row |= {"license": self._rules.license, "parents": [], "reject": None}
        try:
            if isinstance(data, Rejected):
                row["sha256"] = None
                raise data
            source = origin(shown, self._rules.rules)
            if source is None:
                raise Rejected("path", "no_rule", shown)
            row |= self._origin_columns(source, digest)
            picture, remark = codec.read(data, self._rules.max_pixels)
            if remark:
                row["attributes"] = [*row["attributes"], {"name": "remark", "value": remark}]
            found = self._reader.find(picture, source.domain, self._known.get(path) if points is None else points)
        except Rejected as reason:
            return [row | {"reject": reason.as_row()}]
        if len(found) > 1 and self._rules.several_faces == "reject":
            return [row | {"reject": Rejected("detect", "several_faces", f"{len(found)} faces").as_row()}]
        kept = found if self._rules.several_faces == "all" else found[:1]
        named = [self._named(row, i, source) for i in range(len(kept))]
        return [
            one | self._face_columns(picture, source, face, len(found)) for one, face in zip(named, kept, strict=True)
        ]

    def _origin_columns(self, source: Origin, digest: str) -> dict[str, Any]:
        identity = f"{source.species}/{source.identity or digest[:32]}"
        split = split_of(identity, self._rules.split_percent, self._rules.seed)
        columns = {"domain": source.domain, "species": source.species, "identity": identity, "split": split}
        attributes = [{"name": name, "value": value} for name, value in source.attributes.items()]
        return {**columns, "attributes": attributes}

    def _named(self, row: dict[str, Any], number: int, source: Origin) -> dict[str, Any]:
        """Return who a photograph's face is: the path's identity and attributes are the subject's, others are unknown."""
        if not number:
            return row
        digest = row["sha256"]
        stranger = Origin(source.domain, source.species, f"{digest[:32]}-{number}")
        # Of one photograph all faces share the split: their pixels overlap.
        columns = {**self._origin_columns(stranger, digest), "split": row["split"]}
        return {**row, "face_id": f"{digest[:32]}-{number}", **columns}

    def _face_columns(self, picture: Picture, source: Origin, found: Any, num_faces: int) -> dict[str, Any]:
        """Finish the columns of one face, or say why it is rejected."""
        face = self._reader.align(picture, source.domain, found, num_faces)
        if isinstance(face, Rejected):
            return {"reject": face.as_row()}
        columns = face.columns()
        refused = broken_bound(self._rules, face.quality, columns.get("expressions"))
        image = codec.encode_jpeg(face.crop, self._rules.jpeg_quality)
        return {"image": image, **columns, "reject": refused.as_row() if refused else None}
