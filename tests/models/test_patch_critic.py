"""The patch critic: what a score sees, how fast it may change, and that it learns."""

import torch
from torch import nn
from torch.nn.utils import parametrize

from rupantara.losses.adversarial import critic_loss
from rupantara.models.patch_critic import PatchCritic


def test_a_score_sees_54_pixels_each_way() -> None:
    torch.manual_seed(0)
    critic = PatchCritic((4, 4, 4)).eval()
    images = torch.randn(1, 3, 128, 128, requires_grad=True)
    scores = critic(images)
    assert scores.shape == (1, 1, 16, 16)
    scores[0, 0, 8, 8].backward()
    assert images.grad is not None
    seen = images.grad.abs().sum((0, 1)) > 0
    rows, columns = torch.nonzero(seen.any(1))[:, 0], torch.nonzero(seen.any(0))[:, 0]
    assert int(rows[-1] - rows[0]) + 1 == int(columns[-1] - columns[0]) + 1 == 54
    # Patch 8 is centred on the pixels of its own 8 x 8 cell: rows 64 to 71.
    assert float(rows.float().mean()) == 67.5


def test_every_layer_s_matrix_has_spectral_norm_one() -> None:
    torch.manual_seed(0)
    critic = PatchCritic((4, 8, 8)).train()
    layers = [layer for layer in critic.layers if isinstance(layer, nn.Conv2d)]
    assert len(layers) == 5 and all(parametrize.is_parametrized(layer, "weight") for layer in layers)
    with torch.no_grad():
        for layer in layers:
            layer.parametrizations.weight.original.mul_(7.0)  # However large the weights grow.
        for _ in range(30):
            critic(torch.zeros(1, 3, 32, 32))
        for layer in layers:
            assert abs(float(torch.linalg.matrix_norm(layer.weight.flatten(1), 2)) - 1) < 1e-2


@torch.no_grad()
def test_however_large_its_weights_a_score_changes_no_faster_than_the_kernels_allow() -> None:
    """A matrix of norm 1 over windows stretches by at most the root of how many windows a pixel lies in: 2, and 3 at stride 1."""
    torch.manual_seed(0)
    critic = PatchCritic((8, 8, 8)).eval()
    for layer in critic.layers:
        if isinstance(layer, nn.Conv2d):
            layer.parametrizations.weight.original.mul_(1000.0)
    a = torch.randn(4, 3, 32, 32)
    for b in (torch.randn(4, 3, 32, 32), a + 1e-2 * torch.randn(4, 3, 32, 32)):
        ratio = (critic(a) - critic(b)).flatten(1).norm(dim=1) / (a - b).flatten(1).norm(dim=1)
        assert 0 < float(ratio.max()) < 2.0**3 * 3.0**2


def test_it_learns_to_tell_noise_from_grey() -> None:
    torch.manual_seed(0)
    critic = PatchCritic((8, 8, 8))
    optimizer = torch.optim.Adam(critic.parameters(), 0.01)
    real, fake = torch.rand(4, 3, 16, 16) * 2 - 1, torch.zeros(4, 3, 16, 16)
    losses = []
    for _ in range(60):
        loss = critic_loss(critic(real), critic(fake))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 1.5 and losses[-1] < 1.0
