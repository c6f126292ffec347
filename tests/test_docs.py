"""The documents are true today: links lead somewhere, commands name what exists, made pages are fresh."""

import re
from pathlib import Path

import pytest

from benchmarks import speed
from rupantara import schema
from rupantara.storage.catalogue import CATALOGUE
from tests import job_pages
from tests.conftest import REPOSITORY

PAGES = sorted([REPOSITORY / "README.md", REPOSITORY / "CHANGELOG.md", *(REPOSITORY / "docs").rglob("*.md")])
LINK = re.compile(r"\]\(([^)\s]+)\)")
LINE = re.compile(r"python -m jobs\.(\w+)((?:[^`\n\\]|\\\n)*)")
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


def test_pages_that_start_a_cluster_make_its_token_by_a_command() -> None:
    for page in (REPOSITORY / "README.md", REPOSITORY / "docs/guides/bulk.md"):
        text = page.read_text()
        commands = re.sub(
            r"\s+#.*", "", "\n".join([*re.findall(r"```\n(.*?)```", text, re.S), *re.findall(r"`([^`\n]+)`", text)])
        )
        token, start = commands.find("ray get-auth-token --generate"), commands.find("ray start --head")
        assert 0 <= commands.find("export RAY_AUTH_MODE=token") < token < start, page.name


def test_every_reason_of_a_reject_of_curation_stands_in_the_guide() -> None:
    library = REPOSITORY / "rupantara"
    sources = [*(library / "faces").glob("*.py"), *(library / "imaging").glob("*.py"), library / "stages/curate.py"]
    code = "".join(path.read_text() for path in sources)
    reasons = set(re.findall(r'Rejected\(\s*"\w+",\s*"(\w+)"', code)) | set(re.findall(r"\(reject: (\w+)\)", code))
    assert {"not_sure", "no_face", "blurred", "too_large"} <= reasons
    told = set(re.findall(r"`(\w+)`", (REPOSITORY / "docs/guides/bulk.md").read_text()))
    assert reasons - told == set()


@pytest.mark.parametrize("name", ["FACES", "GENERATED", "AFFINITY", "METRICS", "PROBE", "EXPORTED", "DONORS"])
def test_the_page_of_columns_names_every_column(name: str) -> None:
    told = set(re.findall(r"`(\w+)`", (REPOSITORY / "docs/how/columns.md").read_text()))
    assert set(getattr(schema, name).names) - told == set()


def test_the_page_of_networks_names_every_network() -> None:
    told = set(re.findall(r"`(\w+)`", (REPOSITORY / "docs/how/networks.md").read_text()))
    assert set(CATALOGUE) - told == set()


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs/decisions"
    assert set(LINK.findall((folder / "README.md").read_text())) == {page.name for page in folder.glob("0*.md")}


def test_the_speed_page_is_what_the_benchmarks_files_say() -> None:
    assert speed.PAGE.read_text() == speed.page(), "run python -m benchmarks.speed"


def test_the_pages_of_the_jobs_are_what_help_says() -> None:
    made = dict(job_pages.pages())
    assert set(job_pages.PAGES.iterdir()) == set(made)
    for path, text in made.items():
        assert path.read_text() == text, "run make docs"


@pytest.mark.parametrize(
    "page", [p for p in PAGES if p.parent.name != "jobs"], ids=lambda page: str(page.relative_to(REPOSITORY))
)
def test_every_flag_of_a_command_exists(page: Path) -> None:
    for job, words in LINE.findall(page.read_text()):
        if job == "NAME":
            continue
        known = (job_pages.PAGES / f"{job}.md").read_text()
        for flag in re.findall(r"(?<!\S)(--[a-z][\w-]*)", words.partition("#")[0]):
            assert re.search(rf"(?<![\w-]){flag}(?![\w-])", known), f"jobs.{job} has no {flag}"
