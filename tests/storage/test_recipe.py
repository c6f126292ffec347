"""The fingerprint changes with all that decides rows, and with nothing else."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rupantara.storage import recipe as recipes
from rupantara.storage.recipe import Recipe, code_version

BASE = Recipe("curate", "c0de", {"size": 256, "rules": ["a", "b"]}, {"photos": "aa"}, {"yunet": "bb"})
CHANGES = {
    "job": {"job": "extract"},
    "code": {"code": "c0df"},
    "config.size": {"config": {"size": 128, "rules": ["a", "b"]}},
    "config.rules": {"config": {"size": 256, "rules": ["b", "a"]}},
    "config.seed": {"config": {"size": 256, "rules": ["a", "b"], "seed": 0}},
    "inputs.photos": {"inputs": {"photos": "ab"}},
    "models.yunet": {"models": {}},
}


@pytest.mark.parametrize("name", CHANGES)
def test_every_field_changes_the_fingerprint_and_is_named(name: str) -> None:
    other = replace(BASE, **CHANGES[name])
    assert other.fingerprint != BASE.fingerprint
    (difference,) = BASE.differences(other)
    assert difference.startswith(f"{name}: ")


def test_differences_read_from_the_old_value_to_the_new() -> None:
    other = replace(BASE, job="extract", config={"size": 128, "rules": ["a", "b"]}, models={})
    assert BASE.differences(other) == [
        "config.size: 256 -> 128",
        'job: "curate" -> "extract"',
        'models.yunet: "bb" -> None',
    ]


def test_equal_recipes_are_equal_whatever_the_order_of_their_keys() -> None:
    turned = replace(BASE, config=dict(reversed(BASE.config.items())))
    assert list(turned.config) != list(BASE.config)
    assert turned.fingerprint == BASE.fingerprint
    assert turned.differences(BASE) == []


VALUES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.0, 0.5, 1.0])
    | st.sampled_from(["", "0", "null", "None"])
)
CONFIGS = st.dictionaries(st.sampled_from("abc"), VALUES | st.lists(VALUES, max_size=2), max_size=3)


@given(CONFIGS, CONFIGS)
def test_fingerprints_are_equal_exactly_when_nothing_differs(one: dict, other: dict) -> None:
    first, second = replace(BASE, config=one), replace(BASE, config=other)
    assert (first.fingerprint == second.fingerprint) == (first.differences(second) == [])


CODE = "X = 1\n\n\ndef f(x: int) -> int:\n    return x + X\n"
SAME = {
    "comment": "# hello\nX = 1  # one\n\n\ndef f(x: int) -> int:\n    # adds\n    return x + X\n",
    "layout": "X = 1\ndef f(x: int) -> int: return (x\n        + X)\n",
}
OTHER = {
    "constant": CODE.replace("1", "2"),
    "operator": CODE.replace("x + X", "x - X"),
    "name": CODE.replace("def f", "def g"),
    "default": CODE.replace("x: int", "x: int = 0"),
    "string": CODE + 'Y = "text"\n',
}


@pytest.fixture
def version_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return the code version of a library of one module with this source (each in a folder of its own)."""
    count = iter(range(100))

    def version(source: str, name: str = "part/module.py", parts: tuple[str, ...] = ("part",)) -> str:
        library = tmp_path / str(next(count))
        for path, text in ((name, source), ("part/__init__.py", ""), ("outside.py", source)):
            (library / path).parent.mkdir(parents=True, exist_ok=True)
            (library / path).write_text(text)
        monkeypatch.setattr(recipes, "LIBRARY", library)
        return code_version(parts)

    return version


@pytest.mark.parametrize("change", SAME)
def test_comments_and_layout_leave_the_code_version(version_of, change: str) -> None:
    assert version_of(SAME[change]) == version_of(CODE)


def test_the_wording_of_docstrings_leaves_the_code_version(version_of) -> None:
    def documented(text: str) -> str:
        return f'"""{text}"""\n\n\nclass A:\n    """{text}"""\n\n    def f(self):\n        """{text}"""\n        return 1\n'

    assert version_of(documented("One.")) == version_of(documented("Another, and longer."))


@pytest.mark.parametrize("change", OTHER)
def test_code_changes_the_code_version(version_of, change: str) -> None:
    assert version_of(OTHER[change]) != version_of(CODE)


def test_a_moved_or_added_file_changes_the_code_version(version_of) -> None:
    assert version_of(CODE, "part/renamed.py") != version_of(CODE)
    assert version_of(CODE, parts=("part", "outside.py")) != version_of(CODE)


def test_code_outside_the_named_parts_does_not_count(version_of) -> None:
    assert version_of(CODE, parts=("part/__init__.py",)) == version_of(OTHER["constant"], parts=("part/__init__.py",))


def test_the_order_of_the_parts_does_not_count() -> None:
    assert code_version(("schema.py", "storage")) == code_version(("storage", "schema.py"))


def test_a_part_that_is_not_there_is_an_error_and_no_version() -> None:
    with pytest.raises(FileNotFoundError):
        code_version(("no_such_part.py",))
