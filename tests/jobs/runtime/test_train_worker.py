"""An epoch's batches go on where the epoch before ended, also when it is resumed; a round shows each row at most once."""

from collections.abc import Iterator
from itertools import islice

import numpy as np
import pytest
import ray.train

from jobs.runtime import train_worker
from jobs.runtime.train_worker import Plan, batches

CHUNK = 10


class Shard:
    """Ray Data's shard of one worker: rows in one fixed order, in batches, the last one smaller."""

    def __init__(self, rows: int) -> None:
        self._rows = rows

    def iter_batches(self, batch_size: int, prefetch_batches: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, self._rows, batch_size):
            ids = np.arange(start, min(start + batch_size, self._rows))
            yield {"id": ids, "image": ids[:, None] * np.ones(3, int)}


def plan(monkeypatch: pytest.MonkeyPatch, rows: int, batch: int, steps: int, seed: int = 0) -> Plan:
    monkeypatch.setattr(train_worker, "CHUNK_ROWS", CHUNK)
    monkeypatch.setattr(ray.train, "get_dataset_shard", lambda _: Shard(rows))
    # The task is not made: batches alone are drawn.
    return Plan(
        make=lambda _: pytest.fail("no task is needed"),
        batch={"human": batch},
        rows={"human": rows},
        validation=(),
        epochs=9,
        steps_per_epoch=steps,
        seed=seed,
        threads=1,
        output="",
    )


def ids(stream: Iterator, count: int) -> list[list[int]]:
    found = list(islice(stream, count))
    assert all((rows["image"] == rows["id"][:, None]).all() for rows in found), "columns stay together"
    return [rows["id"].tolist() for rows in found]


@pytest.mark.parametrize(("rows", "batch", "steps"), [(23, 4, 3), (20, 5, 4), (29, 9, 2), (8, 3, 7), (41, 1, 13)])
def test_epochs_begun_afresh_are_the_one_unbroken_sequence(monkeypatch, rows: int, batch: int, steps: int) -> None:
    made = plan(monkeypatch, rows, batch, steps)
    unbroken = ids(batches(made, "human", 0), 6 * steps)
    resumed = [ids(batches(made, "human", epoch), steps) for epoch in range(6)]
    assert [rows for epoch in resumed for rows in epoch] == unbroken


@pytest.mark.parametrize(("rows", "batch"), [(23, 4), (20, 5), (29, 9), (7, 7)])
def test_a_round_shows_every_row_once_up_to_the_remainder_of_each_chunk(monkeypatch, rows: int, batch: int) -> None:
    made = plan(monkeypatch, rows, batch, 1)
    sizes = [min(CHUNK, rows - start) for start in range(0, rows, CHUNK)]
    a_round = sum(size // batch for size in sizes)
    found = np.array(ids(batches(made, "human", 0), 3 * a_round)).reshape(3, -1)
    for shown in found:
        assert len(set(shown.tolist())) == len(shown) == sum(size // batch * batch for size in sizes)
        for chunk, size in enumerate(sizes):
            assert ((shown // CHUNK) == chunk).sum() == size // batch * batch
    if len(found[0]) > 1:
        assert (found[0] != found[1]).any() and (found[1] != found[2]).any(), "rounds differ"


def test_another_seed_is_another_order_and_the_same_the_same(monkeypatch) -> None:
    first, again, other = (ids(batches(plan(monkeypatch, 20, 5, 4, s), "human", 0), 4) for s in (0, 0, 1))
    assert first == again != other


def test_rows_of_a_last_chunk_smaller_than_a_batch_never_come_and_all_others_do(monkeypatch) -> None:
    made = plan(monkeypatch, 33, 4, 1)
    shown = {i for rows in ids(batches(made, "human", 0), 60) for i in rows}
    assert shown == set(range(30))


def test_images_of_all_epochs_are_counted(monkeypatch) -> None:
    made = plan(monkeypatch, 23, 4, 3)
    assert made.total_images == 9 * 3 * 4
