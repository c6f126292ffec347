"""Parts of faces or features to rows of the affinity table, with the part's sums left beside the table, a file a space."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from rupantara.bank.reference import Reference
from rupantara.bank.spaces import Space
from rupantara.errors import UserError
from rupantara.metrics.affinity_sums import ALL, AffinitySums
from rupantara.stages.affinity import Groups, MapAffinity, MapOptions
from rupantara.storage import uris

FOLDER = "statistics"
MERGED = "all"


@dataclass(frozen=True)
class Mapped:
    """A space, and the reference in it."""

    space: Space
    reference: Reference


def sums_path(prefix: str, space: str, name: str) -> str:
    """Name a file of sums, relative to the table."""
    return f"{FOLDER}/{prefix}-{space}-{name}.npz"


class MapParts:
    """A part's faces or features -> rows of `schema.AFFINITY` in the first space; sums of every space are written first.

    A part's sums are named after its faces, so that a part that is done again writes the same file.
    """

    def __init__(
        self,
        output: str,
        prefix: str,
        spaces: Sequence[Mapped],
        column: str,
        groups: Callable[[], Groups],
        options: MapOptions,
        wanted: dict[str, str],
        chosen: frozenset[str] | None = None,
        extract: Callable[[], Callable[[pa.Table], pa.Table]] | None = None,
    ) -> None:
        """Load what is needed on the worker; with `extract`, batches are faces and not features."""
        self._output, self._prefix = output, prefix
        known = groups()
        self._maps = {
            one.space.name: MapAffinity(one.reference, one.space, column, known, options, wanted, chosen)
            for one in spaces
        }
        self._extract = extract() if extract else None

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Map a part."""
        features = self._extract(batch) if self._extract else batch
        named = hashlib.sha256("\n".join(features["face_id"].to_pylist()).encode()).hexdigest()[:16]
        first: pa.Table | None = None
        for space, mapping in self._maps.items():
            rows, sums = mapping.map(features)
            uris.write_bytes(uris.join(self._output, sums_path(self._prefix, space, named)), sums.to_bytes())
            first = rows if first is None else first
        assert first is not None
        return first


def merge_sums(output: str, prefix: str, space: str) -> AffinitySums:
    """Merge the sums of all parts of a space, one at a time, keep the merged file and delete the parts'; or read it, if it is there."""
    merged = uris.join(output, sums_path(prefix, space, MERGED))
    if not uris.exists(merged):
        total: AffinitySums | None = None
        for path in _parts(output, prefix, space):
            sums = AffinitySums.from_bytes(uris.read_bytes(uris.join(output, path)))
            total = sums if total is None else total.merge(sums)
        if total is None or ALL not in total.groups:
            raise UserError("reverse mapping needs at least one face with a vector, got none")
        uris.write_bytes(merged, total.to_bytes())
    for path in _parts(output, prefix, space):
        uris.delete(uris.join(output, path))
    return AffinitySums.from_bytes(uris.read_bytes(merged))


def _parts(output: str, prefix: str, space: str) -> Iterator[str]:
    found = sorted(e.path for e in uris.list_files(uris.join(output, FOLDER), recursive=False))
    ends = f"-{space}-{MERGED}.npz"
    yield from (
        f"{FOLDER}/{path}"
        for path in found
        if path.startswith(f"{prefix}-{space}-") and not path.endswith(ends) and path.endswith(".npz")
    )
