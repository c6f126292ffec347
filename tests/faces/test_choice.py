"""Which faces a job works on: every accepted person unless told, and what is left out is counted by its reason."""

from pathlib import Path

import pytest

from jobs.generate import hybrid
from rupantara.errors import Rejected
from rupantara.faces.choice import choose_rows
from tests.conftest import REPOSITORY
from tests.drawn import face_row, write_faces

SHIPPED = REPOSITORY / "pretrained"


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty people, of whom four are held out and one is a reject, and a cat."""
    blurred = Rejected("quality", "blurred").as_row()
    rows = [face_row(f"h{i}", "human", 0, "test" if i < 4 else "train") for i in range(40)]
    rows += [face_row("bad", "human", 1, reject=blurred), face_row("cat", "cat", 2)]
    return write_faces(str(tmp_path_factory.mktemp("choice") / "faces"), rows)


def test_a_users_generation_is_of_every_face_and_says_what_it_leaves_out(faces: str, tmp_path: Path) -> None:
    shipped = {"checkpoint": str(SHIPPED / "region_vae"), "bank": str(SHIPPED / "bank")}
    run = hybrid.build(hybrid.Config(faces=faces, generated=str(tmp_path / "made"), **shipped))
    assert run.told.startswith("40 faces; left out: 1 rejected, 1 no humans; ")
    assert run.extra["left_out"] == {"rejected": 1, "no humans": 1}


@pytest.mark.parametrize(
    ("split", "limit", "count", "left_out"),
    [
        ("", 0, 40, {}),
        ("test", 0, 4, {"of another split than test": 36}),
        ("", 10, 10, {"beyond --limit 10": 30}),
        ("test", 3, 3, {"of another split than test": 36, "beyond --limit 3": 1}),
        ("val", 0, 0, {"of another split than val": 40}),
    ],
)
def test_every_row_is_chosen_or_counted(faces: str, split: str, limit: int, count: int, left_out: dict) -> None:
    chosen = choose_rows(faces, "faces", split, limit, seed=0)
    assert (chosen.count, chosen.left_out) == (count, {"rejected": 1, "no humans": 1, **left_out})
    assert chosen.count + sum(chosen.left_out.values()) == 42
