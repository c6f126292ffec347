"""Generated pictures on trial: each beside the crop of the person that it was made from.

A further measure of generated pictures (species top-1, seam energy) is a class like `protocol.PictureMeasure` that fills its own column of
`schema.METRICS`; `measures` names those that are taken.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch

from rupantara import schema
from rupantara.evaluation.originals import Original, Originals
from rupantara.evaluation.protocol import Held, Made, Method, PictureMeasure
from rupantara.imaging import codec
from rupantara.tensors import to_images

COLUMNS = ("request_id", "kind", "species", "face_ids", "image", "reject")
BATCH = 64


def measures() -> Sequence[PictureMeasure]:
    """Load the measures that are taken of generated pictures alone."""
    return ()


class GeneratedTrial:
    """Pictures of a generated table; their sources are crops of a faces table, and pictures of nobody have none."""

    def __init__(self, faces: str, chosen: Collection[str] | None) -> None:
        """Find the sources; `chosen` are the face ids whose pictures count (None = all pictures, those of nobody too)."""
        self._originals = Originals(faces) if faces else None
        self._chosen = None if chosen is None else frozenset(chosen)
        self.methods: Mapping[str, Method] = {"generated": AsGenerated()}

    def batches(self, rows: pa.Table) -> Iterator[Held]:
        """Yield the pictures that have a source, then those that have none."""
        every = self._named(schema.accepted(rows))
        found = self._originals.with_keypoints(set(every["face_id"].to_pylist())) if self._originals else {}
        known = np.array([face in found for face in every["face_id"].to_pylist()], bool)
        seen: set[str] = set()
        for mask in (known, ~known):
            chosen = every.filter(pa.array(mask))
            for start in range(0, chosen.num_rows, BATCH):
                yield _held(chosen.slice(start, BATCH), found, seen)

    def _named(self, rows: pa.Table) -> pa.Table:
        """Return the wanted rows with the id of their first face as `face_id`."""
        faces = [(ids or [""])[0] for ids in rows["face_ids"].to_pylist()]
        rows = rows.append_column("face_id", pa.array(faces, pa.string()))
        rows = rows.append_column("domain", pa.array(["human"] * len(faces), pa.string()))
        return rows if self._chosen is None else rows.filter(schema.is_one_of("face_id", self._chosen))


def _held(rows: pa.Table, found: Mapping[str, Original], seen: set[str]) -> Held:
    """Return a batch; faces are new that were not `seen` before."""
    faces = rows["face_id"].to_pylist()
    if not faces or faces[0] not in found:
        return Held(rows, None)
    side = codec.read_size(rows["image"][0].as_py())[0]
    first = {face: i for i, face in reversed(list(enumerate(faces)))}
    new = sorted(i for face, i in first.items() if face not in seen)
    seen |= set(faces)
    pictures = np.stack([codec.resize(found[face].picture, side) for face in faces])
    points = [found[face].keypoints_at(side) for face in faces]
    return Held(rows, to_images(pictures), torch.from_numpy(np.stack(points)), new=new)


class AsGenerated:
    """Answers with the pictures of the table, by their kind."""

    def make(self, held: Held) -> Iterator[Made]:
        """Return the pictures, those of each kind together."""
        kinds = held.rows["kind"].to_pylist()
        pictures = [codec.decode_jpeg(image) for image in held.rows["image"].to_pylist()]
        for kind in dict.fromkeys(kinds):
            rows = [i for i, own in enumerate(kinds) if own == kind]
            yield Made(to_images(np.stack([pictures[i] for i in rows])), kind, rows=rows)
