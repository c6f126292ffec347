"""Of photographs that are there twice, one stays; the others are rejected and name it."""

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from rupantara import schema
from rupantara.faces.duplicates import rejected, suspects
from rupantara.metrics.faces_table import prints

SMALL = {"stage": "quality", "reason": "too_small", "detail": ""}


def faces(*rows: tuple[str, str | None, dict | None]) -> pa.Table:
    named = [
        {"face_id": f"{sha}-{i}", "uri": uri, "sha256": sha and sha * 64, "reject": no}
        for i, (uri, sha, no) in enumerate(rows)
    ]
    return pa.Table.from_pylist(named, schema=schema.FACES)


def marked(*parts: pa.Table) -> list[dict[int, str]]:
    """Return for each part which rows are of another's bytes: row number -> the other's URI."""
    out: list[dict[int, str]] = [{} for _ in parts]
    for (part, row), (first, at) in suspects(len(parts), lambda numbers: (prints(parts[i]) for i in numbers)).items():
        out[part][row] = parts[first]["uri"][at].as_py()
    return out


def test_the_first_stays_over_all_parts() -> None:
    parts = faces(("a", "1", None), ("b", "2", None), ("c", "1", None)), faces(("d", "2", None), ("e", "3", None))
    assert marked(*parts) == [{2: "a"}, {0: "b"}]


def test_the_first_accepted_stays_before_a_rejected_one() -> None:
    """The same picture as a cat's, and as a person's in whom no cat is found."""
    assert marked(faces(("cat", "1", SMALL), ("man", "1", None), ("other", "1", None))) == [{2: "man"}]


def test_several_faces_of_one_photograph_are_no_duplicates() -> None:
    assert marked(faces(("a", "1", None), ("a", "1", None), ("b", "1", None), ("b", "1", SMALL))) == [{2: "a"}]


def test_rejects_keep_their_own_reason() -> None:
    """Of broken copies each can be tried again when it is mended."""
    assert marked(faces(("a", None, SMALL), ("b", None, SMALL), ("c", "1", SMALL), ("d", "1", SMALL))) == [{}]


def test_rejects_name_the_other() -> None:
    rows = faces(("a", "1", None), ("b", "1", None), ("c", "2", SMALL))
    assert [row["reject"] for row in rejected(rows, marked(rows)[0]).to_pylist()] == [
        None,
        {"stage": "read", "reason": "duplicate", "detail": "the same bytes as a"},
        SMALL,
    ]


def test_tables_without_accepted_faces_have_no_duplicates() -> None:
    assert marked(faces(("a", None, SMALL)), faces()) == [{}, {}]
    assert suspects(0, lambda numbers: iter(())) == {}


def test_only_parts_with_several_faces_of_a_photograph_are_read_again() -> None:
    parts = [faces(("a", "1", None)), faces(("b", "2", None)), faces(("c", "1", None)), faces(("d", "3", None))]
    for count, again in ((4, [[0, 1, 2, 3], [0, 2]]), (2, [[0, 1], []])):
        read: list[list[int]] = []
        suspects(
            count, lambda numbers, read=read: (read.append(list(numbers)), iter([prints(parts[i]) for i in numbers]))[1]
        )
        assert read == again


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("12345"), st.booleans()), max_size=30), st.integers(1, 5)
)
def test_found_by_prints_as_by_comparing_every_row(rows: list[tuple[str, str, bool]], size: int) -> None:
    """The same as a dictionary of the first accepted photograph of each content, however the rows are cut into parts."""
    named = [(uri, sha, SMALL if no else None) for uri, sha, no in rows]
    parts = [faces(*named[i : i + size]) for i in range(0, len(named), size)]
    kept: dict[str, str] = {}
    for uri, sha, no in named:
        if no is None:
            kept.setdefault(sha, uri)
    wanted = [
        {j: kept[sha] for j, (uri, sha, no) in enumerate(named[i : i + size]) if no is None and kept[sha] != uri}
        for i in range(0, len(named), size)
    ]
    assert marked(*parts) == wanted
