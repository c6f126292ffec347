"""Which code decides the rows of a recipe, found by reading: the definitions that its module reaches by name, through every import.

A recipe's module counts whole; of each module that it imports count the definitions (functions, classes, constants) that are
named by code that counts already, and the statements that run at import. Docstrings, comments and layout decide nothing. What
only draws reports, and how a job runs on Ray, decides no row either (`SKIPPED`).
"""

import ast
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGES = ("rupantara", "jobs", "actors")
SKIPPED = ("rupantara.reports", "jobs.runtime")
"""Packages that decide no row: drawings of what is there, and how work gets to workers."""
TRAINING = "jobs.runtime.train"
"""But how batches get to a training decides its weights."""

Definition = tuple[str, str]
"""Module and name; the name "" stands for what runs at import."""


@dataclass(frozen=True)
class Spec:
    """A `RecipeSpec(…)` as it stands in the source."""

    job: str
    version: int
    module: str


@dataclass(frozen=True)
class Module:
    """A parsed source file."""

    name: str
    tree: ast.Module
    is_package: bool

    @cached_property
    def definitions(self) -> dict[str, list[ast.stmt]]:
        """Map each name that the module binds to the statements that bind it."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in _bound(statement):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def at_import(self) -> list[ast.stmt]:
        """List the statements that bind nothing and import nothing: they run at import."""
        passive = (ast.Import, ast.ImportFrom)
        active = [s for s in self.tree.body if not isinstance(s, passive) and not _is_text(s)]
        return [s for s in active if not _bound(s) and not _runs_as_script(s)]

    @cached_property
    def imports(self) -> dict[str, tuple[str, str]]:
        """Map each imported name to its module and the name there ("" = the module itself)."""
        found = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    found[alias.asname or alias.name.partition(".")[0]] = (
                        (alias.name, "") if alias.asname else (alias.name.partition(".")[0], "")
                    )
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    found[alias.asname or alias.name] = (self._base(node), alias.name)
        return found

    def _base(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")[: None if self.is_package and node.level == 1 else -node.level + self.is_package]
        return ".".join([*parts, *([node.module] if node.module else [])])


def _bound(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.If | ast.Try | ast.With | ast.For):
        if _runs_as_script(statement):
            return []
        stores = (n for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
        return sorted({node.id for node in stores})
    return []


def _is_text(node: object) -> bool:
    """Tell whether a statement is a docstring, or another constant that does nothing."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _runs_as_script(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.If) and "__main__" in ast.dump(statement.test)


class Source:
    """The packages below a folder."""

    def __init__(self, root: Path) -> None:
        """Read and parse every module."""
        self.modules: dict[str, Module] = {}
        self._reached: dict[Definition, list[Definition]] = {}
        self._texts: dict[Definition, str] = {}
        for package in PACKAGES:
            for path in sorted((root / package).rglob("*.py")):
                is_package = path.name == "__init__.py"
                parts = path.relative_to(root).with_suffix("").parts
                name = ".".join(parts[:-1] if is_package else parts)
                self.modules[name] = Module(name, ast.parse(path.read_text()), is_package)

    def specs(self) -> dict[str, Spec]:
        """Find every recipe, by its name; ValueError when two have one name."""
        found: dict[str, Spec] = {}
        for module in self.modules.values():
            for node in ast.walk(module.tree):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RecipeSpec":
                    values = [*node.args, *(k.value for k in node.keywords)]
                    job, version = (ast.literal_eval(value) for value in values)
                    if job in found:
                        raise ValueError(f"two recipes are called {job!r}: in {found[job].module} and {module.name}")
                    found[job] = Spec(job, version, module.name)
        return dict(sorted(found.items()))

    def closure(self, module: str) -> dict[Definition, list[ast.stmt]]:
        """Return all definitions that decide the rows of a recipe that stands in `module`."""
        found: dict[Definition, list[ast.stmt]] = {}
        pending = [(module, name) for name in ("", *self.modules[module].definitions)]
        while pending:
            module, name = pending.pop()
            if (module, name) in found or self._skipped(module):
                continue
            here = self.modules[module]
            statements = here.definitions.get(name, []) if name else here.at_import
            found[module, name] = statements
            if (module, name) not in self._reached:
                self._reached[module, name] = [d for statement in statements for d in self._named(here, statement)]
            pending += [(module, ""), *self._reached[module, name]]
        return {key: statements for key, statements in sorted(found.items()) if statements}

    def hash(self, module: str) -> str:
        """Hash a closure."""
        digest = hashlib.sha256()
        for key, statements in self.closure(module).items():
            if key not in self._texts:
                self._texts[key] = f"{' '.join(key)} {' '.join(map(_text, statements))}\n"
            digest.update(self._texts[key].encode())
        return digest.hexdigest()[:16]

    def _skipped(self, module: str) -> bool:
        inside = any(module == name or module.startswith(f"{name}.") for name in SKIPPED)
        return module not in self.modules or (inside and not module.startswith(TRAINING))

    def _named(self, module: Module, statement: ast.stmt) -> Iterator[Definition]:
        """Yield what a statement names: `name`, or `module.name` for each chain of attributes that begins with an import."""
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in module.definitions:
                yield module.name, node.id
            for name, rest in _chains(node):
                if name in module.imports:
                    target, attribute = module.imports[name]
                    yield from self._resolved(target, [*([attribute] if attribute else []), *rest])

    def _resolved(self, module: str, path: list[str]) -> Iterator[Definition]:
        """Follow a path of names from a module to the definition, through packages that hand it on."""
        while path and f"{module}.{path[0]}" in self.modules:
            module, path = f"{module}.{path[0]}", path[1:]
        if module not in self.modules or self._skipped(module):
            return
        here = self.modules[module]
        if not path or path[0] == "*":
            # The module itself is handed about: all of it counts.
            yield from ((module, name) for name in ("", *here.definitions))
        elif path[0] in here.definitions:
            yield module, path[0]
        elif path[0] in here.imports:
            target, attribute = here.imports[path[0]]
            yield from self._resolved(target, [*([attribute] if attribute else []), *path[1:]])


def _chains(node: ast.AST) -> Iterator[tuple[str, list[str]]]:
    """Yield the longest chain of attributes that a node is, or the bare name: a.b.c -> ("a", ["b", "c"])."""
    for child in ast.iter_child_nodes(node):
        path: list[str] = []
        part = child
        while isinstance(part, ast.Attribute):
            path.insert(0, part.attr)
            part = part.value
        # An attribute inside a longer chain is the chain's own.
        if isinstance(part, ast.Name) and not isinstance(node, ast.Attribute):
            yield part.id, path


def _text(node: object) -> str:
    """Write a syntax tree without docstrings and without what a version of Python leaves out or adds where it is empty."""
    if isinstance(node, list):
        return "[" + ",".join(_text(item) for item in node if not _is_text(item)) + "]"
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []) and name != "kind")
        return type(node).__name__ + "(" + ",".join(f"{name}={_text(value)}" for name, value in fields) + ")"
    return repr(node)
