"""What is not finite is named and stops a training; what is finite passes, of every kind of tensor."""

import pytest
import torch
from torch import nn

from rupantara.errors import NotFiniteError
from rupantara.storage import checkpoints
from rupantara.training.finite import check_values, check_weights
from rupantara.training.state import TrainState
from tests.drawn import tiny_model, write_model


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), torch.tensor(float("nan"))])
def test_the_first_value_that_is_not_finite_is_named(value: float | torch.Tensor) -> None:
    check_values({"loss": 1.0, "kl": torch.tensor(1e30)}, "step 1")
    with pytest.raises(NotFiniteError, match=r"kl must stay finite, got -?(nan|inf) in step 3 of epoch 2"):
        check_values({"loss": 1.0, "kl": value, "other": float("nan")}, "step 3 of epoch 2")


@pytest.mark.parametrize("part", ["model", "average", "critic"])
def test_one_weight_that_is_not_finite_is_found_in_every_network(part: str) -> None:
    model, critic = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)), nn.Linear(2, 1)
    state = TrainState.create(model, [{"params": list(model.parameters())}], critic)
    check_weights(state, "epoch 1")
    with torch.no_grad():
        next(getattr(state, part).parameters()).view(-1)[-1] = float("inf")
    with pytest.raises(NotFiniteError, match=r"after epoch 1 must hold finite numbers, got NaN or infinity in 1 of"):
        check_weights(state, "epoch 1")


def test_weights_that_are_not_finite_are_neither_written_nor_loaded(tmp_path) -> None:
    model = tiny_model()
    broken = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    first = next(name for name, tensor in broken.items() if tensor.is_floating_point())
    broken[first].view(-1)[0] = float("nan")
    with pytest.raises(NotFiniteError, match=f"got NaN or infinity in 1 of {len(broken)} tensors, first {first}"):
        write_model(str(tmp_path / "model"), model, broken)
    assert not list(tmp_path.rglob("*.safetensors"))
    with pytest.raises(NotFiniteError):
        checkpoints.require_finite("half", {"x": torch.tensor([1.0, float("inf")]).bfloat16()})
    checkpoints.require_finite("none", {"empty": torch.zeros(0), "count": torch.tensor(3)})
