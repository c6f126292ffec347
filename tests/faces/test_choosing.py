"""Faces and people that are chosen by hash, part by part, are those chosen of the whole table."""

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rupantara import schema
from rupantara.faces.arrays import choose, choose_people
from rupantara.storage.draws import draw
from tests.drawn import write_table

REJECT = {"stage": "detect", "reason": "no_face", "detail": ""}


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """People of one to six faces, animals, rejects, and faces of nobody known."""
    found = []
    for i in range(400):
        animal, person = i % 7 == 3, i % 97 if i % 5 else None
        found.append(
            {
                "face_id": f"f{i}",
                "domain": "animal" if animal else "human",
                "species": "cat" if animal else "human",
                "identity": None if person is None else f"{animal}/{person}",
                "split": schema.SPLITS[(i if person is None else person) % 3],
                "reject": REJECT if i % 31 == 7 else None,
            }
        )
    return found


@pytest.fixture(scope="module")
def faces(rows: list[dict], tmp_path_factory: pytest.TempPathFactory) -> str:
    parts = [pa.Table.from_pylist(rows[i : i + 37], schema=schema.FACES) for i in range(0, len(rows), 37)]
    return write_table(str(tmp_path_factory.mktemp("choosing") / "faces"), "faces", parts)


def first(rows: list[dict], most: int, seed: int) -> list[str]:
    return sorted((row["face_id"] for row in rows), key=lambda i: draw(i, seed))[: most or None]


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(most=st.integers(0, 60), seed=st.integers(0, 99), splits=st.sampled_from([("val",), ("val", "test")]))
def test_people_are_chosen_as_of_the_whole_table(rows, faces, most: int, seed: int, splits: tuple[str, ...]) -> None:
    wanted = [r for r in rows if not r["reject"] and r["domain"] == "human" and r["split"] in splits]
    one: dict[str, dict] = {}
    for row in sorted(wanted, key=lambda row: draw(row["face_id"], seed)):
        one[row["identity"] or row["face_id"]] = row
    assert list(choose_people(faces, "human", splits, most, seed)) == first(list(one.values()), most, seed)
    among = {row["face_id"] for row in wanted[::2]}
    some: dict[str, dict] = {}
    for row in sorted((r for r in wanted if r["face_id"] in among), key=lambda row: draw(row["face_id"], seed)):
        some[row["identity"] or row["face_id"]] = row
    found = choose_people(faces, "human", splits, most, seed, among)
    assert list(found) == first(list(some.values()), most, seed)


@settings(max_examples=12, deadline=None)
@given(most=st.integers(0, 60), seed=st.integers(0, 99), domain=st.sampled_from(["human", "animal", ""]))
def test_faces_are_chosen_as_of_the_whole_table(rows, faces, most: int, seed: int, domain: str) -> None:
    wanted = [r for r in rows if not r["reject"] and domain in (r["domain"], "") and r["split"] == "train"]
    found = choose(faces, domain, "train", most, seed)
    assert list(found) == first(wanted, most, seed)
    assert set(found.values()) == {r["species"] for r in wanted if r["face_id"] in found}
