"""1 - SSIM, against torchmetrics where every window counts, and by its laws."""

import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from rupantara.losses import structural
from rupantara.losses.structural import structural_distance


def pictures(seed: int) -> torch.Tensor:
    noise = torch.rand(3, 3, 96, 80, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    return torch.nn.functional.avg_pool2d(noise, 7, 1, 3)


def test_equals_torchmetrics_on_whole_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structural, "STRIDE", 1)
    a, b = pictures(0), pictures(0) + 0.1 * pictures(1)
    found = structural_distance(a, b)
    _, whole = structural_similarity_index_measure(
        (a + 1) / 2, (b + 1) / 2, data_range=1.0, reduction="none", return_full_image=True
    )
    wanted = 1 - whole[..., 5:-5, 5:-5].flatten(1).mean(1)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)


def test_every_fourth_window_says_nearly_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = pictures(2), pictures(2) + 0.1 * pictures(3)
    sparse = structural_distance(a, b)
    monkeypatch.setattr(structural, "STRIDE", 1)
    torch.testing.assert_close(sparse, structural_distance(a, b), rtol=0.05, atol=0.01)


def test_laws() -> None:
    a, b = pictures(4), pictures(5)
    assert structural_distance(a, a).abs().max() < 1e-5
    torch.testing.assert_close(structural_distance(a, b), structural_distance(b, a))
    assert (structural_distance(a, 0.5 * a) > 0.05).all()
    with pytest.raises(ValueError, match="at least 11 pixels, got 8"):
        structural_distance(a[..., :8, :8], a[..., :8, :8])


def test_gradient_leads_to_the_target_also_under_bfloat16() -> None:
    target, made = pictures(6), pictures(7).requires_grad_()
    optimizer = torch.optim.Adam([made], 0.02)
    first = float(structural_distance(made, target).mean())
    for _ in range(60):
        with torch.autocast("cpu", torch.bfloat16):
            loss = structural_distance(made, target).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss) < 0.3 * first
