"""What decides the rows of an output, and its hash: the fingerprint."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Recipe:
    """Job, version, row-deciding config, inputs and models of one output; all values are JSON."""

    job: str
    version: int
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)
    code: str = ""
    """Outputs made before recipes had versions: the hash of the code that made them, which stands where the version does now."""

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the canonical JSON of every field, hex."""
        return hashlib.sha256(json.dumps(self.as_json(), sort_keys=True).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """Return the fields that a manifest keeps: the version, or of an old output the code in its place."""
        fields = asdict(self)
        del fields["version" if self.code else "code"]
        return fields

    @staticmethod
    def from_json(fields: Mapping[str, Any]) -> "Recipe":
        """Read what `as_json` returned; raise TypeError for anything else."""
        given: dict[str, Any] = {"version": 0, **fields} if fields.get("code") else dict(fields)
        return Recipe(**given)

    def differences(self, other: "Recipe") -> list[str]:
        """Name every entry in which `other` differs, as `config.min_face_px: 20 -> 40` (self -> other)."""
        mine, theirs = _flat(self.as_json()), _flat(other.as_json())
        keys = sorted(mine.keys() | theirs.keys())
        return [f"{k}: {mine.get(k)} -> {theirs.get(k)}" for k in keys if mine.get(k) != theirs.get(k)]


@dataclass(frozen=True)
class RecipeSpec:
    """The name and version of a job's recipe, written once, beside the code that makes its rows.

    Whoever changes that code so that rows change raises the version: outputs made before are then stale. Where rows stay the
    same, `make recipes` shows it and records the code (tests/recipes). The test `test_recipes_keep_their_versions` asks for one of the two.
    """

    job: str
    version: int

    def of(
        self,
        config: Mapping[str, Any] | None = None,
        inputs: Mapping[str, str] | None = None,
        models: Mapping[str, str] | None = None,
    ) -> Recipe:
        """Return the recipe of one output."""
        return Recipe(self.job, self.version, dict(config or {}), dict(inputs or {}), dict(models or {}))


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = json.dumps(value)
    return out
