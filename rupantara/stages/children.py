"""Pairs of parents to children: crops are read by the files that hold them, and kept for pairs to come."""

from collections import OrderedDict
from collections.abc import Callable

import pyarrow as pa
import torch

from rupantara.errors import Rejected
from rupantara.faces.couples import accepted_of
from rupantara.generation import provenance, rows
from rupantara.generation.child import ChildGenerator, ChildRequest, Parent
from rupantara.generation.face import sample_people
from rupantara.generation.loading import LoadedRegionVAE
from rupantara.generation.protocol import Generated
from rupantara.stages.generate import SAMPLE, crops_of

FILES_KEPT = 64
"""Files of the faces table whose rows a worker keeps: some 4 MB each."""

AT_A_TIME = 8
"""Pairs made together: their pictures are held."""


class MakeChildren:
    """Batch of `faces.couples.COUPLES`, or of numbers of people to sample in SAMPLE -> batch of `schema.GENERATED`."""

    def __init__(
        self,
        make_generator: Callable[[], ChildGenerator],
        ask: Callable[[Parent, Parent], ChildRequest],
        faces: str = "",
        *,
        sampling: Callable[[], LoadedRegionVAE] | None = None,
        seed: int = 0,
        truncation: float = 0.8,
        threads: int = 1,
    ) -> None:
        """Build the generator on the worker; `sampling` gives the network whose prior people are drawn from."""
        torch.set_num_threads(threads)
        self._generator, self._ask, self._faces = make_generator(), ask, faces
        self._loaded = sampling() if sampling else None
        self._seed, self._truncation = seed, truncation
        self._kept: OrderedDict[str, pa.Table] = OrderedDict()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Make the children of each pair."""
        made: list[Generated] = []
        for start in range(0, batch.num_rows, AT_A_TIME):
            part = batch.slice(start, AT_A_TIME)
            made += self._sampled(part) if SAMPLE in batch.column_names else self._of_couples(part)
        return rows.table(made)

    def _sampled(self, part: pa.Table) -> list[Generated]:
        """Make children of sampled people: pair i is of people 2 i and 2 i + 1."""
        assert self._loaded is not None
        numbers = [n for i in part[SAMPLE].to_pylist() for n in (2 * i, 2 * i + 1)]
        people = sample_people(self._loaded, numbers, self._seed, self._truncation)
        asked = [self._ask(*people[i : i + 2]) for i in range(0, len(people), 2)]
        return [one for family in self._generator.generate(asked) for one in family]

    def _of_couples(self, part: pa.Table) -> list[Generated]:
        out: list[Generated] = []
        asked: list[ChildRequest] = []
        for row in part.to_pylist():
            if row["reason"]:
                out.append(self._rejected(row))
            else:
                both = [self._crop(row[name], row[f"{name}_file"]) for name in ("first", "second")]
                asked.append(self._ask(both[0], both[1]))
        return out + [one for family in self._generator.generate(asked) for one in family]

    def _crop(self, face_id: str, file: str) -> Parent:
        if file not in self._kept:
            self._kept[file] = accepted_of(self._faces, file, ("face_id", "image", "landmarks"))
            if len(self._kept) > FILES_KEPT:
                self._kept.popitem(last=False)
        self._kept.move_to_end(file)
        table = self._kept[file]
        place = table["face_id"].to_pylist().index(face_id)
        return crops_of(table.slice(place, 1))[0]

    @staticmethod
    def _rejected(row: dict[str, str]) -> Generated:
        ids = tuple(row[name] for name in ("first", "second") if row[name])
        about = {"pair": [row["first"], row["second"]]}
        record = provenance.record("child", ids, about, seed=0, model_sha256=())
        return Generated(record, reject=Rejected("couple", row["reason"], row["detail"]))
