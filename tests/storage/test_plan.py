"""Plans: blocks of a small table hold its rows once, in order, and travel alone."""

import pickle

import pyarrow as pa
import pytest

from rupantara.storage import plan


@pytest.mark.parametrize("count", [0, 1, 4, 5, 8])
def test_blocks_are_the_rows_in_order(count: int) -> None:
    rows = pa.table({"n": range(count), "name": [str(n) for n in range(count)]}).replace_schema_metadata({"a": "b"})
    parts = plan.of_blocks(rows, 4)
    assert [part.index for part in parts] == list(range(-(-count // 4)))
    assert all(0 < part.read().num_rows <= 4 for part in parts)
    assert all(part.read().schema.equals(rows.schema, check_metadata=True) for part in parts)
    assert [row for part in parts for row in part.read().to_pylist()] == rows.to_pylist()


def test_a_block_is_pickled_without_the_rest_of_its_table() -> None:
    part = plan.of_blocks(pa.table({"n": range(100_000)}), 10)[3]
    assert len(pickle.dumps(part)) < 2_000
