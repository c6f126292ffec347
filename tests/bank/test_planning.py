"""The arithmetic of a bank's size."""

import pytest

from rupantara.bank.factory import plan_index
from rupantara.bank.planning import ID_BYTES, NODE_SHARE, plan_bank
from rupantara.errors import UserError


@pytest.mark.parametrize("vectors", [13_000, 10_000_000, 1_000_000_000])
@pytest.mark.parametrize("replicas", [1, 2])
def test_everything_fits_and_adds_up(vectors, replicas):
    plan = plan_bank(vectors, 128, node_gib=64, replicas=replicas)
    assert plan.faces * 5 >= vectors
    assert plan.shards * plan.faces_a_shard >= plan.faces
    a_face = 5 * plan_index(plan.faces_a_shard, 128, half=True).bytes_a_vector + ID_BYTES
    assert plan.memory_gib == pytest.approx(
        plan.shards * plan.faces_a_shard * a_face * replicas / 2**30, rel=0.02, abs=0.01
    )
    assert 2 * plan.memory_gib <= plan.nodes * 64 * NODE_SHARE * 1.01
    assert 2 * plan.shard_gib <= 64 * NODE_SHARE
    assert plan.nodes >= replicas


def test_a_larger_bank_is_compressed_and_a_small_one_scanned():
    assert plan_bank(13_000, 128, node_gib=24).index == "flat"
    assert plan_bank(10_000_000, 128, node_gib=24).index.startswith("IVF")


def test_what_can_not_be_is_named():
    with pytest.raises(UserError, match="at least 5 vectors"):
        plan_bank(1, 128, node_gib=24)
    with pytest.raises(UserError, match="does not fit twice"):
        plan_bank(10**9, 128, node_gib=4, shards=1)
