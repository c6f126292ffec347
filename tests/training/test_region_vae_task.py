"""The region VAE's task compiled (every block, also where there are more than torch would compile of one class) and channels last."""

from functools import partialmethod
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rupantara import precision
from rupantara.models import norm_silu
from rupantara.models.blocks import ResBlock
from rupantara.models.region_vae import RegionVAEConfig
from rupantara.training.region_vae import Networks, RegionVAEObjective
from rupantara.training.region_vae_task import DOMAINS, RegionVAETask, as_faces, blank_rows

SMALL = RegionVAEConfig(
    size=64,
    channels=(8, 16, 24, 32, 40),
    decoder_channels=(8, 16, 24, 32, 40),
    global_dim=8,
    region_dim=4,
    region_encoder_channels=(8, 16, 24),
    region_side=24,
    region_channels=8,
    species=("fox",),
    base_rank=4,
    region_base_rank=4,
)


def losses_of(seen: set[tuple], *, compiled: bool) -> dict[str, torch.Tensor]:
    """Take a step; blocks that do not take the same, which torch compiles once, are told apart in `seen`."""
    torch.manual_seed(0)
    task = RegionVAETask(
        SMALL, RegionVAEObjective(bfloat16=False), Networks(), None, torch.device("cpu"), compiled=compiled
    )
    if not compiled:
        for block in task.state.model.compilable():
            block.register_forward_pre_hook(lambda m, x: seen.add((type(m), x[0].shape, str(m))))
    torch.manual_seed(1)
    return task.step(task.modules(), {name: blank_rows(2, SMALL.size, name) for name in DOMAINS}, 100)


def test_every_block_is_compiled_and_the_step_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._dynamo import config, utils

    # Dynamo's own work is tested; inductor would take minutes.
    compile_module: Any = partialmethod(nn.Module.compile, backend="eager")
    monkeypatch.setattr(nn.Module, "compile", compile_module)
    seen: set[tuple] = set()
    plain = losses_of(seen, compiled=False)
    torch._dynamo.reset()
    before = utils.counters["stats"]["unique_graphs"]
    # Not by monkeypatch, whose undoing hides a setting that torch's module serves by `__getattr__` from whatever compiles later.
    with config.patch(recompile_limit=8):
        compiled = losses_of(seen, compiled=True)
    assert sum(kind is ResBlock for kind, *_ in seen) > 8
    assert utils.counters["stats"]["unique_graphs"] - before == len(seen)
    for name, value in plain.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("amx", [True, False])
def test_unless_told_convolutions_are_channels_last_where_that_is_faster(
    amx: bool, half: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})
    objective = RegionVAEObjective(bfloat16=half)
    for told, expected in ((None, amx and half), (True, True), (False, False)):
        task = RegionVAETask(SMALL, objective, Networks(), None, torch.device("cpu"), channels_last=told)
        weight = next(p for p in task.state.model.parameters() if p.dim() == 4 and p.shape[2] == 3)
        assert weight.is_contiguous(memory_format=torch.channels_last) == expected


def gradients_of(rows: dict[str, Any], *, half: bool, last: bool) -> dict[str, torch.Tensor]:
    """Return the gradients of a step from fixed weights, contiguous."""
    torch.manual_seed(0)
    objective = RegionVAEObjective(bfloat16=half)
    task = RegionVAETask(SMALL, objective, Networks(), None, torch.device("cpu"), channels_last=last)
    with torch.no_grad():
        # Layers that start at zero hide what lies before them.
        for parameter in task.state.model.parameters():
            if not parameter.any():
                parameter.copy_(0.05 * torch.randn(parameter.shape))
    torch.manual_seed(1)
    task.step(task.modules(), rows, 100)
    for p in task.state.model.parameters():
        # What the fused optimiser takes for granted; of one tap, strides say nothing.
        assert p.grad is None or p.dim() < 4 or p.shape[2] == 1 or p.grad.stride() == p.stride()
    return {name: p.grad.contiguous() for name, p in task.state.model.named_parameters() if p.grad is not None}


@pytest.fixture
def noisy_rows(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    # Blocks of real size take the norm's own way.
    monkeypatch.setattr(norm_silu, "LARGE_ELEMENTS", 0)
    rows = {name: dict(blank_rows(2, SMALL.size, name)) for name in DOMAINS}
    for name, part in rows.items():
        rng = np.random.default_rng(len(name))
        part["image"] = rng.integers(0, 255, part["image"].shape).astype(np.uint8)
    return rows


def test_gradients_channels_last_are_the_gradients(noisy_rows: dict[str, Any]) -> None:
    plain, last = (gradients_of(noisy_rows, half=False, last=last) for last in (False, True))
    assert len(plain) > 100
    for name, right in plain.items():
        assert (last[name] - right).norm() <= 1e-3 * right.norm() + 1e-6, name


def test_in_16_bits_channels_last_are_as_near_to_32_bits_as_contiguous_ones(
    noisy_rows: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Also where this CPU is slow at it.
    monkeypatch.setattr(precision, "is_fast", lambda device_type: True)
    # All together: one by one some are next to nothing, and all of it rounding, as a bias ahead of a norm.
    settings = ((False, False), (True, False), (True, True))
    found = [gradients_of(noisy_rows, half=half, last=last) for half, last in settings]
    truth, plain, last = (torch.cat([part.flatten() for part in one.values()]) for one in found)
    assert (last - truth).norm() <= 1.25 * (plain - truth).norm()
    assert (plain - truth).norm() < 0.1 * truth.norm()


def test_every_part_of_a_batch_is_moved_to_the_device() -> None:
    faces = as_faces(blank_rows(2, SMALL.size, "human"), torch.device("meta"))
    parts = [*faces[:5], *faces.points]
    assert all(part.device.type == "meta" for part in parts)
