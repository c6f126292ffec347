"""Names of files as people and systems spell them: one spelling to compare, and known names matched to listed ones."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from urllib.parse import unquote

BLANKS = re.compile(r"^\s+|\s+$|\s+(?=\.\w+\s*$)")
"""Blanks at the ends of a name and before its ending."""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): macOS lists `é` as two characters, other systems as one."""
    return unicodedata.normalize("NFC", name)


def plain(name: str) -> str:
    """Return one spelling of a relative path: composed, with `/`, without `./` and without doubled or leading slashes."""
    parts = composed(name).replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


def match(known: Iterable[str], listed: Iterable[str], folder: str = "") -> tuple[dict[str, str], list[str]]:
    """Match names that a file gives to the paths of a listing.

    Return listed path -> known name, and the known names that match nothing. Names agree by their plain spelling; failing
    that with `%20` decoded, without blanks at their ends and before the ending (as in UTKFace's lists), without the name of the
    photographs' `folder` in front, or without regard to case, in this order, as long as one listed path alone fits. A path goes
    to the first name that matches it.
    """
    paths = list(listed)
    tables = [_unique(paths, plain), _unique(paths, _folded)]
    found: dict[str, str] = {}
    lost = []
    for name in known:
        path = next((p for spelling in _spellings(name, folder) for p in _look(spelling, tables)), None)
        if path is None:
            lost.append(name)
        else:
            found.setdefault(path, name)
    return found, lost


def _look(spelling: str, tables: list[dict[str, str]]) -> list[str]:
    exact, folded = tables
    return [p for p in (exact.get(spelling), folded.get(_folded(spelling))) if p]


def _spellings(name: str, folder: str) -> list[str]:
    """Return the ways to read a name, the most literal first."""
    readings = [plain(name), plain(unquote(name)), plain(BLANKS.sub("", name))]
    prefix = f"{plain(folder)}/" if folder else ""
    inside = [r.removeprefix(prefix) for r in readings if prefix and r.startswith(prefix)]
    return list(dict.fromkeys([*readings, *inside]))


def _folded(name: str) -> str:
    return plain(name).casefold()


def _unique(paths: list[str], spell: Callable[[str], str]) -> dict[str, str]:
    """Return spelling -> path, without spellings that several paths share."""
    out: dict[str, str] = {}
    twice = set()
    for path in paths:
        key = spell(path)
        if key in out and out[key] != path:
            twice.add(key)
        out.setdefault(key, path)
    return {key: path for key, path in out.items() if key not in twice}
