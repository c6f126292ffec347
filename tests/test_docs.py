"""The documents are true today: links lead somewhere, commands name what exists, made pages are fresh."""

import re
from pathlib import Path

import pytest

from benchmarks import speed
from tests.conftest import REPOSITORY

PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
MODULE = re.compile(r"python -m ((?:jobs|benchmarks|rupantara|tests)\.[\w.]+)")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(there), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_commands_name_modules_that_exist(page: Path) -> None:
    for module in MODULE.findall(page.read_text()):
        path = REPOSITORY / module.rstrip(".").replace(".", "/")
        assert module.rstrip(".").endswith("NAME") or path.with_suffix(".py").exists() or path.is_dir(), module


def test_the_readme_is_a_welcome() -> None:
    assert len((REPOSITORY / "README.md").read_bytes()) <= 8192


def test_the_speed_page_is_what_the_benchmarks_files_say() -> None:
    assert speed.PAGE.read_text() == speed.page(), "run python -m benchmarks.speed"
