"""A reference as it is kept beside an affinity table: codes of all members and the named spaces, one copy for workers and resumed runs."""

import io
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rupantara.bank.alignment import ANIMAL, HUMAN
from rupantara.bank.reference import PEOPLE, Reference, make_reference
from rupantara.bank.sampling import Coded
from rupantara.bank.spaces import Spaces


@dataclass(frozen=True)
class ReferenceFile:
    """Codes by group, the sample of people (or None), the domain of the groups, the person of each id, and the spaces."""

    groups: Coded
    people: Coded
    domain: str
    owner: Mapping[str, str]
    spaces: Spaces

    def reference(self, space: str) -> Reference:
        """Make the reference in one space."""
        people, domains = self.people.get(PEOPLE), dict.fromkeys(self.groups, self.domain)
        return make_reference(self.groups, self.spaces.space(space), people, 0, domains, self.owner)

    def to_bytes(self) -> bytes:
        """Encode as npz, codes in 32 bits."""
        arrays = {"groups": np.array(list(self.groups)), "human": np.array(self.domain == HUMAN)}
        for kind, coded in (("group", self.groups), ("people", self.people)):
            for name, (ids, codes) in coded.items():
                owners = [self.owner.get(i, i) for i in ids]
                arrays |= {f"{kind}|ids|{name}": np.array(ids), f"{kind}|codes|{name}": codes.astype(np.float32)}
                arrays |= {f"{kind}|owners|{name}": np.array(owners)}
        arrays["spaces"] = np.frombuffer(self.spaces.to_bytes(), np.uint8)
        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **arrays)
        return sink.getvalue()

    @staticmethod
    def from_bytes(data: bytes) -> "ReferenceFile":
        """Decode what `to_bytes` gave."""
        found = np.load(io.BytesIO(data), allow_pickle=False)
        owner: dict[str, str] = {}

        def coded(kind: str) -> Coded:
            out: Coded = {}
            for key in (k for k in found.files if k.startswith(f"{kind}|ids|")):
                name = key.removeprefix(f"{kind}|ids|")
                ids = found[key].tolist()
                owner.update(zip(ids, found[f"{kind}|owners|{name}"].tolist(), strict=True))
                out[name] = (ids, found[f"{kind}|codes|{name}"])
            return out

        groups, people = coded("group"), coded("people")
        spaces = Spaces.from_bytes(found["spaces"].tobytes())
        return ReferenceFile(groups, people, HUMAN if bool(found["human"]) else ANIMAL, owner, spaces)
