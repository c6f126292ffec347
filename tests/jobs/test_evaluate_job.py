"""Whom jobs.evaluate measures: held-out people, one face each."""

from jobs.evaluate import reconstruction
from jobs.evaluate.config import Config
from tests.drawn import face_row, tiny_model, write_faces, write_model


def test_each_held_out_person_and_animal_counts_once_and_the_limit_counts_people(tmp_path) -> None:
    rows = [face_row(f"{s}{i}", s, i) for s in ("human", "cat") for i in range(3)]
    rows += [
        face_row(f"{s}-{who}-{shot}", s, 10 * who + shot, "test") | {"identity": f"{s}/{who}"}
        for s in ("human", "cat")
        for who in range(4)
        for shot in range(3)
    ]
    rows += [face_row("human-val", "human", 50, "val")]
    faces = write_faces(str(tmp_path / "faces"), rows)
    checkpoint = write_model(str(tmp_path / "model"), tiny_model())
    for limit, people in ((0, 4), (3, 3)):
        config = Config(faces=faces, checkpoint=(checkpoint,), metrics=str(tmp_path / "metrics"), limit=limit)
        chosen = reconstruction.plan(config).make_trial.args[2]
        for species in ("human", "cat"):
            seen = [i.rpartition("-")[0] for i in chosen if i.startswith(species)]
            assert len(seen) == len(set(seen)) == people
