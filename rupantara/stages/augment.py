"""Pairs of like faces to morphs (`001_…`, section 5.3): the new faces of the train split."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import faiss
import numpy as np
import pyarrow as pa

from rupantara import schema
from rupantara.errors import Rejected, UserError
from rupantara.faces.measure import measure
from rupantara.faces.morph_pools import SPLIT, PoolFile, parents
from rupantara.imaging import codec
from rupantara.landmarks import align
from rupantara.landmarks.morph import Morph, morph
from rupantara.landmarks.points import keypoints_from
from rupantara.storage import tables
from rupantara.training.choice import distinct

PARENT_COLUMNS = ("face_id", "license", "domain", "identity", "attributes", "landmarks", "quality", "split", "reject")
"""Only faces of this split are parents, so that no held-out face leaks into training."""


@dataclass(frozen=True)
class AugmentRules:
    """Everything about augmentation that decides rows."""

    neighbours: int = 200
    like: str = "landmarks"
    alpha: tuple[float, float] = (0.5, 0.5)
    same_identity: bool = False
    max_yaw: float = 30.0
    size: int = 256
    jpeg_quality: int = 95
    seed: int = 0


class Pool:
    """The faces that pairs are drawn from, in memory, with an index of what makes them alike."""

    def __init__(self, faces: str, features: str, files: Sequence[PoolFile], rules: AugmentRules) -> None:
        """Read the pool's files."""
        columns = (*PARENT_COLUMNS, "image")
        rows = [parents(tables.read_file(faces, f.faces, columns), rules.max_yaw) for f in files]
        self.rows = distinct(pa.concat_tables(rows)).combine_chunks()
        self.landmarks = schema.dense(self.rows["landmarks"], 68, 2)
        self._rules, self._identities = rules, np.array(self.rows["identity"].to_pylist(), dtype=str)
        vectors = self._vectors(features, files)
        self._index = faiss.IndexFlatL2(vectors.shape[1])
        self._index.add(vectors)
        self._near: dict[int, np.ndarray] = {}
        self._all = vectors

    def _vectors(self, features: str, files: Sequence[PoolFile]) -> np.ndarray:
        if self._rules.like == "landmarks":
            return np.ascontiguousarray(self.landmarks.reshape(len(self.landmarks), -1))
        column = self._rules.like
        found = pa.concat_tables([tables.read_file(features, f.features, ("face_id", column)) for f in files])
        place = {face_id: i for i, face_id in enumerate(found["face_id"].to_pylist())}
        wanted = [place.get(face_id, -1) for face_id in self.rows["face_id"].to_pylist()]
        if min(wanted, default=0) < 0:
            raise UserError(f"--features must hold {column} of every face, got none of some in {features!r}")
        taken = found[column].take(pa.array(wanted, pa.int64())).combine_chunks()
        if not schema.is_whole(taken).all():
            raise UserError(f"--features must hold a finite {column} of every face, got none of some in {features!r}")
        return np.ascontiguousarray(schema.dense(taken, taken.type.list_size), np.float32)

    def __len__(self) -> int:
        """Return how many faces the pool has."""
        return self.rows.num_rows

    def near(self, a: int) -> np.ndarray:
        """Return the faces most like face `a`, the nearest first: `neighbours` of them, of other people."""
        if a not in self._near:
            extra = int((self._identities == self._identities[a]).sum())
            count = min(len(self), self._rules.neighbours + extra)
            found = self._index.search(self._all[a : a + 1], count)[1][0]
            own = found == a if self._rules.same_identity else self._identities[found] == self._identities[a]
            self._near[a] = found[~own][: self._rules.neighbours]
        return self._near[a]


def draw_pair(pool: Pool, index: int, seed: int) -> tuple[int, int] | None:
    """Draw the parents of morph `index`: A in shuffled rounds over the pool, B among A's neighbours, no pair twice.

    None when A has no neighbour left that was not drawn in an earlier round.
    """
    turn, place = divmod(index, len(pool))
    a = int(np.random.default_rng((seed, turn, 0)).permutation(len(pool))[place])
    near = pool.near(a)
    if turn >= len(near):
        return None
    return a, int(near[np.random.default_rng((seed, a, 1)).permutation(len(near))[turn]])


class MorphFaces:
    """Batch of `schema.MORPHS_PLANNED` -> batch of `schema.FACES`, one row a morph."""

    def __init__(self, faces: str, features: str, pools: Sequence[Sequence[PoolFile]], rules: AugmentRules) -> None:
        """Take the files of each pool; one pool is held at a time."""
        self._faces, self._features, self._pools, self._rules = faces, features, pools, rules
        self._held: tuple[int, Pool] | None = None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Make the planned morphs."""
        rows = [self._row(*row) for row in zip(batch["pool"].to_pylist(), batch["index"].to_pylist(), strict=True)]
        return pa.Table.from_pylist(rows, schema=schema.FACES)

    def _pool(self, number: int) -> Pool:
        if self._held is None or self._held[0] != number:
            self._held = None
            self._held = (number, Pool(self._faces, self._features, self._pools[number], self._rules))
        return self._held[1]

    def _row(self, number: int, index: int) -> dict[str, object]:
        pool, rules = self._pool(number), self._rules
        pair = draw_pair(pool, index, rules.seed)
        if pair is None:
            name = _digest(f"morph {number} {index} {rules.seed}")
            reason = Rejected(
                "augment", "no_neighbour", f"morph {index} of pool {number}: no pair is left for its face"
            )
            return {"face_id": f"{name}-0", "parents": [], "domain": "human", "split": SPLIT, "reject": reason.as_row()}
        alpha = float(np.round(np.random.default_rng((rules.seed, number, index)).uniform(*rules.alpha), 4))
        first, second = (pool.rows.slice(i, 1).to_pylist()[0] for i in pair)
        row = lineage(first, second, alpha, rules)
        try:
            points = [pool.landmarks[i].astype(np.float64) for i in pair]
            pictures = [codec.decode_jpeg(parent["image"]) for parent in (first, second)]
            made = morph(pictures[0], points[0], pictures[1], points[1], alpha=alpha, size=rules.size)
        except ValueError as error:
            return row | {"reject": Rejected("augment", "degenerate_landmarks", str(error)).as_row()}
        return row | picture_columns(made, min(p["quality"]["coverage"] for p in (first, second)), rules)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def lineage(first: dict, second: dict, alpha: float, rules: AugmentRules) -> dict[str, object]:
    """Say who a morph is: its id is the hash of all that decides its picture; attributes are those its parents share."""
    ids = [first["face_id"], second["face_id"]]
    name = _digest(f"{ids[0]} {ids[1]} {alpha} {rules.size} {rules.jpeg_quality}")
    shared = [pair for pair in first["attributes"] if pair in second["attributes"]]
    return {
        "face_id": f"{name}-0",
        "uri": f"morph:{ids[0]}+{ids[1]}",
        "license": " and ".join(dict.fromkeys([first["license"], second["license"]])),
        "domain": "human",
        "species": "human",
        "identity": f"morph/{name}",
        "attributes": [*shared, {"name": "morph_alpha", "value": f"{alpha:g}"}],
        "parents": ids,
        "split": SPLIT,
        "reject": None,
    }


def picture_columns(made: Morph, coverage: float, rules: AugmentRules) -> dict[str, object]:
    """Encode and measure a morph."""
    image = codec.encode_jpeg(made.picture, rules.jpeg_quality)
    keypoints = keypoints_from(made.landmarks)
    aligned = align.Aligned(made.picture, np.eye(2, 3), coverage)
    return {
        "sha256": hashlib.sha256(image).hexdigest(),
        "image": image,
        "keypoints": keypoints.ravel().tolist(),
        "landmarks": made.landmarks.ravel().tolist(),
        "quality": measure(aligned, keypoints, made.landmarks) | {"num_faces": 1.0},
    }
