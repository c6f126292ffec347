"""What decides the rows of an output, and its hash: the fingerprint."""

import ast
import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

LIBRARY = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Recipe:
    """Job, code, row-deciding config, inputs and models of one output; all values are JSON."""

    job: str
    code: str
    config: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    models: dict[str, str] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Return the SHA-256 of the canonical JSON of every field, hex."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()

    def differences(self, other: "Recipe") -> list[str]:
        """Name every entry in which `other` differs, as `config.min_face_px: 20 -> 40` (self -> other)."""
        mine, theirs = _flat(asdict(self)), _flat(asdict(other))
        keys = sorted(mine.keys() | theirs.keys())
        return [f"{k}: {mine.get(k)} -> {theirs.get(k)}" for k in keys if mine.get(k) != theirs.get(k)]


def _flat(tree: dict[str, Any], prefix: str = "") -> dict[str, str]:
    out: dict[str, str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            out |= _flat(value, f"{prefix}{key}.")
        else:
            out[prefix + key] = json.dumps(value)
    return out


@lru_cache(maxsize=64)
def _hash_source(path: Path) -> str:
    """Hash a source file's syntax tree without docstrings, so that comments and layout change nothing."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


def code_version(parts: Iterable[str]) -> str:
    """Hash the files that decide a job's rows; `parts` are files or folders below `rupantara/`, or files `jobs/…`."""
    digest = hashlib.sha256()
    for part in sorted(parts):
        base = (LIBRARY.parent if part.startswith("jobs/") else LIBRARY) / part
        for path in sorted(base.rglob("*.py")) if base.is_dir() else [base]:
            name = f"{part}/{path.relative_to(base)}" if path != base else part
            digest.update(f"{name} {_hash_source(path)}\n".encode())
    return digest.hexdigest()[:16]
