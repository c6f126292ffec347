"""Gathering what faces are compared with: the bank's animals and a sample of people, or people by group."""

from collections.abc import Sequence
from dataclasses import dataclass

from rupantara.bank import sampling
from rupantara.bank.alignment import ANIMAL, HUMAN
from rupantara.bank.reference_file import ReferenceFile
from rupantara.bank.versions import BankVersion
from rupantara.errors import UserError
from rupantara.stages.affinity_rows import MadeRows
from rupantara.storage.plan import Part


@dataclass(frozen=True)
class Compared:
    """Species or people, these in groups of the first attribute of `by`; most members of a group (0 = all), and people beside species."""

    to: str
    by: Sequence[str]
    most: int
    people: int


def gather(
    bank: BankVersion,
    plan: Sequence[Part],
    columns: Sequence[str] | None,
    made: MadeRows,
    compared: Compared,
    features: str,
) -> ReferenceFile:
    """Gather a reference from the bank and the input's parts; UserError where --to people finds none in a group."""
    groups: sampling.Coded
    people: sampling.Coded = {}
    owner: dict[str, str] = {}
    if compared.to == "people":
        sampled = sampling.sample(plan, columns, made, bank.vectors, compared.by[0], compared.most or 10**6, owner)
        groups = {name: one for name, one in sampled.items() if name}
    else:
        groups = sampling.bank_codes(bank, compared.most)
        if compared.people:
            people = sampling.sample(plan, columns, made, bank.vectors, "", compared.people, owner)
    if not groups:
        raise UserError(f"no face is in a group of {', '.join(compared.by)}: --to people needs some")
    fitted = sampling.fitted_spaces(bank, features, next(iter(groups.values()))[1].shape[2])
    return ReferenceFile(groups, people, HUMAN if compared.to == "people" else ANIMAL, owner, fitted)
