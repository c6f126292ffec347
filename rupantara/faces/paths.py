"""Domain, species, identity and attributes of a photograph from its path, by rules that a config can replace."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from rupantara.errors import UserError
from rupantara.faces.names import composed

DEFAULT_RULES = (
    r"(^|/)(?i:animals)/(?P<species>[^/]+)/.+$",
    r"(^|/)(?i:lfw)[^/]*/([^/]+/)*(?P<identity>[^/]+)_\d{4}\.\w+$",
    r"(^|/)(?P<identity>[^\W\d_][^/\d_]*(_[^/\d_]+)+)/(?P=identity)_\d{4}\.\w+$",
    r"(^|/)(?i:utkface)/(?P<age>\d+)_(?P<sex>[01])_(?P<group>[0-4])_[^/]*$",
    r"(^|/)(?P<age>\d{1,3})_(?P<sex>[01])_(?P<group>[0-4])_\d{8,}[^/]*$",
    r"(^|/)human/drawn/(?P<identity>[^/]+)_\d+\.\w+$",
    r".",
)
"""The first rule that is found in the path below the photographs' folder decides; its named groups are `domain`, `species`,
`identity`, and any other name is an attribute. A species without a domain is an animal; without both the picture is taken for a
human's. LFW's people are known below a folder `lfw…`, and as `First_Last/First_Last_0001.jpg` anywhere; UTKFace's file names are known
anywhere. The last rule takes any folder of people, each picture for a person of its own. Paths are read in Unicode's composed
form, and species in lower case, so that `Animals/Fox` and `animals/fox` are one."""


@dataclass(frozen=True)
class Origin:
    """What a path says; `identity` is empty when it says nothing (then each picture counts as its own person)."""

    domain: str
    species: str
    identity: str
    attributes: dict[str, str] = field(default_factory=dict)


@lru_cache(maxsize=8)
def compile_rules(rules: tuple[str, ...]) -> tuple[re.Pattern[str], ...]:
    """Compile rules; raise UserError for one that is not a regular expression."""
    compiled = []
    for rule in rules:
        try:
            compiled.append(re.compile(rule))
        except re.error as error:
            raise UserError(f"each rule must be a regular expression, got {rule!r}: {error}") from error
    return tuple(compiled)


def rule_of(path: str, rules: tuple[str, ...]) -> str:
    """Return the rule that decides a path, "none" where none does."""
    path = composed(path)
    return next((rule.pattern for rule in compile_rules(rules) if rule.search(path)), "none")


def count_by_rule(paths: Iterable[str], rules: tuple[str, ...]) -> dict[str, int]:
    """Count the paths that each rule decides: many under the last, catch-all rule hint at a wrong root folder."""
    found = Counter(rule_of(path, rules) for path in paths)
    return {rule: found[rule] for rule in (*rules, "none") if found[rule]}


def is_animal(path: str, rules: tuple[str, ...] = DEFAULT_RULES) -> bool:
    """Tell whether a path says that its photograph is an animal's."""
    found = origin(path, rules)
    return found is not None and found.domain == "animal"


def origin(path: str, rules: tuple[str, ...] = DEFAULT_RULES) -> Origin | None:
    """Read a path by the first rule that fits; None when none does."""
    path = composed(path)
    for rule in compile_rules(rules):
        match = rule.search(path)
        if match:
            named = {key: value for key, value in match.groupdict().items() if value is not None}
            species = named.pop("species", "").lower()
            domain = named.pop("domain", "animal" if species and species != "human" else "human")
            return Origin(domain, species or domain, named.pop("identity", ""), named)
    return None
