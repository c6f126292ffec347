"""A stream's batches, as one worker takes them: in an order that the seed fixes, whatever was done before."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import ray.train

from rupantara.errors import UserError
from rupantara.training.streams import CHUNK_ROWS, Rows

T = TypeVar("T")


def batches(name: str, batch: int, rows: int, seed: int, skip: int) -> Iterator[Rows]:
    """Yield batches of a worker's `rows` rows of a stream, without end, and leave out the first `skip` of them.

    The whole sequence over rounds of the data is fixed by the seed, so an epoch that is resumed starts at the same batch.
    """
    shard = ray.train.get_dataset_shard(name)
    sizes = [min(CHUNK_ROWS, rows - start) for start in range(0, rows, CHUNK_ROWS)]
    a_round = sum(size // batch for size in sizes)
    if not a_round:
        raise UserError(f"a worker must have at least one batch of {batch} {name} rows, got {rows}")
    round_, skip = divmod(skip, a_round)
    for chunk, order in _ahead(_shuffled(shard, seed, round_)):
        for start in range(0, len(order) - batch + 1, batch):
            if skip:
                skip -= 1
            else:
                taken = order[start : start + batch]
                yield {column: values[taken] for column, values in chunk.items()}


def _shuffled(shard: Any, seed: int, round_: int) -> Iterator[tuple[Rows, np.ndarray]]:
    """Yield chunks of a shard, round after round, each with an order of its rows."""
    while True:
        rng = np.random.default_rng((seed, round_))
        for chunk in shard.iter_batches(batch_size=CHUNK_ROWS, prefetch_batches=0):
            yield chunk, rng.permutation(len(next(iter(chunk.values()))))
        round_ += 1


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """Yield what `items` yields without end, the next one in the making meanwhile, also over the end of a round."""
    pool = ThreadPoolExecutor(1)
    try:
        coming = pool.submit(items.__next__)
        while True:
            item = coming.result()
            coming = pool.submit(items.__next__)
            yield item
    finally:
        # Not waited for: the next round of a shard begins only when every worker has asked for it.
        pool.shutdown(wait=False, cancel_futures=True)
