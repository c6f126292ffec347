"""Patch-adversarial losses of a VAE-GAN (Larsen et al., 2016; patches: Isola et al., 2017; hinge: Lim and Ye, 2017)."""

import torch.nn.functional as F
from torch import Tensor


def critic_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return the hinge loss of a critic's scores of real and made patches: a scalar."""
    return F.relu(1 - real.float()).mean() + F.relu(1 + fake.float()).mean()


def maker_loss(fake: Tensor) -> Tensor:
    """Return what the maker of pictures lowers: minus the mean score of its patches."""
    return -fake.float().mean()
