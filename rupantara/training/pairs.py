"""Pairs of parents out of a batch of faces, drawn by rule: never a person with itself."""

from typing import Literal

import torch
from torch import Tensor

Rule = Literal["any", "opposite_sex", "like_age", "like_group"]
RULES: tuple[Rule, ...] = ("any", "opposite_sex", "like_age", "like_group")
LIKE_AGE_YEARS = 10.0
UNKNOWN = -1
"""Of a sex, age or group that the path does not name."""


def allowed(rule: Rule, people: Tensor, sexes: Tensor, ages: Tensor, groups: Tensor) -> Tensor:
    """Return which faces may be paired: bool [n, n], symmetric, False for one person; where a rule's attribute is unknown, none is."""
    fits = people[:, None] != people[None]
    if rule == "opposite_sex":
        fits &= (sexes[:, None] != sexes[None]) & (sexes[:, None] != UNKNOWN) & (sexes[None] != UNKNOWN)
    if rule == "like_age":
        known = (ages != UNKNOWN)[:, None] & (ages != UNKNOWN)[None]
        fits &= known & ((ages[:, None] - ages[None]).abs() <= LIKE_AGE_YEARS)
    if rule == "like_group":
        fits &= (groups[:, None] == groups[None]) & (groups[:, None] != UNKNOWN)
    return fits


def draw_pairs(fits: Tensor, count: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw `count` pairs of rows [count] each: first parents all different as far as they go, each second uniformly among those allowed.

    ValueError where no two faces fit.
    """
    firsts = torch.nonzero(fits.any(1))[:, 0]
    if not len(firsts):
        raise ValueError("a batch must hold two faces that may be paired, it holds none: widen the batch or the rule")
    rounds = -(-count // len(firsts))
    orders = [firsts[torch.randperm(len(firsts), generator=generator)] for _ in range(rounds)]
    first = torch.cat(orders)[:count]
    second = torch.multinomial(fits[first].float(), 1, generator=generator)[:, 0]
    return first, second
