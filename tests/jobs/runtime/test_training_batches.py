"""An epoch's batches go on where the epoch before ended, also when it is resumed; a round shows each row at most once."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import ray.train

from jobs.runtime.training import batches as stream_batches
from jobs.runtime.training.loop import WorkerPlan
from rupantara.training.streams import Rows

CHUNK = 10


class Shard:
    """Ray Data's shard of one worker: rows in one fixed order, in batches, the last one smaller."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def iter_batches(self, batch_size: int, prefetch_batches: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self._rows, batch_size):
            ids = np.arange(start, min(start + batch_size, self._rows))
            yield {"id": ids, "image": ids[:, None] * np.ones(3, int)}


def drawn(monkeypatch: pytest.MonkeyPatch, rows: int, batch: int, *, skip: int = 0, seed: int = 0) -> Iterator[Rows]:
    monkeypatch.setattr(stream_batches, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(ray.train, "get_dataset_shard", lambda _: Shard(rows))
    return stream_batches.batches("human", batch, rows, seed, skip)


def ids(stream: Iterator, count: int) -> list[list[int]]:
    found = list(islice(stream, count))
    assert all((rows["image"] == rows["id"][:, None]).all() for rows in found), "columns stay together"
    return [rows["id"].tolist() for rows in found]


@pytest.mark.parametrize(("rows", "batch", "steps"), [(23, 4, 3), (20, 5, 4), (29, 9, 2), (8, 3, 7), (41, 1, 13)])
def test_epochs_begun_afresh_are_the_one_unbroken_sequence(monkeypatch, rows: int, batch: int, steps: int) -> None:
    unbroken = ids(drawn(monkeypatch, rows, batch), 6 * steps)
    resumed = [ids(drawn(monkeypatch, rows, batch, skip=epoch * steps), steps) for epoch in range(6)]
    assert [rows for epoch in resumed for rows in epoch] == unbroken


@pytest.mark.parametrize(("rows", "batch"), [(23, 4), (20, 5), (29, 9), (7, 7)])
def test_a_round_shows_every_row_once_up_to_the_remainder_of_each_chunk(monkeypatch, rows: int, batch: int) -> None:
    sizes = [min(CHUNK, rows - start) for start in range(0, rows, CHUNK)]
    a_round = sum(size // batch for size in sizes)
    found = np.array(ids(drawn(monkeypatch, rows, batch), 3 * a_round)).reshape(3, -1)
    for shown in found:
        assert len(set(shown.tolist())) == len(shown) == sum(size // batch * batch for size in sizes)
        for chunk, size in enumerate(sizes):
            assert ((shown // CHUNK) == chunk).sum() == size // batch * batch
    if len(found[0]) > 1:
        assert (found[0] != found[1]).any() and (found[1] != found[2]).any(), "rounds differ"


def test_another_seed_is_another_order_and_the_same_the_same(monkeypatch) -> None:
    first, again, other = (ids(drawn(monkeypatch, 20, 5, seed=s), 4) for s in (0, 0, 1))
    assert first == again != other


def test_rows_of_a_last_chunk_smaller_than_a_batch_never_come_and_all_others_do(monkeypatch) -> None:
    shown = {i for rows in ids(drawn(monkeypatch, 33, 4), 60) for i in rows}
    assert shown == set(range(30))


def test_images_of_all_epochs_are_counted() -> None:
    plan = WorkerPlan(
        start=lambda _: pytest.fail("no task is needed"),
        batch={"human": 4, "animal": 2},
        rows={"human": 23, "animal": 30},
        validation=(),
        epochs=9,
        steps_per_epoch=3,
        seed=0,
        threads=1,
        output="",
    )
    assert plan.total_images == 9 * 3 * 6
