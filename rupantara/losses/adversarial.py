"""Patch-adversarial losses of a VAE-GAN (Larsen et al., 2016; patches: Isola et al., 2017; hinge: Lim and Ye, 2017)."""

import torch.nn.functional as F
from torch import Tensor


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the critic's hinge loss on its scores of real and generated patches: a scalar."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def maker_loss(fake: Tensor) -> Tensor:
    """Return the generator loss: minus the critic's mean score of the generated patches."""
    return -fake.float().mean()
